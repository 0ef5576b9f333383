#!/usr/bin/env bash
# Makes a Proxmox VE template whose clones each run one GitHub Actions job: a cloud image with the QEMU guest agent, the
# runner, and the units beside this script. Run it as root on the node that is to hold the template.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

vmid=
storage=
image_url=
image_sha256=
runner_version=
runner_sha256=
name=mayfly-linux
architecture=x64
bridge=vmbr0
cores=4
memory=8192
disk=40G
packages=
sudo=false

usage() {
  cat <<'TEXT'
usage: make-template.sh --vmid ID --storage NAME --image-url URL --image-sha256 DIGEST
                        --runner-version X.Y.Z --runner-sha256 DIGEST [options]

  --vmid ID              the template's VM id, outside Mayfly's vmid_range
  --storage NAME         where its disk goes; linked clones are made on the same storage
  --image-url URL        a Debian or Ubuntu cloud image (qcow2 or raw)
  --image-sha256 DIGEST  its SHA-256, from the distribution's signed SHA256SUMS
  --runner-version X.Y.Z of github.com/actions/runner
  --runner-sha256 DIGEST of actions-runner-linux-ARCH-X.Y.Z.tar.gz, from the release's page
  --arch x64|arm64       [x64]
  --name NAME            [mayfly-linux]
  --cores N              [4]
  --memory MIB           [8192]; never ballooned, so it is what each clone takes
  --disk SIZE            [40G]
  --bridge NAME          [vmbr0]; clones get their address by DHCP
  --packages A,B,C       more packages to install
  --sudo                 let jobs become root with sudo, as on GitHub's own runners
TEXT
}

die() {
  printf 'make-template.sh: %s\n' "$*" >&2
  exit 1
}

while [ $# -gt 0 ]; do
  option=$1
  case $option in
    --sudo)
      sudo=true
      shift
      continue
      ;;
    -h | --help)
      usage
      exit 0
      ;;
  esac
  [ $# -ge 2 ] && [ -n "$2" ] || die "$option wants a value, or is no option; --help lists them"
  case $option in
    --vmid) vmid=$2 ;;
    --storage) storage=$2 ;;
    --image-url) image_url=$2 ;;
    --image-sha256) image_sha256=${2,,} ;;
    --runner-version) runner_version=$2 ;;
    --runner-sha256) runner_sha256=${2,,} ;;
    --arch) architecture=$2 ;;
    --name) name=$2 ;;
    --cores) cores=$2 ;;
    --memory) memory=$2 ;;
    --disk) disk=$2 ;;
    --bridge) bridge=$2 ;;
    --packages) packages=$2 ;;
    *) die "there is no option $option; --help lists them" ;;
  esac
  shift 2
done

