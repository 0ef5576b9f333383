#!/usr/bin/env bash
# What Mayfly is made of, against deny.toml: licences, duplicates, build scripts, sources; and known weaknesses, where the list of them can be had.
set -euo pipefail
cd "$(dirname "$0")/.."

# What is built is what was looked at.
git ls-files --error-unmatch Cargo.lock >/dev/null
cargo metadata --locked --format-version 1 >/dev/null

# From its sources, in two to three minutes, and once for each machine: the only binary in a registry is years old.
version=0.20.2
if [ "$(cargo deny --version 2>/dev/null)" != "cargo-deny $version" ]; then
  cargo install --quiet --locked --debug --no-default-features --force "cargo-deny@$version"
fi

# An exception that nothing needs any more is an error, too.
cargo deny --locked check --deny unmatched-skip --deny unnecessary-skip licenses bans sources

# That list is a repository at GitHub, which not every machine reaches.
if GIT_TERMINAL_PROMPT=0 timeout 120 cargo deny --locked fetch db >/dev/null 2>&1; then
  cargo deny --locked --offline check advisories
else
  echo "skipped: known weaknesses (advisories), since their list cannot be fetched from here"
fi
