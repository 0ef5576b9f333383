#!/usr/bin/env bash
# First part of the image: what comes from Ubuntu's and NVIDIA's archives. Packer runs it as root, then boots the machine anew.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

nvidia_driver=${NVIDIA_DRIVER:?a branch such as 580-server, or none}
docker=${DOCKER:?true or false}
packages=${PACKAGES-}

# Whatever cloud-init still does at the first boot holds apt's lock.
cloud-init status --wait >/dev/null || true
# A VM that lives for one job updates nothing by itself, and a lock of apt's would make jobs fail.
systemctl disable --now apt-daily.timer apt-daily-upgrade.timer unattended-upgrades.service || true
! command -v snap >/dev/null || snap set system refresh.hold=forever

install_packages() {
  apt-get --option Acquire::Retries=3 --option DPkg::Lock::Timeout=300 --yes --no-install-recommends install "$@"
}

apt-get update
apt-get --option DPkg::Lock::Timeout=300 --yes full-upgrade
# What the runner and its commonest actions need.
read -ra more <<<"$packages"
install_packages build-essential ca-certificates curl git git-lfs gnupg jq nftables tar unzip zip zstd "${more[@]}"

if [ "$nvidia_driver" != none ]; then
  # Ubuntu's kernel modules for exactly its kernels on GCP: signed, so that Secure Boot can stay on, and nothing is compiled.
  # The kernel and its modules are upgraded together; later kernels are never installed.
  install_packages linux-gcp "linux-modules-nvidia-$nvidia_driver-gcp" "nvidia-headless-no-dkms-$nvidia_driver" \
    "nvidia-utils-$nvidia_driver" "libnvidia-gl-$nvidia_driver" libvulkan1 vulkan-tools
fi

if [ "$docker" = true ]; then
  install_packages docker.io docker-buildx docker-compose-v2
fi

if [ "$docker" = true ] && [ "$nvidia_driver" != none ]; then
  # Ubuntu has no container toolkit. The archive is known by its key, the key by its fingerprint.
  fingerprint=C95B321B61E88C1809C4F759DDCAE044F796ECB0
  archive=https://nvidia.github.io/libnvidia-container
  keyring=/usr/share/keyrings/nvidia-container-toolkit.gpg
  curl --fail --silent --show-error --location --retry 3 "$archive/gpgkey" | gpg --batch --yes --dearmor --output "$keyring"
  found=$(gpg --show-keys --with-colons "$keyring" | awk -F : '$1 == "pub" { main = 1 } $1 == "fpr" && main { print $10; main = 0 }')
  if [ "$found" != "$fingerprint" ]; then
    echo "the key of $archive is $found, not $fingerprint" >&2
    exit 1
  fi
  echo "deb [signed-by=$keyring] $archive/stable/deb/\$(ARCH) /" >/etc/apt/sources.list.d/nvidia-container-toolkit.list
  apt-get update
  install_packages nvidia-container-toolkit
  nvidia-ctk runtime configure --runtime=docker
fi

apt-get --yes autoremove --purge
