variable "deployment" {
  description = "The deployment's name; its VMs' names begin with it and a hyphen."
  type        = string
}

variable "project" {
  description = "The project's id."
  type        = string
}

variable "regions" {
  description = "The regions that VMs are made in."
  type        = list(string)
}

variable "machines" {
  description = "The machines to make templates of, as in the root module's input `gcp`."
  type = map(object({
    image        = string
    machine_type = string
    gpu          = optional(string)
    gpu_count    = number
    disk_gb      = number
    disk_type    = string
    secure_boot  = bool
    metadata     = map(string)
  }))
}

variable "lifetimes" {
  description = "After how many seconds a guest of each machine powers itself off, if it still runs then."
  type        = map(number)
}

variable "aws_account" {
  description = "The number of the AWS account that the functions run in."
  type        = string
}

variable "aws_roles" {
  description = "The functions' AWS roles, by function: they alone may act as the service account."
  type        = map(string)
}
