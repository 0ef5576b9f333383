#!/usr/bin/env bash
# What a browser makes of the status page.
#   run.sh            shows the pages of `cargo test -p cli --test page` to a headless Chromium: screenshots into target/pictures, and
#                     axe-core must find nothing. Says that it was skipped where there is no Chromium, and none can be installed.
#   run.sh --write    makes those pages anew, and writes the README's pictures, one of them of a demo
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
tools=$target/picture-tools

browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; }
if ! browser >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-liberation; } >/dev/null 2>&1 || true
fi
if ! browser >/dev/null; then
  echo "skipped: no Chromium here"
  exit 0
fi
if ! cmp -s "$here/requirements.txt" "$tools/requirements.txt"; then
  rm -rf "$tools"
  python3 -m venv "$tools"
  "$tools/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
  cp "$here/requirements.txt" "$tools/"
fi
if [ "${1:-}" = --write ]; then
  cargo test --quiet --locked --manifest-path "$root/Cargo.toml" -p cli --test page
  cargo build --quiet --locked --manifest-path "$root/Cargo.toml" -p cli
fi
"$tools/bin/python" "$here/pictures.py" "$(browser)" "$target" "$@"
