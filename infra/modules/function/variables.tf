variable "name" {
  description = "The function's name, and its role's."
  type        = string
}

variable "description" {
  description = "What the function is for."
  type        = string
}

variable "zip" {
  description = "Path of the zip with `bootstrap` (arm64) in it."
  type        = string
}

variable "timeout_seconds" {
  description = "How long an invocation may take."
  type        = number
}

variable "reserved_concurrency" {
  description = "How many environments there may be at a time; -1 is no limit of its own."
  type        = number
}

variable "layer_arn" {
  description = "The layer version with the configuration."
  type        = string
}

variable "environment" {
  description = "Environment variables; no secrets."
  type        = map(string)
}

variable "statements" {
  description = "IAM statements for what the code calls."
  type = list(object({
    Sid      = string
    Effect   = string
    Action   = list(string)
    Resource = list(string)
  }))
}

variable "kms_key_arn" {
  description = "The key that the secrets are encrypted with; null for AWS's own."
  type        = string
}

variable "vpc" {
  description = "The subnets and security groups; null for no VPC."
  type = object({
    subnet_ids         = list(string)
    security_group_ids = list(string)
  })
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
}
