#!/usr/bin/env bash
# Makes what Mayfly needs to be let in on a Proxmox VE cluster: a role with the smallest set of privileges, a user, an API
# token and their access rules. Run it as root on any node. Running it again changes nothing that is right already.
set -euo pipefail

role=Mayfly
user=mayfly@pve
token=mayfly
release=
pool=
template=
secret_file=
dry_run=false
new_token=false
storages=()

usage() {
  cat <<'TEXT'
usage: setup.sh --storage NAME [--storage NAME]... [options]

  --storage NAME      a storage that clones' disks are made on: that of the template, for linked clones
  --pool NAME         give rights on this resource pool only, not on all VMs; made when it is not there. Then set
                      `pool = "NAME"` in Mayfly's placements. Needs --template
  --template VMID     the template to be cloned; with --pool. Repeat the run for another one
  --pve 8|9           the release of Proxmox VE; else asked of `pveversion`
  --secret-file FILE  write the token's secret there (mode 0600), not to the terminal
  --new-token         replace a token that is there: its secret cannot be shown again
  --dry-run           print the commands and change nothing
TEXT
}

die() {
  printf 'setup.sh: %s\n' "$*" >&2
  exit 1
}

say() {
  printf '%s\n' "$*" >&2
}

while [ $# -gt 0 ]; do
  option=$1
  case $option in
    --storage | --pool | --template | --pve | --secret-file)
      [ $# -ge 2 ] && [ -n "$2" ] || die "$option wants a value"
      value=$2
      shift 2
      ;;
    *) shift ;;
  esac
  case $option in
    --storage) storages+=("$value") ;;
    --pool) pool=$value ;;
    --template) template=$value ;;
    --pve) release=$value ;;
    --secret-file) secret_file=$value ;;
    --new-token) new_token=true ;;
    --dry-run) dry_run=true ;;
    -h | --help)
      usage
      exit 0
      ;;
    *)
      usage >&2
      die "there is no option $option"
      ;;
  esac
done

name='^[A-Za-z][A-Za-z0-9._-]*$'
[ ${#storages[@]} -gt 0 ] || die "name the template's storage with --storage; \`pvesm status\` lists them"
for storage in "${storages[@]}"; do
  [[ $storage =~ $name ]] || die "\"$storage\" is no storage's name"
done
if [ -n "$pool" ]; then
  [[ $pool =~ $name ]] || die "\"$pool\" is no resource pool's name"
  [ -n "$template" ] || die "--pool needs --template: rights on the pool do not reach a template outside it"
fi
[ -z "$template" ] || [[ $template =~ ^[1-9][0-9]{2,8}$ ]] || die "\"$template\" is no VM id"

if [ -z "$release" ] && command -v pveversion >/dev/null; then
  # pve-manager/9.0.3/025864202ebb6109 (running kernel: …)
  release=$(pveversion | sed -n 's|^pve-manager/\([0-9]*\)\..*|\1|p')
fi
case $release in
  '') die "cannot tell the release of Proxmox VE (is this a node?): give --pve 8 or --pve 9" ;;
  # Release 9 has no VM.Monitor any more; what it allowed is divided.
  8) agent="VM.Monitor" ;;
  9 | [1-9][0-9]) agent="VM.GuestAgent.Audit VM.GuestAgent.FileWrite" ;;
  *) die "Proxmox VE $release is not known here: 8 and 9 are" ;;
esac
privileges="Datastore.AllocateSpace Datastore.Audit SDN.Use Sys.Audit VM.Allocate VM.Audit VM.Clone VM.Config.Options"
privileges="$privileges $agent VM.PowerMgmt"

$dry_run || [ -n "$secret_file" ] || [ -t 1 ] ||
  die "the token's secret is shown on a terminal only, and this is none: give --secret-file"
$dry_run || command -v pveum >/dev/null || die "there is no pveum: run this on a node of the cluster"

run() {
  if $dry_run; then
    printf '%s' "$1"
    shift
    [ $# -eq 0 ] || printf ' %q' "$@"
    printf '\n'
  else
    "$@" >/dev/null
  fi
}

# Whether a list in JSON has an object in which a key has that value. A dry run looks at nothing.
has() {
  local key=$1 value=$2
  shift 2
  $dry_run && return 1
  local list
  list=$("$@" --output-format json) || die "failed: $*"
  # Dots and the like are no patterns.
  printf '%s' "$list" | tr -d ' \n' | grep -qF "\"$key\":\"$value\""
}

if has roleid "$role" pveum role list; then
  run pveum role modify "$role" --privs "$privileges"
  say "role $role: has exactly the privileges it needs now"
else
  run pveum role add "$role" --privs "$privileges"
fi

has userid "$user" pveum user list || run pveum user add "$user" --comment "Mayfly: GitHub Actions runners"

made=false
if has tokenid "$token" pveum user token list "$user"; then
  if $new_token; then
    run pveum user token remove "$user" "$token"
    made=true
  else
    say "token $user!$token: is there already; --new-token replaces it, and its secret"
  fi
else
  made=true
fi

paths=(/nodes /sdn/zones)
for storage in "${storages[@]}"; do
  paths+=("/storage/$storage")
done
if [ -n "$pool" ]; then
  has poolid "$pool" pveum pool list || run pveum pool add "$pool" --comment "Mayfly's VMs"
  paths+=("/pool/$pool" "/vms/$template")
else
  paths+=(/vms)
fi

secret=
full="$user!$token"
if $made; then
  # With privilege separation the token may do what both its user and itself are allowed.
  make=(pveum user token add "$user" "$token" --privsep 1 --comment "Mayfly" --output-format json)
  if $dry_run; then
    run "${make[@]}"
  else
    answer=$("${make[@]}") || die "the token was not made"
    secret=$(printf '%s' "$answer" | tr -d ' \n' | sed -n 's/.*"value":"\([^"]*\)".*/\1/p')
    [ -n "$secret" ] || die "the token was made, but its secret cannot be read: run this again with --new-token"
    if [ -n "$secret_file" ]; then
      (umask 077 && printf '%s\n' "$secret" >"$secret_file")
    fi
  fi
fi
for path in "${paths[@]}"; do
  run pveum acl modify "$path" --roles "$role" --users "$user"
  run pveum acl modify "$path" --roles "$role" --tokens "$full"
done

$dry_run && exit 0
printf 'token_id = "%s"\n' "$full"
if [ -n "$secret" ]; then
  if [ -n "$secret_file" ]; then
    printf 'its secret is in %s\n' "$secret_file"
  else
    printf 'secret, shown this once: %s\n' "$secret"
  fi
fi
