# Ubuntu 24.04 on Google Compute Engine that runs one GitHub Actions job and powers off.
packer {
  required_version = ">= 1.9.0"

  required_plugins {
    googlecompute = {
      source  = "github.com/hashicorp/googlecompute"
      version = "~> 1.1"
    }
  }
}

locals {
  made  = formatdate("YYYYMMDD-hhmmss", timestamp())
  guest = "${path.root}/../../proxmox/template/linux"
  files = "/tmp/mayfly"
}

source "googlecompute" "linux" {
  project_id              = var.project_id
  zone                    = var.zone
  source_image_family     = "ubuntu-2404-lts-amd64"
  source_image_project_id = ["ubuntu-os-cloud"]

  machine_type        = var.machine_type
  accelerator_type    = var.accelerator_type == "" ? null : "projects/${var.project_id}/zones/${var.zone}/acceleratorTypes/${var.accelerator_type}"
  accelerator_count   = var.accelerator_type == "" ? null : 1
  on_host_maintenance = "TERMINATE"
  disk_size           = var.disk_size_gb
  disk_type           = "pd-balanced"

  network          = var.network
  subnetwork       = var.subnetwork
  use_iap          = var.use_iap
  omit_external_ip = var.use_iap
  use_internal_ip  = var.use_iap

  # Nothing in it needs Google's APIs.
  disable_default_service_account = true
  enable_secure_boot              = true
  enable_vtpm                     = true
  enable_integrity_monitoring     = true
  ssh_username                    = "packer"
  ssh_clear_authorized_keys       = true
  metadata                        = { block-project-ssh-keys = "true" }

  image_name        = "${var.image_family}-${local.made}"
  image_family      = var.image_family
  image_description = "Mayfly: runner ${var.runner_version}, driver ${var.nvidia_driver}"
  image_labels      = { runner = replace(var.runner_version, ".", "-") }
}

build {
  sources = ["source.googlecompute.linux"]

  provisioner "shell" {
    script          = "${path.root}/system.sh"
    execute_command = "chmod +x {{ .Path }}; sudo {{ .Vars }} {{ .Path }}"
    environment_vars = [
      "NVIDIA_DRIVER=${var.nvidia_driver}",
      "DOCKER=${var.docker}",
      "PACKAGES=${join(" ", var.packages)}",
    ]
  }

  # Into the kernel that VMs will have, and its driver.
  provisioner "shell" {
    inline            = ["sudo systemctl reboot"]
    expect_disconnect = true
  }

  provisioner "shell" {
    inline       = ["mkdir ${local.files}"]
    pause_before = "20s"
  }

  # The guest's part that is the same on Proxmox, and what is GCP's own.
  provisioner "file" {
    sources = [
      "${local.guest}/mayfly-runner",
      "${local.guest}/mayfly-runner.service",
      "${local.guest}/mayfly-deadline.service",
      "${local.guest}/mayfly-deadline.timer",
      "${local.guest}/mayfly-unused.service",
      "${local.guest}/mayfly-unused.timer",
      "${path.root}/from-metadata",
      "${path.root}/metadata.nft",
      "${path.root}/gcp.conf",
    ]
    destination = "${local.files}/"
  }

  provisioner "shell" {
    script          = "${path.root}/runner.sh"
    execute_command = "chmod +x {{ .Path }}; sudo {{ .Vars }} {{ .Path }} ${local.files}"
    environment_vars = [
      "RUNNER_VERSION=${var.runner_version}",
      "RUNNER_SHA256=${var.runner_sha256}",
      "NVIDIA_DRIVER=${var.nvidia_driver}",
      "DOCKER=${var.docker}",
      "JOBS_SUDO=${var.jobs_sudo}",
      "METADATA_FOR_JOBS=${var.metadata_for_jobs}",
    ]
  }
}
