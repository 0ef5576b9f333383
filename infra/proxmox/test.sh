#!/usr/bin/env bash
# Tries what is here, as far as that can be done without a Proxmox VE node: the scripts run against stand-ins for pveum, qm,
# virt-customize and wget which take only what the real ones take, and write down what they were asked; the script that runs
# in the guest runs against a stand-in for GitHub's runner. Needs bash and the usual small tools.
set -euo pipefail

# Whatever is started in the background ignores SIGINT, its children with it, and no trap changes that: begin anew without.
[ -z "$(trap -p INT)" ] || exec env --default-signal=INT "$BASH" "$0" "$@"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
checks=0

fail() {
  printf 'FAILED: %s\n' "$*" >&2
  exit 1
}

# check WHAT COMMAND…: the command succeeds
check() {
  local what=$1
  shift
  checks=$((checks + 1))
  "$@" || fail "$what"
}

not() {
  ! "$@"
}

same() {
  [ "$1" = "$2" ] || {
    printf 'is:\n%s\nshould be:\n%s\n' "$1" "$2" >&2
    return 1
  }
}

has_line() {
  grep -qxF -- "$2" "$1"
}

says() {
  grep -qF -- "$2" "$1"
}

# --- stand-ins ---------------------------------------------------------------------------------------------------------

bin=$work/bin
mkdir -p "$bin"

cat >"$bin/pveversion" <<'STUB'
#!/usr/bin/env bash
echo "pve-manager/${FAKE_PVE:-9.0.3}/025864202ebb6109 (running kernel: 6.14.8-2-pve)"
STUB

# Takes what `pveum help` of releases 8 and 9 lists, and keeps what there is in files.
cat >"$bin/pveum" <<'STUB'
#!/usr/bin/env bash
set -euo pipefail
refuse() { echo "pveum: $*" >&2; exit 255; }
printf '%s\n' "$*" >>"$FAKE/log"
known="Datastore.Allocate Datastore.AllocateSpace Datastore.AllocateTemplate Datastore.Audit Mapping.Use Pool.Allocate
  Pool.Audit SDN.Use Sys.Audit VM.Allocate VM.Audit VM.Clone VM.Config.Options VM.PowerMgmt"
case $FAKE_PVE in
  8*) known="$known VM.Monitor" ;;
  *) known="$known VM.GuestAgent.Audit VM.GuestAgent.FileWrite VM.GuestAgent.FileRead VM.GuestAgent.Unrestricted" ;;
