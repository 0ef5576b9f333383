#!/usr/bin/env bash
# Tries what is here, as far as that can be done without Google Cloud: the guest's real scripts for Linux run against a metadata
# server on loopback and a stand-in for GitHub's runner; everything else is checked by the tools that are there. Needs bash, curl,
# Python 3; test/requirements.txt has the rest. As root it also tries that the runner runs as somebody else.
set -uo pipefail

# Whatever is started in the background ignores SIGINT, its children with it, and no trap changes that: begin anew without.
[ -z "$(trap -p INT)" ] || exec env --default-signal=INT "$BASH" "$0" "$@"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
guest=$here/../proxmox/template/linux
passed=0
failed=0
skipped=0

work=$(mktemp -d /tmp/mayfly-images.XXXXXX) # where the user that runs jobs can get to, too
server=
clean_up() {
  [ -z "$server" ] || kill "$server"
  rm -rf "$work"
}
trap clean_up EXIT

# check WHAT COMMAND…: the command succeeds
check() {
  local what=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf 'FAILED: %s: %s\n' "${story:-}" "$what" >&2
    [ -z "${vm:-}" ] || sed 's/^/    /' "$vm/out" >&2
  fi
}

skip() {
  skipped=$((skipped + 1))
  printf 'skipped: %s\n' "$*"
}

not() {
  ! "$@"
}

# await COMMAND…: until it succeeds, ten seconds at most
await() {
  local _
  for _ in {1..500}; do
    "$@" && return 0
    sleep 0.02
  done
  return 1
}

has_line() {
  grep -qxF -- "$2" "$1" 2>/dev/null
}

says() {
  grep -qF -- "$2" "$1" 2>/dev/null
}

count() {
  { [ ! -e "$1" ] || grep -F -- "$2" "$1"; } | wc -l
}

# exactly NUMBER, at_least NUMBER FILE TEXT: so many lines have it
exactly() {
  [ "$(count "$2" "$3")" -eq "$1" ]
}

at_least() {
  [ "$(count "$2" "$3")" -ge "$1" ]
}

# --- what can be done meanwhile -----------------------------------------------------------------------------------------

shell_scripts=("$here"/test.sh "$here"/test/{boot-systemd,rules,sandbox} "$here"/linux/{system,runner}.sh "$here/linux/from-metadata" "$guest/mayfly-runner")
shellcheck "${shell_scripts[@]}" >"$work/shellcheck" 2>&1 &
declare -A meanwhile=([shellcheck]=$!)
python3 "$here/test/packer.py" "$here" >"$work/packer.said" &
meanwhile[packer]=$!
python3 "$here/test/powershell.py" "$here" >"$work/powershell.said" &
meanwhile[powershell]=$!

# --- the world ---------------------------------------------------------------------------------------------------------

# As long as a real one, and with the characters that base64 has.
jit=$(head -c 3000 /dev/zero | tr '\0' '~' | base64 -w 0)+/5p7k==
chmod 0711 "$work"
printf '%s\n' "$jit" >"$work/secrets"
bin=$work/bin
mkdir "$bin"

# As root the runner is somebody else, as on a real VM.
user=$(id -un)
[ "$user" != root ] || user=daemon

mkdir "$work/off"
cat >"$work/off/systemctl" <<'STUB'
#!/usr/bin/env bash
printf '%s\n' "$*" >>"$VM/log"
STUB
cat >"$bin/nft" <<'STUB'
#!/usr/bin/env bash
printf 'nft %s\n' "$*" >>"$VM/log"
[ ! -e "$VM/nft-fails" ]
STUB
# Lists a GPU from the call on whose number is in the file.
cat >"$bin/nvidia-smi" <<'STUB'
#!/usr/bin/env bash
echo called >>"$VM/gpu-calls"
if [ -e "$VM/gpu" ] && [ "$(wc -l <"$VM/gpu-calls")" -ge "$(cat "$VM/gpu")" ]; then
  echo 'GPU 0: Tesla T4 (UUID: GPU-00000000-0000-0000-0000-000000000000)'
