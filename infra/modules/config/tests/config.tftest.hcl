# Every key that mayfly.toml knows, but those that exclude each other: see the second file.

mock_provider "aws" {}
mock_provider "archive" {}

variables {
  name       = "mayfly-every"
  folder     = "/opt"
  deployment = "every"
  table      = "mayfly-every"
  github = {
    api_url         = "https://github.example.com/api/v3"
    webhook_secrets = [{ ssm = "/mayfly/new" }, { secretsmanager = "mayfly/old" }]
    app             = { client_id = "Iv23liEXAMPLE", private_key = { secretsmanager = "mayfly/app-key" }, installation_id = 12345 }
    webhook_url     = "https://hooks.example.com/webhook"
  }
  gcp = { project = "my-project", credentials = "{}" }
  proxmox = {
    lab = {
      url          = "https://pve.example.com:8006"
      token_id     = "mayfly@pve!mayfly"
      token_secret = { ssm = "/mayfly/proxmox-token" }
      vmid_range   = [9000, 9999]
      nodes        = ["pve1", "pve2"]
      ca           = "-----BEGIN CERTIFICATE-----\n"
    }
    attic = {
      url          = "https://10.0.0.7:8006"
      token_id     = "mayfly@pve!mayfly"
      token_secret = { secretsmanager = "mayfly/attic-token" }
      vmid_range   = [9000, 9999]
      fingerprint  = "AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99"
    }
  }
  pools = [
    {
      name         = "first"
      labels       = ["self-hosted", "quotes \" and <angles> & \\"]
      organization = "my-organization"
      repositories = ["slang", "slang-*"]
      visibility   = "private"
      allow_forks  = false
      runner_group = "gpu"
      platform     = "windows"
      max_runners  = 10
      min_runners  = 1
      boot_timeout = "15m"
      idle_timeout = "90s"
      max_lifetime = "1d"
      placements = [
        { provider = "lab", template = 8000, full_clone = true, storage = "local-lvm", pool = "runners" },
        { provider = "attic", template = 8001 },
        { provider = "gcp", instance_template = "mine", zones = ["us-east1-c"], gpu_type = "none", spot = true, price_per_hour = 0.35 },
      ]
    },
    {
      name         = "second"
      labels       = ["second"]
      repository   = "my-organization/my-repository"
      platform     = "linux"
      max_runners  = 1
      min_runners  = 0
      boot_timeout = "10m"
      idle_timeout = "10m"
      max_lifetime = "6h"
      placements   = [{ provider = "attic", template = 8001 }]
    },
    {
      name         = "third"
      labels       = ["third"]
      enterprise   = "my-enterprise"
      platform     = "linux"
      max_runners  = 1
      min_runners  = 0
      boot_timeout = "10m"
      idle_timeout = "10m"
      max_lifetime = "6h"
      placements   = [{ provider = "attic", template = 8001 }]
    },
  ]
  timing = {
    orphan_grace     = "5m"
    step_timeout     = "2m"
    cooldown         = "5m"
    redelivery_after = "2m"
    check_after      = "5m"
    retention        = "3d"
  }
  page = { token = { ssm = "/mayfly/page-token" }, currency = "USD" }
  notifications = {
    waiting_after = "10m"
  }
  cloudwatch = true
}

run "every_key" {
  assert {
    condition     = output.toml == file("../../test/fixtures/every.toml")
    error_message = "mayfly.toml is not as test/fixtures/every.toml:\n${output.toml}"
  }

  assert {
    condition     = toset(data.archive_file.layer.source[*].filename) == toset(["mayfly.toml", "gcp-credentials.json", "proxmox-lab-ca.pem"])
    error_message = "The layer has other files than the configuration names."
  }
}

run "a_token_and_nothing_optional" {
  variables {
    github  = { api_url = "https://api.github.com", webhook_secrets = [{ ssm = "/w" }], token = { ssm = "/t" } }
    gcp     = null
    proxmox = { attic = { url = "https://pve:8006", token_id = "a@b!c", token_secret = { ssm = "/p" }, vmid_range = [100, 200] } }
    pools = [{
      name         = "only"
      labels       = ["only"]
      organization = "my-organization"
      platform     = "linux"
      max_runners  = 1
      min_runners  = 0
      boot_timeout = "10m"
      idle_timeout = "10m"
      max_lifetime = "6h"
      placements   = [{ provider = "attic", template = 8001 }]
    }]
    timing        = {}
    page          = null
    notifications = {}
    cloudwatch    = false
  }

  assert {
    condition     = output.toml == file("../../test/fixtures/least.toml")
    error_message = "mayfly.toml is not as test/fixtures/least.toml:\n${output.toml}"
  }

  assert {
    condition     = toset(data.archive_file.layer.source[*].filename) == toset(["mayfly.toml"])
    error_message = "The layer has more than the configuration."
  }
}
