#!/usr/bin/env bash
# Second part of the image, after the boot: proof that the driver works, the runner by its digest, the units. Packer runs it as
# root, with the files beside it and those of infra/proxmox/template/linux in the folder that it is given.
set -euo pipefail

files=${1:?the folder that Packer put the files into}
version=${RUNNER_VERSION:?such as 2.328.0}
sha256=${RUNNER_SHA256:?of actions-runner-linux-x64-VERSION.tar.gz}
nvidia_driver=${NVIDIA_DRIVER:?}
docker=${DOCKER:?}
sudo=${JOBS_SUDO:?true or false}
metadata_for_jobs=${METADATA_FOR_JOBS:?true or false}

# An image whose driver finds no GPU is none.
if [ "$nvidia_driver" != none ]; then
  nvidia-smi
fi
if [ "$docker" = true ] && [ "$nvidia_driver" != none ]; then
  docker info --format '{{ .Runtimes }}' | grep -q nvidia
fi

useradd --create-home --shell /bin/bash runner
if [ "$docker" = true ]; then
  usermod --append --groups docker runner
fi
if [ "$sudo" = true ]; then
  echo 'runner ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/mayfly-runner
  chmod 0440 /etc/sudoers.d/mayfly-runner
fi

runner=/opt/actions-runner
archive=$(mktemp)
curl --fail --silent --show-error --location --retry 3 --output "$archive" \
  "https://github.com/actions/runner/releases/download/v$version/actions-runner-linux-x64-$version.tar.gz"
if ! echo "$sha256  $archive" | sha256sum --check --quiet; then
  echo "the runner's SHA-256 is $(sha256sum "$archive" | cut -d ' ' -f 1), not $sha256" >&2
  exit 1
fi
mkdir "$runner"
tar -xzf "$archive" -C "$runner"
rm "$archive"
"$runner/bin/installdependencies.sh"
chown -R runner:runner "$runner"

install -d -m 0755 /usr/local/lib/mayfly /etc/mayfly
install -m 0755 "$files/mayfly-runner" "$files/from-metadata" /usr/local/lib/mayfly/
install -m 0644 "$files/metadata.nft" /usr/local/lib/mayfly/
nft --check --file /usr/local/lib/mayfly/metadata.nft
echo "MAYFLY_METADATA_FOR_JOBS=$metadata_for_jobs" >/etc/mayfly/environment
units=(mayfly-runner.service mayfly-deadline.service mayfly-deadline.timer mayfly-unused.service mayfly-unused.timer)
for unit in "${units[@]}"; do
  install -m 0644 "$files/$unit" /etc/systemd/system/
done
install -D -m 0644 "$files/gcp.conf" /etc/systemd/system/mayfly-runner.service.d/gcp.conf
systemctl daemon-reload
# Enabled, not started: they would power this machine off.
systemctl enable mayfly-deadline.timer mayfly-unused.timer
systemctl add-wants multi-user.target mayfly-runner.service

# Sealed: what must differ between VMs is made when each boots first; what belongs to the build goes.
rm -rf "$files"
apt-get clean
rm -rf /var/lib/apt/lists/*
cloud-init clean --logs --seed
rm -f /etc/ssh/ssh_host_* /root/.bash_history
journalctl --rotate --vacuum-time=1s >/dev/null 2>&1 || true
truncate --size 0 /etc/machine-id
