terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.31, < 7"
    }
    google = {
      source  = "hashicorp/google"
      version = ">= 6.1, < 9"
    }
    # Only the module uses it; named here so that the test can mock it.
    archive = {
      source  = "hashicorp/archive"
      version = ">= 2.4, < 3"
    }
  }
}
