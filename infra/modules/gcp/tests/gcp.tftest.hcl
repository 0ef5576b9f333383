mock_provider "google" {
  mock_resource "google_iam_workload_identity_pool" {
    defaults = { name = "projects/42/locations/global/workloadIdentityPools/mayfly-prod" }
  }
  mock_resource "google_iam_workload_identity_pool_provider" {
    defaults = { name = "projects/42/locations/global/workloadIdentityPools/mayfly-prod/providers/aws-lambda" }
  }
  mock_resource "google_service_account" {
    defaults = {
      email  = "mayfly-prod@my-project.iam.gserviceaccount.com"
      member = "serviceAccount:mayfly-prod@my-project.iam.gserviceaccount.com"
      name   = "projects/my-project/serviceAccounts/mayfly-prod@my-project.iam.gserviceaccount.com"
    }
  }
}

variables {
  deployment  = "prod"
  project     = "my-project"
  regions     = ["us-east1", "us-central1"]
  aws_account = "123456789012"
  aws_roles   = { webhook = "mayfly-prod-webhook", sweeper = "mayfly-prod-sweeper" }
  lifetimes   = { t4 = 21600, l4 = 86400, plain = 3600, t4-vws = 3600, l4-vws = 3600, l4s-vws = 3600, a100 = 3600 }
  machines = {
    t4    = { image = "family/linux", machine_type = "n1-standard-8", gpu = "nvidia-tesla-t4", gpu_count = 2, disk_gb = 100, disk_type = "pd-balanced", secure_boot = true, metadata = { extra = "yes" } }
    l4    = { image = "family/windows", machine_type = "g2-standard-8", gpu = "nvidia-l4", gpu_count = 1, disk_gb = 200, disk_type = "pd-ssd", secure_boot = false, metadata = {} }
    plain = { image = "family/linux", machine_type = "e2-standard-4", gpu_count = 1, disk_gb = 50, disk_type = "pd-balanced", secure_boot = false, metadata = {} }

    t4-vws  = { image = "family/windows", machine_type = "n1-standard-8", gpu = "nvidia-tesla-t4-vws", gpu_count = 1, disk_gb = 50, disk_type = "pd-balanced", secure_boot = false, metadata = {} }
    l4-vws  = { image = "family/windows", machine_type = "g2-standard-8", gpu = "nvidia-l4-vws", gpu_count = 1, disk_gb = 50, disk_type = "pd-balanced", secure_boot = false, metadata = {} }
    l4s-vws = { image = "family/windows", machine_type = "g2-standard-24", gpu = "nvidia-l4-vws", gpu_count = 1, disk_gb = 50, disk_type = "pd-balanced", secure_boot = false, metadata = {} }
    a100    = { image = "family/linux", machine_type = "a2-highgpu-1g", gpu_count = 1, disk_gb = 50, disk_type = "pd-balanced", secure_boot = false, metadata = {} }
  }
}

run "keyless" {
  assert {
    condition     = jsondecode(output.credentials).type == "external_account" && jsondecode(output.credentials).audience == "//iam.googleapis.com/projects/42/locations/global/workloadIdentityPools/mayfly-prod/providers/aws-lambda"
    error_message = "The functions' credentials are ${output.credentials}."
  }

  # The mocked name is a real one's: its end is the id that was asked for.
  assert {
    condition     = endswith(google_iam_workload_identity_pool_provider.aws.name, "/${google_iam_workload_identity_pool_provider.aws.workload_identity_pool_provider_id}")
    error_message = "The pool's provider is ${google_iam_workload_identity_pool_provider.aws.workload_identity_pool_provider_id}, and the credentials name ${google_iam_workload_identity_pool_provider.aws.name}."
  }

  # A function that was told of a metadata server would ask it, and wait in vain: Lambda has none.
  assert {
    condition     = !strcontains(output.credentials, "169.254") && toset(keys(jsondecode(output.credentials).credential_source)) == toset(["environment_id", "regional_cred_verification_url"])
    error_message = "The credentials name a metadata server."
  }

  assert {
    condition     = google_iam_workload_identity_pool_provider.aws.attribute_condition == "attribute.aws_role in ['mayfly-prod-sweeper', 'mayfly-prod-webhook']"
    error_message = "Others than the two roles could log in: ${google_iam_workload_identity_pool_provider.aws.attribute_condition}."
  }

  assert {
    condition = toset(values(google_service_account_iam_member.this)[*].member) == toset([
      for role in ["webhook", "sweeper"] : "principalSet://iam.googleapis.com/projects/42/locations/global/workloadIdentityPools/mayfly-prod/attribute.aws_role/mayfly-prod-${role}"
    ])
    error_message = "Not the two roles, and they alone, may act as the service account."
  }
}