esac
list() { # file key
  printf '['
  local first=true
  if [ -e "$FAKE/$1" ]; then
    while read -r one; do
      $first || printf ','
      first=false
      printf '{"%s":"%s","special":0}' "$2" "$one"
    done <"$FAKE/$1"
  fi
  printf ']\n'
}
there() { [ -e "$FAKE/$1" ] && grep -qxF -- "$2" "$FAKE/$1"; }
add() { there "$1" "$2" && refuse "$2 already exists"; echo "$2" >>"$FAKE/$1"; }
privileges() {
  local one
  for one in $1; do
    [[ " $(echo $known) " == *" $one "* ]] || refuse "400 Parameter verification failed. privs: invalid privilege '$one'"
  done
}
command="$1 $2"; shift 2
if [ "$command" = "user token" ]; then command="$command $1"; shift; fi
case "$command" in
  "role list") [ "$*" = "--output-format json" ] || refuse "$*"; list roles roleid ;;
  "user list") [ "$*" = "--output-format json" ] || refuse "$*"; list users userid ;;
  "pool list") [ "$*" = "--output-format json" ] || refuse "$*"; list pools poolid ;;
  "role add") [ $# -eq 3 ] && [ "$2" = --privs ] || refuse "$*"; privileges "$3"; add roles "$1" ;;
  "role modify") [ $# -eq 3 ] && [ "$2" = --privs ] || refuse "$*"; privileges "$3"; there roles "$1" || refuse "no role" ;;
  "user add") [ $# -eq 3 ] && [ "$2" = --comment ] || refuse "$*"; add users "$1" ;;
  "pool add") [ $# -eq 3 ] && [ "$2" = --comment ] || refuse "$*"; add pools "$1" ;;
  "user token list") [ "$2 $3" = "--output-format json" ] || refuse "$*"; there users "$1" || refuse "no user"; list tokens tokenid ;;
  "user token add")
    [ "$3 $4 $5" = "--privsep 1 --comment" ] && [ "$7 $8" = "--output-format json" ] && [ $# -eq 8 ] || refuse "$*"
    there users "$1" || refuse "no user"
    add tokens "$2"
    printf '{"full-tokenid":"%s!%s","info":{"privsep":"1"},"value":"12345678-abcd-4321-beef-0123456789ab"}\n' "$1" "$2" ;;
  "user token remove") [ $# -eq 2 ] && there tokens "$2" || refuse "no token"; : >"$FAKE/tokens" ;;
  "acl modify")
    [ $# -eq 5 ] && [ "$2" = --roles ] && there roles "$3" || refuse "$*"
    case $4 in
      --users) there users "$5" || refuse "no user $5" ;;
      --tokens) [[ $5 == *'!'* ]] && there users "${5%%!*}" && there tokens "${5##*!}" || refuse "no token $5" ;;
      *) refuse "$*" ;;
    esac
    case $1 in /vms | /vms/[1-9]* | /nodes | /sdn/zones | /storage/* | /pool/*) ;; *) refuse "invalid ACL path $1" ;; esac ;;
  *) refuse "no such command: $command" ;;
esac
STUB

cat >"$bin/qm" <<'STUB'
#!/usr/bin/env bash
set -euo pipefail
refuse() { echo "qm: $*" >&2; exit 255; }
printf '%s\n' "$*" >>"$FAKE/log"
command=$1; shift
if [ "$command" = disk ]; then command="disk $1"; shift; fi
id=$1; shift
[[ $id =~ ^[1-9][0-9]{2,8}$ ]] || refuse "no VM id: $id"
case "$command" in
  status) [ -e "$FAKE/vm-$id" ] || { echo "Configuration file 'nodes/pve/qemu-server/$id.conf' does not exist" >&2; exit 2; } ;;
  create)
    [ ! -e "$FAKE/vm-$id" ] || refuse "VM $id already exists"
    while [ $# -gt 0 ]; do
      [ $# -ge 2 ] || refuse "$1 wants a value"
      case "$1" in
        --name) [[ $2 =~ ^[A-Za-z0-9-]+$ ]] || refuse "$*" ;;
        --ostype) [ "$2" = l26 ] || refuse "$*" ;;
        --cores | --memory | --balloon | --onboot) [[ $2 =~ ^[0-9]+$ ]] || refuse "$*" ;;
        --agent) [ "$2" = enabled=1 ] || refuse "$*" ;;
        --scsihw) [[ $2 =~ ^virtio-scsi-(pci|single)$ ]] || refuse "$*" ;;
        --scsi0)
          [[ $2 =~ ^[a-z-]+:0,import-from=(/[^,]+),discard=on,ssd=1$ ]] || refuse "$*"
          [ -s "${BASH_REMATCH[1]}" ] || refuse "no image ${BASH_REMATCH[1]}" ;;
        --ide2) [[ $2 =~ ^[a-z-]+:cloudinit$ ]] || refuse "$*" ;;
        --ipconfig0 | --boot | --net0 | --cpu | --description) ;;
        --serial0) [ "$2" = socket ] || refuse "$*" ;;
        --vga) [ "$2" = serial0 ] || refuse "$*" ;;
        *) refuse "Unknown option: $1" ;;
      esac
      shift 2
    done
    : >"$FAKE/vm-$id" ;;
  "disk resize") [ $# -eq 2 ] && [ "$1" = scsi0 ] && [[ $2 =~ ^[0-9]+G$ ]] || refuse "$*"; [ -z "${FAKE_FULL:-}" ] || refuse "no space left" ;;
  template) [ $# -eq 0 ] && [ -e "$FAKE/vm-$id" ] || refuse "$*"; echo template >"$FAKE/vm-$id" ;;
  destroy) [ "$*" = "--purge 1" ] || refuse "$*"; rm "$FAKE/vm-$id" ;;
  *) refuse "no such command: $command" ;;
esac
STUB

cat >"$bin/wget" <<'STUB'
#!/usr/bin/env bash
set -euo pipefail
[ $# -eq 5 ] && [ "$1 $2 $3" = "--quiet --tries=3 --timeout=60" ] && [[ $4 == --output-document=/* ]] || exit 2
printf '%s\n' "$5" >>"$FAKE/log"
case $5 in
  https://images.example/base.img) printf 'an image' >"${4#*=}" ;;
  https://github.com/actions/runner/releases/download/v2.328.0/actions-runner-linux-x64-2.328.0.tar.gz) printf 'a runner' >"${4#*=}" ;;
  *) exit 8 ;;
esac
STUB

cat >"$bin/virt-customize" <<'STUB'
#!/usr/bin/env bash
set -euo pipefail
refuse() { echo "virt-customize: $*" >&2; exit 1; }
[ "$1" = --add ] && [ -s "$2" ] || refuse "no disk"
while [ $# -gt 0 ]; do
  case $1 in
    --add | --install | --run-command | --mkdir | --truncate) [ -n "$2" ] || refuse "$1" ;;
    --copy-in | --upload) [ -s "${2%:*}" ] || refuse "there is no ${2%:*}" ;;
    --chmod) [[ $2 =~ ^0[0-7]{3}:/ ]] || refuse "$1 $2" ;;
    --write) [[ $2 =~ ^/[^:]+:. ]] || refuse "$1 $2" ;;
    *) refuse "unrecognized option $1" ;;
  esac
  printf '%s %s\n' "$1" "$2" >>"$FAKE/log"
  shift 2
done
STUB
chmod +x "$bin"/*

fresh() {
  FAKE=$(mktemp -d "$work/fake.XXXXXX")
  export FAKE
  : >"$FAKE/log"
}

# --- setup.sh ----------------------------------------------------------------------------------------------------------

setup() {
  FAKE_PVE=${FAKE_PVE:-9.0.3} PATH="$bin:$PATH" bash "$here/setup.sh" "$@" >"$FAKE/out" 2>"$FAKE/err"
}

common="Datastore.AllocateSpace Datastore.Audit SDN.Use Sys.Audit VM.Allocate VM.Audit VM.Clone VM.Config.Options"
nine="$common VM.GuestAgent.Audit VM.GuestAgent.FileWrite VM.PowerMgmt"

fresh
check "setup succeeds" setup --storage local-lvm --storage ceph --secret-file "$FAKE/secret"
check "the role has these privileges and no other" has_line "$FAKE/log" "role add Mayfly --privs $nine"
for path in /vms /nodes /sdn/zones /storage/local-lvm /storage/ceph; do
  check "the user may on $path" has_line "$FAKE/log" "acl modify $path --roles Mayfly --users mayfly@pve"
  check "the token may on $path" has_line "$FAKE/log" "acl modify $path --roles Mayfly --tokens mayfly@pve!mayfly"
done
check "no other path" same "$(grep -c '^acl' "$FAKE/log")" 10
check "the secret's file" same "$(cat "$FAKE/secret")" 12345678-abcd-4321-beef-0123456789ab
check "only its owner reads it" same "$(stat -c %a "$FAKE/secret")" 600
check "the secret is nowhere else" not grep -q 12345678-abcd "$FAKE/out" "$FAKE/err"
check "the token's id is told" has_line "$FAKE/out" 'token_id = "mayfly@pve!mayfly"'

: >"$FAKE/log"
check "a second run succeeds" setup --storage local-lvm --secret-file "$FAKE/second"
check "it makes nothing" not grep -qE '^(role|user|user token) add' "$FAKE/log"
check "it sets the privileges right" has_line "$FAKE/log" "role modify Mayfly --privs $nine"
check "it shows no old secret" not test -e "$FAKE/second"
check "it says how to get a new one" says "$FAKE/err" "--new-token"
check "a new token" setup --storage local-lvm --secret-file "$FAKE/second" --new-token
check "its secret" test -s "$FAKE/second"

fresh
# shellcheck disable=SC2016
check "release 8" env FAKE_PVE=8.4.1 bash -c 'PATH="$1:$PATH" bash "$2" --storage local --secret-file "$FAKE/s" >/dev/null' - "$bin" "$here/setup.sh"
check "has VM.Monitor" has_line "$FAKE/log" "role add Mayfly --privs $common VM.Monitor VM.PowerMgmt"

fresh
check "a pool" setup --storage local-lvm --pool runners --template 8000 --secret-file "$FAKE/s"
check "rights on the pool" has_line "$FAKE/log" 'acl modify /pool/runners --roles Mayfly --tokens mayfly@pve!mayfly'
check "rights on the template" has_line "$FAKE/log" 'acl modify /vms/8000 --roles Mayfly --tokens mayfly@pve!mayfly'
check "none on all VMs" not grep -q 'acl modify /vms ' "$FAKE/log"

fresh
check "a dry run" setup --dry-run --storage local-lvm
check "it changes nothing" test ! -s "$FAKE/log"
check "it prints commands" says "$FAKE/out" "pveum user token add mayfly@pve mayfly --privsep 1"
FAKE_PVE=9.0.3 PATH="$bin:$PATH" bash -euc "$(sed 's/^pveum user token add.*/& >\/dev\/null/' "$FAKE/out")" || fail "what it prints can be run"

