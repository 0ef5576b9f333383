variable "aws_region" {
  description = "Where the functions and the table are."
  type        = string
  default     = "us-east-1"
}

variable "gcp_project" {
  description = "The project that VMs are made in."
  type        = string
}

variable "github_client_id" {
  description = "The GitHub App's client id."
  type        = string
}

variable "github_repository" {
  description = "Where the runners register: owner/name."
  type        = string
}

variable "reserved_concurrency" {
  description = "How many environments of each function there may be at a time; -1 is no limit of its own, which every account can do."
  type        = object({ webhook = number, sweeper = number })
  default     = { webhook = -1, sweeper = -1 }
}
