variable "name" {
  description = "The name of what is made here."
  type        = string
}

variable "kind" {
  description = "`function_url` or `http_api`."
  type        = string
}

variable "page" {
  description = "Whether there is a status page."
  type        = bool
}

variable "function_name" {
  description = "The webhook function's name."
  type        = string
}

variable "function_invoke_arn" {
  description = "The ARN by which API Gateway calls the function."
  type        = string
}

variable "log_retention_days" {
  description = "How long access logs are kept."
  type        = number
}