fresh
for wrong in "" "--storage" "--storage ../x" "--storage local --pool runners" "--storage local --pve 7" "--storage local --what"; do
  # shellcheck disable=SC2086
  check "setup.sh $wrong is refused" not setup $wrong
  check "… with one line or the usage, and nothing done" test ! -s "$FAKE/log"
done
check "without a terminal the secret needs a file" not setup --storage local
check "nothing was done" test ! -s "$FAKE/log"

# --- make-template.sh --------------------------------------------------------------------------------------------------

image_sha256=$(printf 'an image' | sha256sum | cut -d ' ' -f 1)
runner_sha256=$(printf 'a runner' | sha256sum | cut -d ' ' -f 1)

# shellcheck disable=SC2120
template() {
  TMPDIR=$FAKE PATH="$bin:$PATH" bash "$here/template/linux/make-template.sh" --vmid 8000 --storage local-lvm \
    --image-url https://images.example/base.img --image-sha256 "${IMAGE:-$image_sha256}" \
    --runner-version 2.328.0 --runner-sha256 "${RUNNER:-$runner_sha256}" "$@" >"$FAKE/out" 2>"$FAKE/err"
}

fresh
# shellcheck disable=SC2119
template || { cat "$FAKE/err"; fail "the template is made"; }
check "it is a template" same "$(cat "$FAKE/vm-8000")" template
check "its id is told" has_line "$FAKE/out" "template = 8000"
create=$(grep '^create' "$FAKE/log")
for part in "--balloon 0" "--agent enabled=1" "--scsihw virtio-scsi-single" "--serial0 socket" "--ide2 local-lvm:cloudinit"; do
  check "qm create … $part" says <(printf '%s\n' "$create") "$part"
