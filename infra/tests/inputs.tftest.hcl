# Each validation of the root module's inputs, by an input that it refuses; those of `pools` are in pools.tftest.hcl.

mock_provider "aws" {}
mock_provider "google" {}
mock_provider "archive" {}

variables {
  deployment = "prod"
  zips       = { webhook = "main.tf", sweeper = "main.tf" }
  github = {
    webhook_secrets = [{ ssm = "/mayfly/webhook-secret" }]
    app             = { client_id = "Iv23liEXAMPLE", private_key = { ssm = "/mayfly/app-key" } }
  }
  gcp = {
    project  = "my-project"
    machines = { t4 = { image = "family/linux", machine_type = "n1-standard-8", gpu = "nvidia-tesla-t4" } }
  }
  pools = [{
    name         = "linux"
    labels       = ["Linux"]
    organization = "my-organization"
    max_runners  = 4
    placements   = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }]
  }]
}

run "these_are_fine" {
  command = plan
}

run "a_hyphen_in_the_deployment" {
  command = plan
  variables {
    deployment = "pro-d"
  }
  expect_failures = [var.deployment]
}

run "a_long_deployment" {
  command = plan
  variables {
    deployment = "abcdefghijklmnop"
  }
  expect_failures = [var.deployment]
}

run "no_zip" {
  command = plan
  variables {
    zips = { webhook = "nowhere.zip", sweeper = "main.tf" }
  }
  expect_failures = [var.zips]
}

run "neither_app_nor_token" {
  command = plan
  variables {
    github = { webhook_secrets = [{ ssm = "/w" }] }
  }
  expect_failures = [var.github]
}

run "both_app_and_token" {
  command = plan
  variables {
    github = { webhook_secrets = [{ ssm = "/w" }], app = { client_id = "c", private_key = { ssm = "/k" } }, token = { ssm = "/t" } }
  }
  expect_failures = [var.github]
}

run "no_webhook_secret" {
  command = plan
  variables {
    github = { webhook_secrets = [], app = { client_id = "c", private_key = { ssm = "/k" } } }
  }
  expect_failures = [var.github]
}

run "a_secret_in_two_places" {
  command = plan
  variables {
    github = { webhook_secrets = [{ ssm = "/w", secretsmanager = "w" }], app = { client_id = "c", private_key = { ssm = "/k" } } }
  }
  expect_failures = [var.github]
}

run "a_secret_in_no_place" {
  command = plan
  variables {
    github = { webhook_secrets = [{ ssm = "/w" }], app = { client_id = "c", private_key = {} } }
  }
  expect_failures = [var.github]
}

run "a_secret_that_is_no_name" {
  command = plan
  variables {
    github = { webhook_secrets = [{ ssm = "hunter two" }], app = { client_id = "c", private_key = { ssm = "/k" } } }
  }
  expect_failures = [var.github]
}

run "plain_http" {
  command = plan
  variables {
    github = { api_url = "http://github.example.com", webhook_secrets = [{ ssm = "/w" }], app = { client_id = "c", private_key = { ssm = "/k" } } }
  }
  expect_failures = [var.github]
}

run "a_hook_by_plain_http" {
  command = plan
  variables {
    github = { webhook_url = "http://hooks.example.com", webhook_secrets = [{ ssm = "/w" }], app = { client_id = "c", private_key = { ssm = "/k" } } }
  }
  expect_failures = [var.github]
}

run "a_password_in_an_address" {
  command = plan
  variables {
    github = { api_url = "https://user:password@github.example.com", webhook_secrets = [{ ssm = "/w" }], app = { client_id = "c", private_key = { ssm = "/k" } } }
  }
  expect_failures = [var.github]
}

run "half_an_installation" {
  command = plan
  variables {
    github = { webhook_secrets = [{ ssm = "/w" }], app = { client_id = "c", private_key = { ssm = "/k" }, installation_id = 1.5 } }
  }
  expect_failures = [var.github]
}

run "a_projects_name" {
  command = plan
  variables {
    gcp = { project = "My Project", machines = { t4 = { image = "i", machine_type = "n1-standard-8" } } }
  }
  expect_failures = [var.gcp]
}

run "a_machines_name" {
  command = plan
  variables {
    gcp = { project = "my-project", machines = { t4 = { image = "i", machine_type = "n1-standard-8" }, T5 = { image = "i", machine_type = "n1-standard-8" } } }
  }
  expect_failures = [var.gcp]
}

run "a_gpu_that_does_not_fit_its_machine" {
  command = plan
  variables {
    gcp = { project = "my-project", machines = { t4 = { image = "i", machine_type = "g2-standard-8", gpu = "nvidia-tesla-t4" } } }
  }
  expect_failures = [var.gcp]
}

run "a_g2_without_its_gpu" {
  command = plan
  variables {
    gcp = { project = "my-project", machines = { t4 = { image = "i", machine_type = "g2-standard-8" } } }
  }
  expect_failures = [var.gcp]
}

run "a_gpu_on_a_machine_that_takes_none" {
  command = plan
  variables {
    gcp = { project = "my-project", machines = { t4 = { image = "i", machine_type = "e2-standard-4", gpu = "nvidia-tesla-t4" } } }
  }
  expect_failures = [var.gcp]
}

run "three_gpus" {
  command = plan
  variables {
    gcp = { project = "my-project", machines = { t4 = { image = "i", machine_type = "n1-standard-8", gpu = "nvidia-tesla-t4", gpu_count = 3 } } }
  }
  expect_failures = [var.gcp]
}

