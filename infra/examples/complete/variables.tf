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

variable "proxmox_ca" {
  description = "The cluster's own CA, the text of /etc/pve/pve-root-ca.pem."
  type        = string
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