done
check "the guest agent is installed" grep -q -- '^--install qemu-guest-agent,' "$FAKE/log"
check "the folder is root's alone" says "$FAKE/log" 'install -d -m 0700 -o root -g root /var/lib/mayfly'
for unit in "$here"/template/linux/*.{path,service,timer}; do
  check "${unit##*/} is in it" says "$FAKE/log" "--upload $unit:/etc/systemd/system/${unit##*/}"
done
check "it is sealed at the end" same "$(grep -n -- '--truncate /etc/machine-id' "$FAKE/log" | cut -d : -f 1)" \
  "$(grep -n '^--' "$FAKE/log" | tail -n 1 | cut -d : -f 1)"
check "no root for jobs unless asked for" not says "$FAKE/log" sudoers
check "nothing is left behind" same "$(find "$FAKE" -maxdepth 1 -name 'mayfly-template.*')" ""

check "an id that is taken is refused" not template
check "it says what to do" says "$FAKE/err" "choose another id"
fresh
check "root for jobs" template --sudo --packages clang,cmake
check "by sudo" says "$FAKE/log" 'sudoers.d/mayfly-runner:runner ALL=(ALL) NOPASSWD:ALL'
zeros=$(printf '0%.0s' {1..64})
for wrong in IMAGE RUNNER; do
  fresh
  printf -v "$wrong" %s "$zeros"
  check "a wrong digest ($wrong)" not template
  check "is said to be that" says "$FAKE/err" "not $zeros"
  check "nothing is made" not grep -qE '^(create|--)' "$FAKE/log"
  unset "$wrong"
done
fresh
export FAKE_FULL=1
check "a failure half-way" not template
unset FAKE_FULL
check "leaves no VM" test ! -e "$FAKE/vm-8000"

# --- the guest ---------------------------------------------------------------------------------------------------------

cat >"$bin/systemctl" <<'STUB'
#!/usr/bin/env bash
set -euo pipefail
case "$*" in
  "poweroff --force" | daemon-reload | "restart mayfly-deadline.timer") printf '%s\n' "$*" >>"$FAKE/log" ;;
  *) echo "systemctl: $*" >&2; exit 1 ;;
