terraform {
  # 1.9: a variable's validation may look at other variables.
  required_version = ">= 1.9"

  required_providers {
    # 6.29: aws_lambda_permission.invoked_via_function_url, which a Function URL needs since October 2025.
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.29"
    }
    google = {
      source  = "hashicorp/google"
      version = ">= 6.0"
    }
    archive = {
      source  = "hashicorp/archive"
      version = ">= 2.4"
    }
  }
}
