# Each validation of the placements in the input `pools`, by a placement that it refuses.

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

run "no_placement" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 4, placements = [] }]
  }
  expect_failures = [var.pools]
}

run "an_unknown_provider" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 4, placements = [{ provider = "attic", template = 8000 }] }]
  }
  expect_failures = [var.pools]
}

run "google_that_is_not_given" {
  command = plan
  variables {
    gcp = null
  }
  expect_failures = [var.pools]
}

run "an_unknown_machine" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 4, placements = [{ provider = "gcp", machine = "t5", zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "a_machine_and_a_template" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 4, placements = [{ provider = "gcp", machine = "t4", instance_template = "mine", zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "neither_machine_nor_template" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 4, placements = [{ provider = "gcp", zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "a_machine_and_a_gpu_type" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 4, placements = [{ provider = "gcp", machine = "t4", gpu_type = "nvidia-l4", zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "no_zone" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 4, placements = [{ provider = "gcp", machine = "t4" }] }]
  }
  expect_failures = [var.pools]
}

run "a_region_for_a_zone" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 4, placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1"] }] }]
  }
  expect_failures = [var.pools]
}

run "no_template_on_proxmox" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 4, placements = [{ provider = "lab" }] }]
  }
  expect_failures = [var.pools]
}

run "a_template_without_a_name" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 4, placements = [{ provider = "gcp", instance_template = "", zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "a_zone_twice" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 4, placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c", "us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "template_on_google" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 4, placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"], template = 8000 }] }]
  }
  expect_failures = [var.pools]
}

run "full_clone_on_google" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 4, placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"], full_clone = false }] }]
  }
  expect_failures = [var.pools]
}

run "storage_on_google" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 4, placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"], storage = "local-lvm", full_clone = true }] }]
  }
  expect_failures = [var.pools]
}

run "pool_on_google" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 4, placements = [{ provider = "gcp", machine = "t4", zones = ["us-east1-c"], pool = "runners" }] }]
  }
  expect_failures = [var.pools]
}

run "machine_on_proxmox" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 4, placements = [{ provider = "lab", template = 8000, machine = "t4" }] }]
  }
  expect_failures = [var.pools]
}

run "instance_template_on_proxmox" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 4, placements = [{ provider = "lab", template = 8000, instance_template = "mine" }] }]
  }
  expect_failures = [var.pools]
}

run "zones_on_proxmox" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 4, placements = [{ provider = "lab", template = 8000, zones = ["us-east1-c"] }] }]
  }
  expect_failures = [var.pools]
}

run "gpu_type_on_proxmox" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 4, placements = [{ provider = "lab", template = 8000, gpu_type = "none" }] }]
  }
  expect_failures = [var.pools]
}

run "spot_on_proxmox" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 4, placements = [{ provider = "lab", template = 8000, spot = false }] }]
  }
  expect_failures = [var.pools]
}

run "a_template_that_proxmox_has_not" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 4, placements = [{ provider = "lab", template = 99 }] }]
  }
  expect_failures = [var.pools]
}

run "a_storage_for_a_linked_clone" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 4, placements = [{ provider = "lab", template = 8000, storage = "local-lvm" }] }]
  }
  expect_failures = [var.pools]
}

run "a_price_below_zero" {
  command = plan
  variables {
    pools = [{ name = "linux", labels = ["Linux"], organization = "o", max_runners = 4, placements = [{ provider = "lab", template = 8000, price_per_hour = -0.1 }] }]
  }
  expect_failures = [var.pools]
}
