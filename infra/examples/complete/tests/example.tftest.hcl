# `terraform test`, after the functions' zips have been built. Nothing is made: all providers are mocked.

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
  mock_resource "aws_apigatewayv2_api" {
    defaults = { api_endpoint = "https://abc.execute-api.us-east-1.amazonaws.com" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:us-east-1:123456789012:mayfly-slang-alarms" }
  }
}
mock_provider "google" {}
mock_provider "archive" {}

override_resource {
  target = module.mayfly.module.gcp[0].google_compute_instance_template.this["linux-t4"]
  values = { name = "mayfly-slang-linux-t4-20261122000000000000000001" }
}
override_resource {
  target = module.mayfly.module.gcp[0].google_compute_instance_template.this["windows-l4"]
  values = { name = "mayfly-slang-windows-l4-20261122000000000000000001" }
}

variables {
  gcp_project         = "my-project"
  github_client_id    = "Iv23liEXAMPLE"
  github_organization = "my-organization"
  proxmox = {
    url        = "https://pve.example.com:8006"
    vmid_range = [9000, 9999]
    template   = 8000
    ca         = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
  }
  vpc        = { subnet_ids = ["subnet-1", "subnet-2"], security_group_ids = ["sg-1"] }
  alarm_mail = "somebody@example.com"
}

run "applies" {
  assert {
    condition     = output.webhook_url == "https://abc.execute-api.us-east-1.amazonaws.com/webhook"
    error_message = "The address for the GitHub App is ${output.webhook_url}."
  }

  assert {
    condition     = output.health_url == "https://abc.execute-api.us-east-1.amazonaws.com/healthz" && endswith(output.dashboard_url, "#dashboards/dashboard/mayfly-slang")
    error_message = "The other addresses are ${output.health_url} and ${output.dashboard_url}."
  }

  assert {
    condition     = output.mayfly_toml == file("../../test/fixtures/complete.toml")
    error_message = "mayfly.toml is not as test/fixtures/complete.toml, which Mayfly's own tests start with:\n${output.mayfly_toml}"
  }
}