else
  echo 'No devices were found'
  exit 6
fi
STUB
# The real one, but nobody on the internet is asked anything.
cat >"$bin/curl" <<STUB
#!/usr/bin/env bash
case "\${*: -1}" in
  http://127.0.0.1:*) exec $(command -v curl) "\$@" ;;
  *) echo "\${*: -1}" >>"\$VM/internet"; exit 6 ;;
esac
STUB
chmod +x "$bin"/* "$work"/off/*

python3 "$here/test/metadata-server.py" "$work" &
server=$!
await test -e "$work/port" || { echo "the metadata server does not start" >&2; exit 1; }
url=http://127.0.0.1:$(cat "$work/port")

# a_runner FOLDER CODE: GitHub's runner, which ends like that.
a_runner() {
  mkdir -p "$1"
  cat >"$1/run.sh" <<STUB
#!/usr/bin/env bash
printf '%s' "\${ACTIONS_RUNNER_INPUT_JITCONFIG-}" >'$vm/seen/config'
{
  echo "arguments=\$*"
  echo "user=\$(id -un)"
  echo "home=\$HOME"
  echo "files=\$(ls '$vm/job' 2>&1)"
  grep -lF -f '$work/secrets' /proc/[0-9]*/cmdline 2>/dev/null | sed 's/^/seen in /'
  [ ! -r '$vm/run/runner.log' ] || echo "log can be read"
} >'$vm/seen/facts'
echo \$\$ >>'$vm/seen/runs'
echo "√ Connected to GitHub"
$2
STUB
  chmod 0755 "$1/run.sh"
}