run "least_rights" {
  assert {
    condition     = google_project_iam_member.ours.condition[0].expression == "(resource.type == \"compute.googleapis.com/Disk\" && resource.name.extract(\"/disks/{name}\").startsWith(\"prod-\")) || (resource.type == \"compute.googleapis.com/Instance\" && resource.name.extract(\"/instances/{name}\").startsWith(\"prod-\"))"
    error_message = "What changes VMs is not limited to our names: ${google_project_iam_member.ours.condition[0].expression}."
  }

  assert {
    condition     = alltrue([for permission in concat(local.permissions.look, local.permissions.network) : !can(regex("create|delete|set|insert|update", permission))])
    error_message = "A right to change something has no condition."
  }
}

run "machines" {
  assert {
    condition     = alltrue([for template in google_compute_instance_template.this : length(template.service_account) == 0 && length(template.network_interface[0].access_config) == 0])
    error_message = "A VM has a service account, or an address on the internet."
  }

  assert {
    condition     = google_compute_instance_template.this["t4"].guest_accelerator[0].count == 2 && length(google_compute_instance_template.this["l4"].guest_accelerator) == 0 && length(google_compute_instance_template.this["plain"].guest_accelerator) == 0
    error_message = "An N1 machine is told of its GPUs, a G2 one brings them along."
  }

  assert {
    condition = { for name in ["t4-vws", "l4-vws", "l4s-vws"] : name => [for asked in google_compute_instance_template.this[name].guest_accelerator : "${asked.count} ${asked.type}"] } == {
      t4-vws = ["1 nvidia-tesla-t4-vws"], l4-vws = ["1 nvidia-l4-vws"], l4s-vws = ["2 nvidia-l4-vws"]
    }
    error_message = "A machine for Direct3D and Vulkan is not told that it draws."
  }

  assert {
    condition     = { for name, template in google_compute_instance_template.this : name => template.scheduling[0].on_host_maintenance if name != "plain" } == { for name in ["t4", "l4", "t4-vws", "l4-vws", "l4s-vws", "a100"] : name => "TERMINATE" } && google_compute_instance_template.this["plain"].scheduling[0].on_host_maintenance == "MIGRATE"
    error_message = "A VM with a GPU cannot be moved."
  }

  assert {
    condition     = google_compute_instance_template.this["t4"].metadata.extra == "yes" && google_compute_instance_template.this["t4"].metadata.serial-port-enable == "false" && google_compute_instance_template.this["l4"].metadata.max-lifetime == "86400"
    error_message = "The machine's metadata is not added to the template's."
  }

  assert {
    condition     = toset(keys(google_compute_router_nat.this)) == toset(["us-east1", "us-central1"]) && toset(keys(google_compute_subnetwork_iam_member.this)) == toset(["us-east1", "us-central1"])
    error_message = "A region lacks its way out, or the right to use its network."
  }
}

# What limits.py holds against the documentation: the longest names that the root module takes, and the shortest.
run "the_longest_names" {
  variables {
    deployment = "abcdefghijklmno"
    aws_roles  = { webhook = "mayfly-abcdefghijklmno-webhook", sweeper = "mayfly-abcdefghijklmno-sweeper" }
    lifetimes  = { abcdefghijklmnopqrst = 3600 }
    machines   = { abcdefghijklmnopqrst = { image = "i", machine_type = "e2-standard-4", gpu_count = 1, disk_gb = 50, disk_type = "pd-balanced", secure_boot = true, metadata = {} } }
  }
}

run "the_shortest_names" {
  variables {
    deployment = "a"
    aws_roles  = { webhook = "mayfly-a-webhook", sweeper = "mayfly-a-sweeper" }
    lifetimes  = { a = 3600 }
    machines   = { a = { image = "i", machine_type = "e2-standard-4", gpu_count = 1, disk_gb = 50, disk_type = "pd-balanced", secure_boot = true, metadata = {} } }
  }
}
