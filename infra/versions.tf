terraform {
  # 1.9: a variable's validation may look at other variables.
  required_version = ">= 1.9"

  required_providers {
    # With aws_lambda_permission.invoked_via_function_url, which a Function URL needs since October 2025. The oldest versions are tested, and the newest.
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.31, < 7"
    }
    google = {
      source  = "hashicorp/google"
      version = ">= 6.1, < 9"
    }
    archive = {
      source  = "hashicorp/archive"
      version = ">= 2.4, < 3"
    }
  }
}