# story NAME RUNNER_CODE: a VM with its metadata, the server in good health.
story() {
  story=$1
  vm=$work/${story//[^a-z0-9]/-}
  mkdir -m 0711 "$vm"
  mkdir "$vm"/{attributes,seen,run,units}
  export VM=$vm
  : >"$vm/log"
  : >"$vm/out"
  : >"$work/downloaded"
  echo fine >"$vm/behaviour"
  echo '10.25 20.00' >"$vm/uptime"
  echo false >"$vm/attributes/expect-gpu"
  printf '%s\n' "$jit" >"$vm/attributes/jit-config"
  a_runner "$vm/actions-runner" "$2"
  [ "$(id -u)" != 0 ] || chown "$user" "$vm/seen"
}

# boot [NAME=VALUE]…: what mayfly-runner.service does at boot
boot() {
  env MAYFLY_FETCH="$here/linux/from-metadata" MAYFLY_DIR="$vm/job" MAYFLY_RUNNER_DIR="$vm/actions-runner" \
    MAYFLY_RUNNER_USER="$user" MAYFLY_RUN_DIR="$vm/run" MAYFLY_UNIT_DIR="$vm/units" MAYFLY_UPTIME="$vm/uptime" \
    MAYFLY_METADATA_URL="$url/${vm##*/}" MAYFLY_RUNNER_DOWNLOADS="$url/downloads" MAYFLY_POLL_SECONDS=0.02 \
    MAYFLY_WAIT_SECONDS=10 MAYFLY_GPU_SECONDS=10 "$@" PATH="$work/off:$bin:$PATH" bash "$guest/mayfly-runner" >>"$vm/out" 2>&1
}

# In a group of its own, as systemd does.
boot_in_background() {
  set -m
  boot "$@" &
  script=$!
  set +m
}

power_off_was_called() {
  exactly 1 "$vm/log" 'poweroff --force'
}

jobs_run() {
  if [ "$1" = 0 ]; then test ! -e "$vm/seen/runs"; else exactly "$1" "$vm/seen/runs" ''; fi
}

# What holds in each story, however it goes.
ends_well() {
  check "the machine is powered off, once" power_off_was_called
  check "nothing comes after that" same_last_line
  check "the configuration is in no log" not grep -qsF -f "$work/secrets" "$vm/out" "$vm/log" "$vm/run/runner.log"
  check "the configuration was no argument of any process" not says "$vm/requests" LEAK
  check "it is left in no file" not grep -rqsF -f "$work/secrets" "$vm/job" "$vm/run" "$vm/units"
  check "nobody on the internet is asked" test ! -e "$vm/internet"
}

is_alive() {
  kill -0 "$1" 2>/dev/null
}

same_last_line() {
  [ "$(tail -n 1 "$vm/log")" = 'poweroff --force' ]
}

# --- the stories -------------------------------------------------------------------------------------------------------

story "one job" 'echo "Running job: build"; exit 0'
check "it ends well" boot
check "the configuration is handed over exactly" cmp -s "$vm/seen/config" <(printf '%s' "$jit")
check "not as an argument" has_line "$vm/seen/facts" "arguments="
check "… of anybody" not says "$vm/seen/facts" "seen in"
check "one job" jobs_run 1
check "the metadata server is closed to it first" has_line "$vm/log" "nft -f /usr/local/lib/mayfly/metadata.nft"
check "it is known to be in use" test -e "$vm/run/started"
check "the GPU is nobody's business" test ! -e "$vm/gpu-calls"
check "what the runner says can be read" says "$vm/out" "Connected to GitHub"
check "nothing is downloaded" test ! -s "$work/downloaded"
check "the timer stays as it is" not says "$vm/log" deadline
ends_well
if [ "$(id -u)" = 0 ]; then
  check "the runner is not root" has_line "$vm/seen/facts" "user=$user"
  check "it is at home" has_line "$vm/seen/facts" "home=$(getent passwd "$user" | cut -d : -f 6)"
  check "it cannot look for the configuration" says "$vm/seen/facts" "Permission denied"
  check "nor at the log" not says "$vm/seen/facts" "log can be read"
else
  skip "that the runner is not root: this is not root either"
fi

story "a job that fails" 'exit 3'
check "it says so" not boot
check "one job" jobs_run 1
ends_well

story "the runner is killed" 'kill -KILL $$'
check "it says so" not boot
check "one job" jobs_run 1
ends_well

story "the runner cannot start" ''
rm "$vm/actions-runner/run.sh"
check "it says so" not boot
ends_well

story "the runner is gone" ''
rm -r "$vm/actions-runner"
check "it says so" not boot
ends_well

story "nobody to get the configuration" 'exit 0'
check "it says so" not boot MAYFLY_FETCH="$vm/nothing"
check "no job" jobs_run 0
: >"$vm/requests"
ends_well

story "a gpu is expected and there" 'exit 0'
echo true >"$vm/attributes/expect-gpu"
echo 1 >"$vm/gpu"
check "it ends well" boot
check "one job" jobs_run 1
check "it was looked for" exactly 1 "$vm/gpu-calls" called
ends_well

story "a gpu whose driver takes its time" 'exit 0'
echo true >"$vm/attributes/expect-gpu"
echo 3 >"$vm/gpu"
check "it ends well" boot
check "one job" jobs_run 1
ends_well

story "a gpu is expected and missing" 'exit 0'
echo true >"$vm/attributes/expect-gpu"
check "it says so" not boot MAYFLY_GPU_SECONDS=0
check "why" says "$vm/out" "there is no GPU that works"
check "no job" jobs_run 0
ends_well

story "no word of a gpu" 'exit 0'
rm "$vm/attributes/expect-gpu"
check "it ends well" boot
check "one job" jobs_run 1
ends_well

story "metadata that is late" 'exit 0'
mv "$vm/attributes/jit-config" "$vm/later"
boot_in_background
check "it waits" await at_least 3 "$vm/requests" jit-config
check "no job yet" jobs_run 0
check "nor is it in use" test ! -e "$vm/run/started"
mv "$vm/later" "$vm/attributes/jit-config"
check "it ends well" wait "$script"
check "one job" jobs_run 1
ends_well

story "metadata that never comes" 'exit 0'
rm "$vm/attributes/jit-config"
check "it says so" not boot MAYFLY_WAIT_SECONDS=0
check "why" says "$vm/out" "no jit-config came within 0 s"
check "no job" jobs_run 0
ends_well

for behaviour in busy elsewhere portal garbage; do
  story "a server that is $behaviour" 'exit 0'
  echo "$behaviour" >"$vm/behaviour"
  boot_in_background
  check "it waits" await at_least 3 "$vm/requests" jit-config
  check "no job yet" jobs_run 0
  check "it says once what is wrong" exactly 2 "$vm/out" "from-metadata:"
  echo fine >"$vm/behaviour"
  check "it ends well" wait "$script"
  check "nobody else is asked" not says "$vm/requests" elsewhere
  check "the configuration is the right one" cmp -s "$vm/seen/config" <(printf '%s' "$jit")
  check "one job" jobs_run 1
  ends_well
done

story "a server that stays busy" 'exit 0'
echo busy >"$vm/behaviour"
check "it says so" not boot MAYFLY_WAIT_SECONDS=0
check "why" says "$vm/out" "the metadata server answers 503"
check "no job" jobs_run 0
ends_well

story "no server at all" 'exit 0'
check "it says so" not boot MAYFLY_WAIT_SECONDS=0 MAYFLY_METADATA_URL=http://127.0.0.1:9
check "why" says "$vm/out" "the metadata server answers nothing"
check "no job" jobs_run 0
: >"$vm/requests"
ends_well

story "a server that falls ill on the way" 'exit 0'
# A pipe, so that the server's answer waits for this script.
rm "$vm/attributes/expect-gpu"
mkfifo "$vm/attributes/expect-gpu"
boot_in_background
check "it got the configuration" await at_least 1 "$vm/requests" expect-gpu
echo busy >"$vm/behaviour"
echo false >"$vm/attributes/expect-gpu"
check "it asks again" await at_least 2 "$vm/requests" max-lifetime
check "no job yet" jobs_run 0
echo fine >"$vm/behaviour"
check "it ends well" wait "$script"
check "one job" jobs_run 1
ends_well

story "a lifetime" 'exit 0'
echo 7200 >"$vm/attributes/max-lifetime"
check "it ends well" boot
check "one job" jobs_run 1
check "the timer has it" has_line "$vm/units/mayfly-deadline.timer.d/lifetime.conf" "OnBootSec=7200"
check "it is in force" has_line "$vm/log" "restart mayfly-deadline.timer"
ends_well

story "a lifetime that is over" 'exec sleep 60'
echo 7200 >"$vm/attributes/max-lifetime"
echo '7199.99 0' >"$vm/uptime"
check "it says so" not boot
check "why" says "$vm/out" "its time is up: max_lifetime is 7200 s"
check "one job" jobs_run 1
check "which is ended" not is_alive "$(cat "$vm/seen/runs")"
ends_well

story "no lifetime" 'exec sleep 60'
echo '21600.00 0' >"$vm/uptime"
check "it says so" not boot
check "it has one all the same" says "$vm/out" "max_lifetime is 21600 s"
ends_well

for nonsense in 6h '1;reboot'; do
  story "a lifetime of $nonsense" 'exit 0'
  echo "$nonsense" >"$vm/attributes/max-lifetime"
  check "it ends well" boot
  check "it is left aside" says "$vm/out" "max-lifetime makes no sense"
  check "the timer stays as it is" not says "$vm/log" deadline
  ends_well
done

for signal in TERM INT; do
  story "asked to stop by sig$signal while it waits" 'exit 0'
  rm "$vm/attributes/jit-config"
  boot_in_background
  check "it waits" await says "$vm/requests" jit-config
  kill "-$signal" -- "-$script"
  check "it says so" not wait "$script"
  check "no job" jobs_run 0
  check "it powers off" await power_off_was_called
  ends_well

  story "asked to stop by sig$signal during a job" 'exec sleep 60'
  boot_in_background
  check "there is a job" await test -s "$vm/seen/runs"
  kill "-$signal" -- "-$script"
  check "it says so" not wait "$script"
  check "it powers off" await power_off_was_called
  check "the job is ended" await not is_alive "$(cat "$vm/seen/runs")"
  ends_well
done

story "a service account for jobs" 'exit 0'
check "it ends well" boot MAYFLY_METADATA_FOR_JOBS=true
check "the metadata server stays open" not says "$vm/log" nft
ends_well

story "rules that are refused" 'exit 0'
: >"$vm/nft-fails"
check "it ends well" boot
check "it says so" says "$vm/out" "jobs can ask the metadata server"
check "one job" jobs_run 1
ends_well

# --- a runner that is too old ------------------------------------------------------------------------------------------

refusal='echo "An error occurred: Runner version v2.300.0 is deprecated and cannot receive messages."; exit 0'

# a_newer_runner CODE: version 2.999.0 is there to be fetched, and the VM's metadata tells it.
a_newer_runner() {
  local folder=$work/downloads/v2.999.0 architecture=x64
  [ "$(uname -m)" != aarch64 ] || architecture=arm64
  mkdir -p "$folder"
  a_runner "$vm/newer" "echo newer >>'$vm/seen/newer'; $1"
  tar -czf "$folder/actions-runner-linux-$architecture-2.999.0.tar.gz" -C "$vm/newer" .
  echo 2.999.0 >"$vm/attributes/runner-version"
  sha256sum "$folder"/*.tar.gz | cut -d ' ' -f 1 >"$vm/attributes/runner-sha256"
}

story "a version that is refused" "$refusal"
a_newer_runner 'exit 0'
check "it ends well" boot
check "the newer one runs, once" exactly 1 "$vm/seen/newer" newer
check "with the configuration" cmp -s "$vm/seen/config" <(printf '%s' "$jit")
check "it is downloaded once" exactly 1 "$work/downloaded" v2.999.0
check "both have run" jobs_run 2
ends_well

story "a version that is refused by its exit code" 'echo "Runner listener exit with deprecated version exit code: 7."; exit 0'
a_newer_runner 'exit 0'
check "it ends well" boot
check "the newer one runs, once" exactly 1 "$vm/seen/newer" newer
ends_well

story "a newer version that is refused too" "$refusal"
a_newer_runner "$refusal"
check "it ends" boot
check "nothing is tried a third time" jobs_run 2
ends_well

story "a newer version with another digest" "$refusal"
a_newer_runner 'exit 0'
printf '0%.0s' {1..64} >"$vm/attributes/runner-sha256"
check "it ends" boot
check "it is not run" test ! -e "$vm/seen/newer"
check "why" says "$vm/out" "is not what it should be"
ends_well

story "a newer version that cannot be got" "$refusal"
a_newer_runner 'exit 0'
echo 2.998.0 >"$vm/attributes/runner-version"
check "it ends" boot
check "why" says "$vm/out" "2.998.0 cannot be got"
ends_well

story "a version that is refused and no other" "$refusal"
check "it ends" boot
check "what to do" says "$vm/out" "make a new image"
check "nothing is downloaded" test ! -s "$work/downloaded"
ends_well

story "a version that is fine" 'echo "Running job: is deprecated and cannot receive messages."; exit 0'
a_newer_runner 'exit 0'
check "it ends well" boot
check "one job" jobs_run 1
check "nothing is downloaded" test ! -s "$work/downloaded"
ends_well
# --- under a real systemd ----------------------------------------------------------------------------------------------

# a_machine NAME RUNNER_CODE: the units as they are in the image, in a machine that has nothing else
a_machine() {
  story "under systemd: $1" "$2"
  disk=$vm/disk
  mkdir -p "$disk"/{lib,opt,units/mayfly-{runner.service,deadline.timer,unused.timer}.d}
  mv "$vm/actions-runner" "$disk/opt/"
  cp "$guest/mayfly-runner" "$here/linux/from-metadata" "$disk/lib/"
  cp "$guest"/mayfly-{runner,deadline,unused}.service "$guest"/mayfly-{deadline,unused}.timer "$disk/units/"
  cp "$here/linux/gcp.conf" "$disk/units/mayfly-runner.service.d/"
  in_unit mayfly-test.target '[Unit]' 'Wants=mayfly-runner.service mayfly-deadline.timer mayfly-unused.timer'
  in_unit mayfly-runner.service.d/test.conf '[Service]' "StandardOutput=append:$vm/out" "StandardError=append:$vm/out" \
    "Environment=VM=$vm MAYFLY_METADATA_URL=$url/${vm##*/} MAYFLY_UPTIME=$vm/uptime MAYFLY_RUNNER_USER=$user" \
    "Environment=MAYFLY_POLL_SECONDS=0.1 PATH=$bin:$PATH"
  in_unit mayfly-deadline.timer.d/test.conf
  in_unit mayfly-unused.timer.d/test.conf
}

