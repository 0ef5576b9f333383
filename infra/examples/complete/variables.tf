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

variable "github_organization" {
  description = "Where the runners register."
  type        = string
}

variable "proxmox" {
  description = "The lab's cluster: its API, its own CA (the text of /etc/pve/pve-root-ca.pem), the VM ids that are Mayfly's alone, and the template's id."
  type = object({
    url        = string
    ca         = string
    vmid_range = tuple([number, number])
    template   = number
  })
}

variable "vpc" {
  description = "Private subnets with a way to the lab and one to the internet, and the functions' security groups."
  type = object({
    subnet_ids         = list(string)
    security_group_ids = list(string)
  })
}

variable "alarm_mail" {
  description = "Who is told of alarms."
  type        = string
}

variable "reserved_concurrency" {
  description = "How many environments of each function there may be at a time; -1 is no limit of its own. The account's limit must be 100 more than both."
  type        = object({ webhook = number, sweeper = number })
  default     = { webhook = 200, sweeper = 2 }
}
