# All ways at once, of which the README's table of rights is made.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { region = "us-east-1" }
  }
  mock_resource "aws_dynamodb_table" {
    defaults = { arn = "arn:aws:dynamodb:us-east-1:123456789012:table/mayfly-prod" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:us-east-1:123456789012:log-group:x" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:us-east-1:123456789012:mayfly-prod-dead-letters" }
  }
  mock_resource "aws_lambda_function_url" {
    defaults = { function_url = "https://abc.lambda-url.us-east-1.on.aws/" }
  }
  mock_resource "aws_apigatewayv2_api" {
    defaults = { api_endpoint = "https://abc.execute-api.us-east-1.amazonaws.com" }
  }
}
mock_provider "google" {}
mock_provider "archive" {}

run "every_way" {
  variables {
    deployment = "prod"
    zips       = { webhook = "main.tf", sweeper = "main.tf" }
    github = {
      webhook_secrets = [{ ssm = "/mayfly/webhook-secret" }, { secretsmanager = "mayfly/old" }]
      app             = { client_id = "Iv23liEXAMPLE", private_key = { ssm = "/mayfly/app-key" } }
    }
    gcp = {
      project  = "my-project"
      machines = { t4 = { image = "family/linux", machine_type = "n1-standard-8", gpu = "nvidia-tesla-t4" } }
    }
    proxmox = { lab = { url = "https://pve:8006", token_id = "a@b!c", token_secret = { secretsmanager = "mayfly/lab" }, vmid_range = [9000, 9999] } }
    vpc     = { subnet_ids = ["subnet-1"], security_group_ids = ["sg-1"] }
    pools = [{
      name         = "linux"
      labels       = ["Linux"]
      organization = "my-organization"
      max_runners  = 4
      placements   = [{ provider = "lab", template = 8000 }, { provider = "gcp", machine = "t4", zones = ["us-east1-c"] }]
    }]
  }

  assert {
    condition     = length(module.gcp) == 1
    error_message = "Nothing of Google Cloud is made."
  }
}