run "a_cluster_called_gcp" {
  command = plan
  variables {
    proxmox = { gcp = { url = "https://pve:8006", token_id = "a@b!c", token_secret = { ssm = "/p" }, vmid_range = [9000, 9999] } }
  }
  expect_failures = [var.proxmox]
}

run "a_cluster_by_plain_http" {
  command = plan
  variables {
    proxmox = { lab = { url = "http://pve:8006", token_id = "a@b!c", token_secret = { ssm = "/p" }, vmid_range = [9000, 9999] } }
  }
  expect_failures = [var.proxmox]
}

run "a_token_id" {
  command = plan
  variables {
    proxmox = { lab = { url = "https://pve:8006", token_id = "root@pam", token_secret = { ssm = "/p" }, vmid_range = [9000, 9999] } }
  }
  expect_failures = [var.proxmox]
}

run "a_token_in_no_place" {
  command = plan
  variables {
    proxmox = { lab = { url = "https://pve:8006", token_id = "a@b!c", token_secret = {}, vmid_range = [9000, 9999] } }
  }
  expect_failures = [var.proxmox]
}

run "a_token_that_is_no_name" {
  command = plan
  variables {
    proxmox = { lab = { url = "https://pve:8006", token_id = "a@b!c", token_secret = { ssm = "hunter two" }, vmid_range = [9000, 9999] } }
  }
  expect_failures = [var.proxmox]
}

run "vm_ids_backwards" {
  command = plan
  variables {
    proxmox = { lab = { url = "https://pve:8006", token_id = "a@b!c", token_secret = { ssm = "/p" }, vmid_range = [9999, 9000] } }
  }
  expect_failures = [var.proxmox]
}

run "half_a_vm_id" {
  command = plan
  variables {
    proxmox = { lab = { url = "https://pve:8006", token_id = "a@b!c", token_secret = { ssm = "/p" }, vmid_range = [9000, 9999.5] } }
  }
  expect_failures = [var.proxmox]
}

run "a_ca_and_a_fingerprint" {
  command = plan
  variables {
    proxmox = { lab = { url = "https://pve:8006", token_id = "a@b!c", token_secret = { ssm = "/p" }, ca = "-----BEGIN CERTIFICATE-----", fingerprint = join(":", [for _ in range(32) : "AA"]), vmid_range = [9000, 9999] } }
  }
  expect_failures = [var.proxmox]
}

run "a_ca_that_is_a_path" {
  command = plan
  variables {
    proxmox = { lab = { url = "https://pve:8006", token_id = "a@b!c", token_secret = { ssm = "/p" }, ca = "pve-root-ca.pem", vmid_range = [9000, 9999] } }
  }
  expect_failures = [var.proxmox]
}

run "a_short_fingerprint" {
  command = plan
  variables {
    proxmox = { lab = { url = "https://pve:8006", token_id = "a@b!c", token_secret = { ssm = "/p" }, fingerprint = "AA:BB", vmid_range = [9000, 9999] } }
  }
  expect_failures = [var.proxmox]
}

run "no_subnet" {
  command = plan
  variables {
    vpc = { subnet_ids = [], security_group_ids = ["sg-1"] }
  }
  expect_failures = [var.vpc]
}

run "an_unknown_endpoint" {
  command = plan
  variables {
    endpoint = "alb"
  }
  expect_failures = [var.endpoint]
}

run "a_function_switched_off" {
  command = plan
  variables {
    reserved_concurrency = { webhook = 0 }
  }
  expect_failures = [var.reserved_concurrency]
}

run "a_page_without_a_place" {
  command = plan
  variables {
    page = { token = {} }
  }
  expect_failures = [var.page]
}

run "a_page_with_its_token" {
  command = plan
  variables {
    page = { token = { ssm = "not a name but the token!" } }
  }
  expect_failures = [var.page]
}

run "a_page_with_a_long_currency" {
  command = plan
  variables {
    page = { token = { ssm = "/mayfly/page-token" }, currency = "US dollars" }
  }
  expect_failures = [var.page]
}

run "a_wait" {
  command = plan
  variables {
    timing = { cooldown = "5 minutes" }
  }
  expect_failures = [var.timing]
}

run "a_wait_of_a_thousand_years" {
  command = plan
  variables {
    timing = { retention = "365000d" }
  }
  expect_failures = [var.timing]
}

run "a_wait_before_a_notice" {
  command = plan
  variables {
    notifications = { waiting_after = "ten minutes" }
  }
  expect_failures = [var.notifications]
}

run "notices_by_a_token" {
  command = plan
  variables {
    github        = { webhook_secrets = [{ ssm = "/w" }], token = { ssm = "/t" } }
    notifications = { waiting_after = "10m" }
  }
  expect_failures = [var.notifications]
}

run "an_action_that_is_no_arn" {
  command = plan
  variables {
    alarms = { actions = ["somebody@example.com"] }
  }
  expect_failures = [var.alarms]
}

run "an_impatient_alarm" {
  command = plan
  variables {
    alarms = { job_wait_seconds = 10 }
  }
  expect_failures = [var.alarms]
}

run "metrics_perhaps" {
  command = plan
  variables {
    cloudwatch_metrics = null
  }
  expect_failures = [var.cloudwatch_metrics]
}

run "a_log_level" {
  command = plan
  variables {
    log_level = "loud"
  }
  expect_failures = [var.log_level]
}

run "an_odd_period" {
  command = plan
  variables {
    log_retention_days = 42
  }
  expect_failures = [var.log_retention_days]
}

run "an_alias_for_a_key" {
  command = plan
  variables {
    secrets_kms_key_arn = "alias/mine"
  }
  expect_failures = [var.secrets_kms_key_arn]
}
