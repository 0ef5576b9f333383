# An organization with two pools of GPU machines. Linux jobs go to the lab's own hosts first, and to the cloud when these are full;
# Windows jobs go to the cloud. Events come through API Gateway, the lab is reached through a VPC, alarms go to a topic.

provider "aws" {
  region = var.aws_region
}

provider "google" {
  project = var.gcp_project
}

module "mayfly" {
  source = "../../"

  deployment = "slang"
  zips = {
    webhook = "${path.root}/../../../target/lambda/webhook/bootstrap.zip"
    sweeper = "${path.root}/../../../target/lambda/sweeper/bootstrap.zip"
  }

  github = {
    # While one is rotated there are two, the new one first: [{ ssm = "/mayfly/webhook-secret-new" }, { ssm = "/mayfly/webhook-secret" }]
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
      windows-l4 = {
        image        = "projects/${var.gcp_project}/global/images/family/mayfly-windows-gpu"
        machine_type = "g2-standard-8"
        gpu          = "nvidia-l4"
        disk_gb      = 200
      }
    }
  }

  proxmox = {
    lab = {
      url          = var.proxmox.url
      token_id     = "mayfly@pve!mayfly" # as proxmox/setup.sh makes it
      token_secret = { ssm = "/mayfly/proxmox-token" }
      vmid_range   = var.proxmox.vmid_range
      ca           = var.proxmox.ca
    }
  }
  vpc = var.vpc

  pools = [
    {
      name         = "linux-gpu"
      labels       = ["self-hosted", "Linux", "X64", "GPU"]
      organization = var.github_organization
      max_runners  = 10
      placements = [
        { provider = "lab", template = var.proxmox.template },
        {
          provider = "gcp"
          machine  = "linux-t4"
          zones    = ["us-east1-c", "us-east1-d", "us-central1-a", "us-west1-a"]
        },
      ]
    },
    {
      name         = "windows-gpu"
      labels       = ["self-hosted", "Windows", "X64", "GPU"]
      organization = var.github_organization
      platform     = "windows"
      max_runners  = 6
      min_runners  = 1
      boot_timeout = "15m"
      placements = [{
        provider = "gcp"
        machine  = "windows-l4"
        zones    = ["us-east4-a", "us-east4-c", "us-central1-a"]
        spot     = true
      }]
    },
  ]

  endpoint             = "http_api"
  reserved_concurrency = var.reserved_concurrency
  timing               = { cooldown = "10m" }
  alarms               = { actions = [aws_sns_topic.alarms.arn], job_wait_seconds = 1200 }
  log_retention_days   = 90
}

resource "aws_sns_topic" "alarms" {
  #checkov:skip=CKV_AWS_26:CloudWatch may not write to a topic that is encrypted with alias/aws/sns; an alarm's text is no secret.
  name = "mayfly-slang-alarms"
}

resource "aws_sns_topic_subscription" "mail" {
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = var.alarm_mail
}
