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
  description = "SHA-256 of actions-runner-win-x64-VERSION.zip, from the release's page."

  validation {
    condition     = can(regex("^[0-9a-fA-F]{64}$", var.runner_sha256))
    error_message = "The runner_sha256 must be 64 hexadecimal digits."
  }
}

variable "nvidia_driver_url" {
  type        = string
  description = "NVIDIA's installer for Windows Server 2022, by https; empty for an image without a driver. Graphics need a GRID driver of Google's list."

  validation {
    condition     = can(regex("^(https://[^ ]+[.]exe)?$", var.nvidia_driver_url))
    error_message = "The nvidia_driver_url must be an https URL of an .exe file, or empty."
  }
}

variable "nvidia_driver_sha256" {
  type        = string
  description = "Its SHA-256; empty without a driver."

  validation {
    condition     = can(regex("^([0-9a-fA-F]{64})?$", var.nvidia_driver_sha256))
    error_message = "The nvidia_driver_sha256 must be 64 hexadecimal digits, or empty."
  }
}

variable "docker_version" {
  type        = string
  description = "Version of Docker's static binaries, such as 28.3.3; empty for an image without Docker."
  default     = ""

  validation {
    condition     = can(regex("^([0-9]+\\.[0-9]+\\.[0-9]+)?$", var.docker_version))
    error_message = "The docker_version must be like 28.3.3, or empty."
  }
}

variable "docker_sha256" {
  type        = string
  description = "SHA-256 of docker-VERSION.zip; Docker publishes none, so take it from a download that you trust."
  default     = ""

  validation {
    condition     = can(regex("^([0-9a-fA-F]{64})?$", var.docker_sha256))
    error_message = "The docker_sha256 must be 64 hexadecimal digits, or empty."
  }
}

variable "machine_type" {
  type        = string
  description = "Machine that the image is built on: n1 takes an accelerator_type, g2 brings its own (L4)."
  default     = "n1-standard-8"
}

variable "accelerator_type" {
  type        = string
  description = "GPU that the driver is tried on while it is built; empty for machines that bring their own, or without a driver. With a GRID driver nvidia-tesla-t4-vws."
  default     = "nvidia-tesla-t4"
}

variable "jobs_administrator" {
  type        = bool
  description = "Whether jobs may be administrators, as on GitHub's own runners."
  default     = false
}

variable "metadata_for_jobs" {
  type        = bool
  description = "Whether jobs may ask the metadata server: only where the VMs have a service account that jobs are to use."
  default     = false
}

variable "disk_size_gb" {
  type        = number
  description = "Size of the image; VMs can have larger disks."
  default     = 100
}

variable "image_family" {
  type        = string
  description = "The image's family: an instance template that names it takes its newest image."
  default     = "mayfly-windows-gpu"
}

variable "network" {
  type        = string
  description = "VPC network of the machine that builds. It must let WinRM (port 5986) in from where Packer runs."
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
