# One repository, one pool of Linux VMs with a T4 each.

provider "aws" {
  region = var.aws_region
}

provider "google" {
  project = var.gcp_project
}

module "mayfly" {
  source = "../../"

  deployment = "prod"
  zips = {
    webhook = "${path.root}/../../../target/lambda/webhook/bootstrap.zip"
    sweeper = "${path.root}/../../../target/lambda/sweeper/bootstrap.zip"
  }

  github = {
    webhook_secrets = [{ ssm = "/mayfly/webhook-secret" }]
    app             = { client_id = var.github_client_id, private_key = { ssm = "/mayfly/app-key" } }
  }

  gcp = {
    project = var.gcp_project
    machines = {
      linux-t4 = {
        image        = "projects/${var.gcp_project}/global/images/family/mayfly-linux-gpu"
        machine_type = "n1-standard-8"
        gpu          = "nvidia-tesla-t4"
      }
    }
  }

  reserved_concurrency = var.reserved_concurrency

  pools = [{
    name        = "linux-gpu"
    labels      = ["self-hosted", "Linux", "X64", "GPU"]
    repository  = var.github_repository
    max_runners = 4
    placements = [{
      provider = "gcp"
      machine  = "linux-t4"
      zones    = ["us-east1-c", "us-east1-d", "us-central1-a", "us-west1-a"]
    }]
  }]
}