esac
STUB
chmod +x "$bin/systemctl"

# guest CODE: a machine with a runner that ends like that.
guest() {
  fresh
  mkdir -p "$FAKE/state" "$FAKE/runner" "$FAKE/run" "$FAKE/units"
  cat >"$FAKE/runner/run.sh" <<STUB
#!/usr/bin/env bash
{
  echo "config=\${ACTIONS_RUNNER_INPUT_JITCONFIG:-}"
  echo "arguments=\$*"
  echo "files=\$(ls '$FAKE/state')"
  tr '\0' ' ' <"/proc/\$PPID/cmdline" 2>/dev/null; echo
} >'$FAKE/seen'
: >'$FAKE/runs'
$1
STUB
  chmod +x "$FAKE/runner/run.sh"
}

hand_over() {
  printf 'anVzdC1pbi10aW1l\n' >"$FAKE/state/jit-config"
  printf '%s' "${1:-}" >"$FAKE/state/jit-config.ready"
}

job() {
  echo "${uptime:-10}.25 20.00" >"$FAKE/uptime"
  MAYFLY_DIR=$FAKE/state MAYFLY_RUNNER_DIR=$FAKE/runner MAYFLY_RUN_DIR=$FAKE/run MAYFLY_UNIT_DIR=$FAKE/units \
    MAYFLY_UPTIME=$FAKE/uptime MAYFLY_RUNNER_USER=$(id -un) PATH="$bin:$PATH" bash "$here/template/linux/mayfly-runner" 2>"$FAKE/err"
}

# await COMMAND…: until it succeeds, ten seconds at most
await() {
  local _
  for _ in {1..200}; do
    "$@" && return 0
    sleep 0.05
  done
  return 1
}

powers_off() {
  [ "$(grep -c '^poweroff --force$' "$FAKE/log" || true)" = 1 ]
}

