# Each validation of the input `pools`, by pools that it refuses; those of their placements are in placements.tftest.hcl.

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
  proxmox = { lab = { url = "https://pve:8006", token_id = "a@b!c", token_secret = { ssm = "/p" }, vmid_range = [9000, 9999] } }
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
  variables {
    pools = [
      { name = "first", labels = ["Linux"], organization = "o", repositories = ["slang", "o/*"], visibility = "private", allow_forks = true, runner_group = "gpu", max_runners = 9999, placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] },
      { name = "rest", labels = ["linux"], organization = "o", max_runners = 1, max_lifetime = "36600d", placements = [{ provider = "lab", template = 100, full_clone = true, storage = "local-lvm", pool = "runners" }] },
      { name = "other", labels = ["linux", join("", [for _ in range(128) : "é"])], repository = "o/.github", runner_group = "Default", max_runners = 1, placements = [{ provider = "lab", template = 8000 }] },
      { name = "mine", labels = ["linux"], enterprise = "my_enterprise-1", max_runners = 1, placements = [{ provider = "gcp", instance_template = "mine", gpu_type = "none", spot = true, zones = ["us-east1-c", "us-east1-d"] }] },
    ]
  }
}

run "no_pool" {
  command = plan
  variables {
    pools = []
  }
  expect_failures = [var.pools]
}

run "two_pools_of_one_name" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 4, placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] }, { name = "linux", labels = ["Linux"], organization = "o", max_runners = 4, placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "a_pools_name" {
  command = plan
  variables {
    pools = [{ name = "Linux", labels = ["Linux"], organization = "o", max_runners = 4, placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "no_labels" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = [], organization = "o", max_runners = 4, placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "no_scope" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], max_runners = 4, placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "two_scopes" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", enterprise = "e", max_runners = 4, placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "an_unknown_visibility" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", visibility = "internal", max_runners = 4, placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "an_unknown_platform" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", platform = "macos", max_runners = 4, placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "no_runners" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 0, placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "too_many_runners" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 10000, placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "more_warm_than_all" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 4, min_runners = 5, placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "a_wait_without_unit" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", boot_timeout = "10", max_runners = 4, placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "a_wait_of_nothing" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_lifetime = "0h", max_runners = 4, placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "a_label_with_a_comma" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux,GPU"], organization = "o", max_runners = 4, placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "a_label_of_two_lines" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux\nGPU"], organization = "o", max_runners = 4, placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "a_label_of_spaces" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["  "], organization = "o", max_runners = 4, placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "a_label_of_257_bytes" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = [join("", concat([for _ in range(255) : "x"], ["é"]))], organization = "o", max_runners = 4, placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "an_organizations_address" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "https://github.com/o", max_runners = 4, placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "an_enterprise_with_a_space" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], enterprise = "my enterprise", max_runners = 4, placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "a_repository_without_its_owner" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], repository = "slang", max_runners = 4, placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "a_pattern_of_a_path" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 4, repositories = ["a/b/c"], placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "an_empty_pattern" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 4, repositories = [""], placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "a_repositorys_runner_group" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], repository = "o/r", max_runners = 4, runner_group = "gpu", placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "two_pools_that_no_job_can_tell_apart" {
  command = plan
  variables {
    pools = [
      { name = "a", labels = ["self-hosted", "Linux"], organization = "o", max_runners = 4, placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] },
      { name = "b", labels = ["linux", "self-hosted"], organization = "o", max_runners = 4, repositories = ["slang"], placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] },
    ]
  }
  expect_failures = [var.pools]
}

run "two_pools_of_the_same_repositories" {
  command = plan
  variables {
    pools = [
      { name = "a", labels = ["Linux"], organization = "o", max_runners = 4, repositories = ["slang"], placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] },
      { name = "b", labels = ["Linux"], organization = "o", max_runners = 4, repositories = ["Slang"], placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] },
    ]
  }
  expect_failures = [var.pools]
}

run "half_a_runner" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 1.5, placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "a_wait_of_a_thousand_years" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 4, idle_timeout = "365000d", placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}
