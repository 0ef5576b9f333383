# Windows Server 2022 on Google Compute Engine that runs one GitHub Actions job and powers off.
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
  guest = "${path.root}/../../proxmox/template/windows"
  files = "C:/mayfly-build"
  # from-metadata.ps1 removes this user at the first boot.
  user = "packer"
}

source "googlecompute" "windows" {
  project_id              = var.project_id
  zone                    = var.zone
  source_image_family     = "windows-2022"
  source_image_project_id = ["windows-cloud"]

  machine_type        = var.machine_type
  accelerator_type    = var.accelerator_type == "" ? null : "projects/${var.project_id}/zones/${var.zone}/acceleratorTypes/${var.accelerator_type}"
  accelerator_count   = var.accelerator_type == "" ? null : 1
  on_host_maintenance = "TERMINATE"
  disk_size           = var.disk_size_gb
  disk_type           = "pd-ssd"

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

  communicator   = "winrm"
  winrm_username = local.user
  winrm_use_ssl  = true
  # The certificate was made by the machine itself at its first boot.
  winrm_insecure = true
  winrm_timeout  = "20m"
  metadata = {
    sysprep-specialize-script-cmd = "winrm quickconfig -quiet & net user /add ${local.user} & net localgroup administrators ${local.user} /add & winrm set winrm/config/service/auth @{Basic=\"true\"}"
  }

  image_name        = "${var.image_family}-${local.made}"
  image_family      = var.image_family
  image_description = "Mayfly: runner ${var.runner_version}"
  image_labels      = { runner = replace(var.runner_version, ".", "-") }
}

build {
  sources = ["source.googlecompute.windows"]

  provisioner "powershell" {
    script = "${path.root}/system.ps1"
    environment_vars = [
      "NVIDIA_DRIVER_URL=${var.nvidia_driver_url}",
      "NVIDIA_DRIVER_SHA256=${var.nvidia_driver_sha256}",
      "DOCKER_VERSION=${var.docker_version}",
      "DOCKER_SHA256=${var.docker_sha256}",
    ]
  }

  provisioner "windows-restart" {
    restart_timeout = "15m"
  }

  provisioner "powershell" {
    inline = ["New-Item -ItemType Directory -Path ${local.files} | Out-Null"]
  }

  # The guest's part that is the same on Proxmox, and what is GCP's own.
  provisioner "file" {
    sources = [
      "${local.guest}/install.ps1",
      "${local.guest}/mayfly-runner.ps1",
      "${local.guest}/start-job.ps1",
      "${path.root}/from-metadata.ps1",
    ]
    destination = "${local.files}/"
  }

  provisioner "powershell" {
    inline = [
      "& ${local.files}/install.ps1 -RunnerVersion ${var.runner_version} -RunnerSha256 ${var.runner_sha256} -Fetch ${local.files}/from-metadata.ps1 -SerialPort COM1 ${var.jobs_administrator ? "-Administrator" : ""}",
    ]
  }

  provisioner "powershell" {
    script = "${path.root}/seal.ps1"
    # After it nobody can log in any more.
    skip_clean = true
    environment_vars = [
      "NVIDIA_DRIVER_URL=${var.nvidia_driver_url}",
      "METADATA_FOR_JOBS=${var.metadata_for_jobs}",
    ]
  }
}
