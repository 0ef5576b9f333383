variable "name" {
  description = "The name of what is made here."
  type        = string
}

variable "functions" {
  description = "The two functions' names."
  type = object({
    webhook = string
    sweeper = string
  })
}

variable "log_groups" {
  description = "The two functions' log groups."
  type = object({
    webhook = string
    sweeper = string
  })
}

variable "table" {
  description = "The table's name."
  type        = string
}

variable "dead_letters" {
  description = "The dead-letter queue's name."
  type        = string
}

variable "actions" {
  description = "Where alarms go: ARNs."
  type        = list(string)
}

variable "job_wait_seconds" {
  description = "How long a job may wait before that is an alarm."
  type        = number
}

variable "deployment" {
  description = "The deployment's name, as its metrics have it."
  type        = string
}

variable "metrics" {
  description = "Whether the functions write metrics, and a dashboard draws them."
  type        = bool
}