# in_unit FILE LINE…: there is nothing of an ordinary boot that it could depend on
in_unit() {
  local file=$disk/units/$1
  shift
  printf '%s\n' '[Unit]' DefaultDependencies=no "$@" >"$file"
}

switch_on() {
  "$here/test/boot-systemd" "$disk" >"$vm/console" 2>&1 &
  machine=$!
}

is_off() {
  ! is_alive "$machine"
}

goes_off() {
  check "the machine is off" await is_off
  wait "$machine"
  check "the configuration is in no log" not grep -qsF -f "$work/secrets" "$vm/out" "$vm/console"
}

# signal SIGNAL: to the script in that machine
signal() {
  local process
  while read -r process; do
    ! tr '\0' ' ' 2>/dev/null <"/proc/$process/cmdline" | grep -qx 'bash /usr/local/lib/mayfly/mayfly-runner ' || kill "-$1" "$process"
  done < <(grep -lzxF "VM=$vm" /proc/[0-9]*/environ 2>/dev/null | cut -d / -f 3)
}

if [ "$(id -u)" = 0 ] && [ -x /lib/systemd/systemd ] && unshare --mount --pid --fork --uts --ipc --cgroup true 2>/dev/null; then
  a_machine "one job" 'exit 0'
  switch_on
  goes_off
  check "one job" jobs_run 1
  check "by the script" says "$vm/out" "powering off"
  check "the runner is not root" has_line "$vm/seen/facts" "user=$user"

  a_machine "a script that is killed" 'exec sleep 60'
  switch_on
  check "there is a job" await test -s "$vm/seen/runs"
  signal KILL
  goes_off
  check "not by the script" not says "$vm/out" "powering off"

  a_machine "a script that cannot start" 'exit 0'
  rm "$disk/lib/mayfly-runner"
  switch_on
  goes_off
  check "no job" jobs_run 0

  # In a namespace time begins with it. The script's own deadline counts from the job, and comes later.
  a_machine "a script that hangs" 'exec sleep 60'
  echo 4 >"$vm/attributes/max-lifetime"
  echo '0.00 0' >"$vm/uptime"
  switch_on
  check "there is a job" await test -s "$vm/seen/runs"
  signal STOP
  goes_off
  check "by the timer" not says "$vm/out" "its time is up"

  a_machine "nobody wants it" 'exit 0'
  rm "$vm/attributes/jit-config"
  in_unit mayfly-unused.timer.d/test.conf '[Timer]' OnBootSec= OnBootSec=1
  switch_on
  goes_off
  check "no job" jobs_run 0
