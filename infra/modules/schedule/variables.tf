variable "name" {
  description = "The name of what is made here."
  type        = string
}

variable "account" {
  description = "The AWS account's number: only its own schedules may use the role."
  type        = string
}

variable "function_name" {
  description = "The sweeper function's name."
  type        = string
}

variable "function_arn" {
  description = "The sweeper function's ARN."
  type        = string
}
