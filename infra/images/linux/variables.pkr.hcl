variable "project_id" {
  type        = string
  description = "The Google Cloud project in which the image is built and kept."
}

variable "zone" {
  type        = string
  description = "Where it is built: a zone that has the GPU."
}

variable "runner_version" {
  type        = string
  description = "Version of github.com/actions/runner, the newest on its releases' page. GitHub refuses one that is too old: build a new image each month."

  validation {
    condition     = can(regex("^[0-9]+\\.[0-9]+\\.[0-9]+$", var.runner_version))
    error_message = "The runner_version must be like 2.328.0, without a v."
  }
}

variable "runner_sha256" {
  type        = string
  description = "SHA-256 of actions-runner-linux-x64-VERSION.tar.gz, from the release's page."

  validation {
    condition     = can(regex("^[0-9a-f]{64}$", var.runner_sha256))
    error_message = "The runner_sha256 must be 64 hexadecimal digits in lower case."
  }
}

variable "nvidia_driver" {
  type        = string
  description = "Branch of Ubuntu's NVIDIA packages, such as 580-server, or none for an image without a driver."
  default     = "580-server"

  validation {
    condition     = can(regex("^([0-9]+(-server|-open|-server-open)?|none)$", var.nvidia_driver))
    error_message = "The nvidia_driver must be a branch such as 580-server, or none."
  }
}

variable "machine_type" {
  type        = string
  description = "Machine that the image is built on: n1 takes an accelerator_type, g2 brings its own (L4)."
  default     = "n1-standard-4"
}

variable "accelerator_type" {
  type        = string
  description = "GPU that the driver is tried on while it is built; empty for machines that bring their own, or without a driver."
  default     = "nvidia-tesla-t4"
}

variable "docker" {
  type        = bool
  description = "Whether to install Docker, and let jobs use it. Who may use it may be root in the VM."
  default     = true
}

variable "jobs_sudo" {
  type        = bool
  description = "Whether jobs may be root by sudo, as on GitHub's own runners."
  default     = false
}

variable "metadata_for_jobs" {
  type        = bool
  description = "Whether jobs may ask the metadata server: only where the VMs have a service account that jobs are to use."
  default     = false
}

variable "packages" {
  type        = list(string)
  description = "Ubuntu's packages that your jobs need besides."
  default     = []
}

variable "disk_size_gb" {
  type        = number
  description = "Size of the image; VMs can have larger disks."
  default     = 50
}

variable "image_family" {
  type        = string
  description = "The image's family: an instance template that names it takes its newest image."
  default     = "mayfly-linux-gpu"
}

variable "network" {
  type        = string
  description = "VPC network of the machine that builds."
  default     = "default"
}

variable "subnetwork" {
  type        = string
  description = "Its subnetwork; empty in a network that has them by itself."
  default     = ""
}

variable "use_iap" {
  type        = bool
  description = "Whether to reach the machine by Identity-Aware Proxy, without an external address. The network then needs Cloud NAT."
  default     = false
}