else
  skip "stories under a real systemd: this is not root, or there is none"
fi
vm=

# --- the image ---------------------------------------------------------------------------------------------------------

# a_build: stand-ins for what would change more than files; what they were asked is in $VM/log
a_build() {
  story "$1" ''
  tools=$vm/tools
  changes=$vm/changes
  mkdir "$tools" "$changes"
  local tool
  for tool in apt-get cloud-init systemctl snap nvidia-smi nvidia-ctk docker nft journalctl; do
    # shellcheck disable=SC2016
    printf '#!/usr/bin/env bash\nprintf "%%s\\n" "%s $*" >>"$VM/log"\n' "$tool" >"$tools/$tool"
  done
  cat >"$tools/docker" <<'STUB'
#!/usr/bin/env bash
echo 'map[nvidia:{}]'
STUB
  # The last argument is the URL, the one after --output the file.
  cat >"$tools/curl" <<'STUB'
#!/usr/bin/env bash
printf 'curl %s\n' "${*: -1}" >>"$VM/log"
while [ $# -gt 1 ]; do
  if [ "$1" = --output ]; then exec cp "$VM/download" "$2"; fi
  shift
done
cat "$VM/download"
STUB
  cat >"$tools/gpg" <<'STUB'
#!/usr/bin/env bash
case "$*" in
  *--dearmor*) cat >"${*: -1}" ;;
  *--show-keys*) printf 'pub:-:4096:1:X:1:::-:\nfpr:::::::::%s:\n' "$(cat "${*: -1}")" ;;
