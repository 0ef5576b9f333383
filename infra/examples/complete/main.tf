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
    # Two while one is being rotated: the new one first.
    webhook_secrets = [{ secretsmanager = "mayfly/webhook-secret" }, { ssm = "/mayfly/webhook-secret-old" }]
    app             = { client_id = var.github_client_id, private_key = { secretsmanager = "mayfly/app-key" } }
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
      url          = "https://pve.example.com:8006"
      token_id     = "mayfly@pve!mayfly"
      token_secret = { ssm = "/mayfly/proxmox-token" }
      vmid_range   = [9000, 9999]
      ca           = var.proxmox_ca
    }
  }
  vpc = var.vpc

  pools = [
    {
      name         = "linux-gpu"
      labels       = ["self-hosted", "Linux", "X64", "GPU"]
      organization = var.github_organization
      repositories = ["slang", "slang-*"]
      max_runners  = 10
      placements = [
        { provider = "lab", template = 8000 },
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
      repositories = ["slang", "slang-*"]
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
  reserved_concurrency = { webhook = 200 }
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
