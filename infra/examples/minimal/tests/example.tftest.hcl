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
  mock_resource "aws_lambda_function_url" {
    defaults = { function_url = "https://abc.lambda-url.us-east-1.on.aws/" }
  }
}
mock_provider "google" {}
mock_provider "archive" {}

override_resource {
  target = module.mayfly.module.gcp[0].google_compute_instance_template.this["linux-t4"]
  values = { name = "mayfly-prod-linux-t4-20261122000000000000000001" }
}

variables {
  gcp_project       = "my-project"
  github_client_id  = "Iv23liEXAMPLE"
  github_repository = "my-organization/my-repository"
}

run "applies" {
  assert {
    condition     = output.webhook_url == "https://abc.lambda-url.us-east-1.on.aws/webhook"
    error_message = "The address for the GitHub App is ${output.webhook_url}."
  }

  assert {
    condition     = output.health_url == "https://abc.lambda-url.us-east-1.on.aws/healthz" && endswith(output.dashboard_url, "#dashboards/dashboard/mayfly-prod")
    error_message = "The other addresses are ${output.health_url} and ${output.dashboard_url}."
  }

  assert {
    condition     = output.mayfly_toml == file("../../test/fixtures/minimal.toml")
    error_message = "mayfly.toml is not as test/fixtures/minimal.toml, which Mayfly's own tests start with:\n${output.mayfly_toml}"
  }
}
