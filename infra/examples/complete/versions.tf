terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.29"
    }
    google = {
      source  = "hashicorp/google"
      version = ">= 6.0"
    }
  }
}