guest "exit 0"
hand_over
check "a job that succeeds" job
check "the configuration is handed over" has_line "$FAKE/seen" "config=anVzdC1pbi10aW1l"
check "not as an argument" has_line "$FAKE/seen" "arguments="
check "… of anybody" same "$(grep -c anVzdC1pbi10aW1l "$FAKE/seen")" 1
check "the files are gone before it starts" has_line "$FAKE/seen" "files="
check "the machine is powered off" powers_off
check "it is known to be in use" test -e "$FAKE/run/started"
check "the deadline stays" not grep -q deadline "$FAKE/log"
check "the configuration is not logged" not says "$FAKE/err" anVzdC1pbi10aW1l

guest "exit 3"
hand_over
check "a job that fails" not job
check "the machine is powered off" powers_off

guest "kill -KILL \$\$"
hand_over
check "a runner that is killed" not job
check "the machine is powered off" powers_off

for signal in TERM INT; do
  guest "exec sleep 60"
  hand_over
  set -m
  job &
  script=$!
  set +m
  await test -e "$FAKE/runs" || fail "the job starts"
  # The whole group, as systemd does it in the end; the shell around the script may be gone before it.
  kill "-$signal" -- "-$script"
  wait "$script" && fail "a script that is asked to stop" || true
  check "asked to stop by $signal, it powers off" await powers_off
done

guest "exit 0"
hand_over $'max-lifetime=7200\n'
check "a job with a lifetime" job
check "its deadline" same "$(cat "$FAKE/units/mayfly-deadline.timer.d/lifetime.conf")" $'[Timer]\nOnBootSec=\nOnBootSec=7200'
check "is in force" same "$(head -n 2 "$FAKE/log")" $'daemon-reload\nrestart mayfly-deadline.timer'
guest "exec sleep 60"
hand_over $'max-lifetime=7200\n'
uptime=7200
check "a job that takes too long" not job
uptime=
check "its time is up" says "$FAKE/err" "max_lifetime is 7200 s"
check "the machine is powered off" powers_off
# shellcheck disable=SC2016
for nonsense in 'max-lifetime=0' 'max-lifetime=6h' 'max-lifetime=$(reboot)' 'max-lifetime=999999999' 'ready'; do
  guest "exit 0"
  hand_over "$nonsense"
  check "$nonsense" job
  check "$nonsense: the deadline stays" not grep -q deadline "$FAKE/log"
done

guest "exit 0"
: >"$FAKE/state/jit-config.ready"
check "no configuration" not job
check "nothing is started, the machine is powered off" powers_off
check "nothing ran" test ! -e "$FAKE/runs"
rm "$FAKE/runner/run.sh"
hand_over
: >"$FAKE/log"
check "no runner" not job
check "the machine is powered off" powers_off

# --- units and style ---------------------------------------------------------------------------------------------------

units=("$here"/template/linux/*.{path,service,timer} "$here/mayfly.service")
for unit in "$here"/template/linux/{mayfly-runner,mayfly-deadline,mayfly-unused}.service; do
  check "${unit##*/} powers off" grep -qE '^Exec(Start|StopPost)=/usr/bin/systemctl poweroff --force$' "$unit"
done
if command -v systemd-analyze >/dev/null; then
  # Their programs are not here; all else it has to say counts.
  complaints=$(systemd-analyze verify "${units[@]}" 2>&1 | grep -F mayfly | grep -vF 'is not executable: No such file' || true)
  check "systemd takes the units" same "$complaints" ""
else
  echo "skipped: there is no systemd-analyze here"
fi
scripts=("$here/setup.sh" "$here/test.sh" "$here/template/linux/make-template.sh" "$here/template/linux/mayfly-runner")
for script in "${scripts[@]}"; do
  check "${script##*/} can be read" bash -n "$script"
done
if command -v shellcheck >/dev/null; then
  check "shellcheck" shellcheck "${scripts[@]}"
else
  echo "skipped: there is no shellcheck here"
fi

echo "$checks checks of infra/proxmox hold"