esac
STUB
  chmod +x "$tools"/*
}

# build SCRIPT [ARGUMENT]: as Packer runs it
build() {
  PATH=$tools:$PATH "$here/test/sandbox" "$changes" "$@" >>"$vm/out" 2>&1
}

system() {
  NVIDIA_DRIVER=${driver:-580-server} DOCKER=${docker:-true} PACKAGES="clang cmake" build "$here/linux/system.sh"
}

runner() {
  rm -rf "$vm/files"
  cp -r "$guest" "$vm/files"
  cp "$here"/linux/{from-metadata,metadata.nft,gcp.conf} "$vm/files/"
  RUNNER_VERSION=2.999.0 RUNNER_SHA256=${sha256:-$(sha256sum "$vm/download" | cut -d ' ' -f 1)} NVIDIA_DRIVER=${driver:-580-server} \
    DOCKER=false JOBS_SUDO=${sudo:-false} METADATA_FOR_JOBS=false build "$here/linux/runner.sh" "$vm/files"
}

installed() {
  grep -E '^apt-get .* install ' "$vm/log" | tr ' ' '\n' | grep -qx -- "$1"
}

if [ "$(id -u)" = 0 ] && mkdir "$work/try" && "$here/test/sandbox" "$work/try" true 2>/dev/null; then
  a_build "the image's packages"
  printf C95B321B61E88C1809C4F759DDCAE044F796ECB0 >"$vm/download"
  check "they are installed" system
  for package in linux-modules-nvidia-580-server-gcp nvidia-utils-580-server docker.io nvidia-container-toolkit clang cmake; do
    check "$package" installed "$package"
  done
  check "Docker is told of the GPU" has_line "$vm/log" "nvidia-ctk runtime configure --runtime=docker"
  check "nothing updates itself" says "$vm/log" "systemctl disable --now apt-daily.timer"

  a_build "a strange key of NVIDIA's archive"
  printf 0000000000000000000000000000000000000000 >"$vm/download"
  check "it is refused" not system
  check "its toolkit is not installed" not installed nvidia-container-toolkit

  a_build "an image without a driver"
  driver=none
  check "it is made" system
  check "no driver" not grep -q nvidia "$vm/log"
  driver=

  a_build "the image's runner"
  mkdir -p "$vm/release/bin"
  printf '#!/bin/sh\n' | tee "$vm/release/run.sh" >"$vm/release/bin/installdependencies.sh"
  chmod +x "$vm/release/run.sh" "$vm/release/bin/installdependencies.sh"
  tar -czf "$vm/download" -C "$vm/release" .
  check "it is installed" runner
  check "from GitHub, by its version" has_line "$vm/log" "curl https://github.com/actions/runner/releases/download/v2.999.0/actions-runner-linux-x64-2.999.0.tar.gz"
  check "the driver was tried" has_line "$vm/log" "nvidia-smi "
  check "it is the runner's" [ "$(stat -c %u "$changes/opt/actions-runner/run.sh")" = "$(sed -n 's/^runner:x:\([0-9]*\):.*/\1/p' "$changes/etc/passwd")" ]
  for file in usr/local/lib/mayfly/{mayfly-runner,from-metadata,metadata.nft} etc/systemd/system/mayfly-{runner,deadline,unused}.service \
    etc/systemd/system/mayfly-{deadline,unused}.timer etc/systemd/system/mayfly-runner.service.d/gcp.conf; do
    check "/$file is root's, and the image's" cmp -s "$changes/$file" "$([ -e "$guest/${file##*/}" ] && echo "$guest/${file##*/}" || echo "$here/linux/${file##*/}")"
  done
  check "it starts at boot" has_line "$vm/log" "systemctl add-wants multi-user.target mayfly-runner.service"
  check "the timers too" has_line "$vm/log" "systemctl enable mayfly-deadline.timer mayfly-unused.timer"
  check "nothing starts now" not grep -qE '^systemctl (start|restart|.*--now)' "$vm/log"
  check "no root for jobs" test ! -e "$changes/etc/sudoers.d/mayfly-runner"
  check "each VM gets a name of its own" test ! -s "$changes/etc/machine-id"

  a_build "another runner than it should be"
  echo something else >"$vm/download"
  sha256=$(printf '0%.0s' {1..64})
  check "it is refused" not runner
  check "it is not installed" test ! -e "$changes/opt/actions-runner"
  sha256=

  a_build "a driver that finds no gpu"
  printf '#!/bin/sh\nexit 9\n' >"$tools/nvidia-smi"
  : >"$vm/download"
  check "there is no image" not runner
  check "nor a runner" test ! -e "$changes/opt/actions-runner"
else
  skip "the image's scripts: this is not root, or may not make namespaces"
fi
vm=

# --- units, definitions, style -----------------------------------------------------------------------------------------

story="units"
units=$work/etc
mkdir -p "$units/mayfly-runner.service.d"
cp "$guest"/mayfly-{runner,deadline,unused}.{service,timer} "$units/" 2>/dev/null
cp "$here/linux/gcp.conf" "$units/mayfly-runner.service.d/"
if command -v systemd-analyze >/dev/null; then
  # Their programs are not here; all else it has to say counts.
  systemd-analyze verify "$units"/*.service "$units"/*.timer 2>&1 | grep -F mayfly | grep -vF 'is not executable: No such file' >"$work/complaints"
  check "systemd takes them" not test -s "$work/complaints"
else
  skip "systemd's opinion of the units: there is no systemd-analyze here"
fi
check "one that is killed is followed by a power-off" has_line "$guest/mayfly-runner.service" 'ExecStopPost=/usr/bin/systemctl poweroff --force'
for file in "$guest"/mayfly-{runner,runner.service,deadline.service,deadline.timer,unused.service,unused.timer} "$here"/linux/{from-metadata,metadata.nft,gcp.conf}; do
  check "${file##*/} is there" test -e "$file"
  check "${file##*/} is in the image" says "$here/linux/image.pkr.hcl" "/${file##*/}\""
done
if [ "$(id -u)" = 0 ] && command -v nft >/dev/null && command -v ip >/dev/null && unshare --net true 2>/dev/null; then
  check "the rules close the metadata server to jobs" unshare --net "$here/test/rules" "$here/linux/metadata.nft" "$user"
else
  skip "the rules for the metadata server: this is not root, or nft or ip is not here"
fi

story="style"
if command -v shellcheck >/dev/null; then
  wait "${meanwhile[shellcheck]}" || cat "$work/shellcheck" >&2
  check "shellcheck" test ! -s "$work/shellcheck"
else
  skip "shellcheck: it is not here"
fi
for each in packer powershell; do
  story=$each
  wait "${meanwhile[$each]}"
  case $? in
    0) check "$(tail -n 1 "$work/$each.said")" true ;;
    77) skip "$each: $(cat "$work/$each.said")" ;;
    *)
      cat "$work/$each.said" >&2
      check "its check" false
      ;;
  esac
done

if [ "$skipped" = 0 ]; then
  echo "$passed passed, $failed failed"
else
  echo "$passed passed, $failed failed, $skipped skipped"
fi
[ "$failed" = 0 ]