digest='^[0-9a-f]{64}$'
[[ $vmid =~ ^[1-9][0-9]{2,8}$ ]] || die "--vmid: \"$vmid\" is no VM id (100 to 999999999)"
[[ $storage =~ ^[A-Za-z][A-Za-z0-9._-]*$ ]] || die "--storage: \"$storage\" is no storage's name"
[[ $image_url == https://* ]] || die "--image-url: must be an https:// URL"
[[ $image_sha256 =~ $digest ]] || die "--image-sha256: must be 64 hexadecimal digits"
[[ $runner_version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || die "--runner-version: \"$runner_version\" is no version such as 2.328.0"
[[ $runner_sha256 =~ $digest ]] || die "--runner-sha256: must be 64 hexadecimal digits"
[[ $architecture =~ ^(x64|arm64)$ ]] || die "--arch: x64 or arm64"
[[ $name =~ ^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$ ]] || die "--name: \"$name\" is no host name"
[[ $cores =~ ^[1-9][0-9]*$ && $memory =~ ^[1-9][0-9]*$ ]] || die "--cores and --memory: whole numbers"
[[ $disk =~ ^[1-9][0-9]*G$ ]] || die "--disk: a size such as 40G"
[[ -z $packages || $packages =~ ^[A-Za-z0-9.+,-]+$ ]] || die "--packages: names with commas between them"
for tool in qm virt-customize wget sha256sum; do
  command -v "$tool" >/dev/null || die "there is no $tool here: run this on a node; virt-customize is in libguestfs-tools"
done
if qm status "$vmid" >/dev/null 2>&1; then
  die "VM $vmid is there already: choose another id, and change \`template\` in Mayfly's configuration to it"
fi

work=$(mktemp -d "${TMPDIR:-/var/tmp}/mayfly-template.XXXXXX")
half_made=false
clean_up() {
  rm -rf "$work"
  if $half_made; then
    qm destroy "$vmid" --purge 1 >/dev/null || printf 'make-template.sh: VM %s is left half made\n' "$vmid" >&2
  fi
}
trap clean_up EXIT
trap 'exit 130' INT TERM

fetch() {
  local url=$1 sha256=$2 file=$3
  printf 'fetching %s\n' "$url"
  wget --quiet --tries=3 --timeout=60 --output-document="$file" "$url" || die "$url cannot be fetched"
  printf '%s  %s\n' "$sha256" "$file" | sha256sum --check --quiet >/dev/null 2>&1 ||
    die "$url: its SHA-256 is $(sha256sum "$file" | cut -d ' ' -f 1), not $sha256"
}

image=$work/image.qcow2
runner=actions-runner-linux-$architecture-$runner_version.tar.gz
fetch "$image_url" "$image_sha256" "$image"
fetch "https://github.com/actions/runner/releases/download/v$runner_version/$runner" "$runner_sha256" "$work/$runner"

units=(mayfly-runner.path mayfly-runner.service mayfly-deadline.timer mayfly-deadline.service)
units+=(mayfly-unused.timer mayfly-unused.service)
customize=(
  --add "$image"
  --install "qemu-guest-agent,cloud-init,ca-certificates,curl,git,jq,tar,unzip${packages:+,$packages}"
  --run-command 'useradd --create-home --shell /bin/bash runner'
  --mkdir /opt/actions-runner
  --copy-in "$work/$runner:/opt/actions-runner"
  --run-command "cd /opt/actions-runner && tar -xzf $runner && rm $runner"
  --run-command '/opt/actions-runner/bin/installdependencies.sh'
  --run-command 'chown -R runner:runner /opt/actions-runner'
  # The JIT config is root's until the runner takes it.
  --run-command 'install -d -m 0700 -o root -g root /var/lib/mayfly'
  --mkdir /usr/local/lib/mayfly
  --upload "$here/mayfly-runner:/usr/local/lib/mayfly/mayfly-runner"
  --chmod 0755:/usr/local/lib/mayfly/mayfly-runner
)
for unit in "${units[@]}"; do
  customize+=(--upload "$here/$unit:/etc/systemd/system/$unit")
done
if $sudo; then
  customize+=(--install sudo --write '/etc/sudoers.d/mayfly-runner:runner ALL=(ALL) NOPASSWD:ALL')
  customize+=(--chmod 0440:/etc/sudoers.d/mayfly-runner)
fi
customize+=(
  # A guest agent that is there but not enabled answers no ping; where it is started by a udev rule this is not needed.
  --run-command 'systemctl enable qemu-guest-agent.service || true'
  --run-command 'systemctl enable mayfly-runner.path mayfly-deadline.timer mayfly-unused.timer'
  # A VM that lives for one job updates nothing by itself, and a lock of apt's would make jobs fail.
  --run-command 'systemctl disable apt-daily.timer apt-daily-upgrade.timer || true'
  # Sealed: what must differ between clones is made when each boots first.
  --run-command 'cloud-init clean --logs --seed'
  --run-command 'rm -f /etc/ssh/ssh_host_*'
  --truncate /etc/machine-id
)
virt-customize "${customize[@]}"

create=(
  qm create "$vmid" --name "$name" --ostype l26 --cpu host --cores "$cores" --memory "$memory" --balloon 0
  --agent enabled=1 --scsihw virtio-scsi-single --scsi0 "$storage:0,import-from=$image,discard=on,ssd=1"
  --ide2 "$storage:cloudinit" --ipconfig0 ip=dhcp --boot order=scsi0 --serial0 socket --vga serial0
  --net0 "virtio,bridge=$bridge" --onboot 0 --description "Mayfly's template: runner $runner_version, $image_url"
)
"${create[@]}"
# Not before: what a failed create found in its place is somebody else's.
half_made=true
qm disk resize "$vmid" scsi0 "$disk"
qm template "$vmid"
half_made=false
printf 'template = %s\n' "$vmid"
