#!/usr/bin/env bash
# Builds Mayfly with each deliberate bug in turn, plays histories until the bug is caught, and prints a table. A bug that is
# not caught fails.
#
#   simulator/histories/bugs/try.sh            all of them
#   simulator/histories/bugs/try.sh no-grace   this one
#   simulator/histories/bugs/try.sh --check    only whether each patch still fits what is committed
set -euo pipefail
cd "$(dirname "$0")"
root=$(git rev-parse --show-toplevel)
most=${HISTORIES:-20000}

copy=$(mktemp -d)
trap 'git -C "$root" worktree remove --force "$copy"' EXIT
git -C "$root" worktree add --quiet --detach "$copy" HEAD

if [ "${1:-}" = --check ]; then
  patches=(*.patch)
  for patch in "${patches[@]}"; do git -C "$copy" apply --check "$PWD/$patch"; done
  echo "all ${#patches[@]} deliberate bugs fit"
  exit
fi

if [ $# -eq 0 ]; then
  set -- *.patch
fi
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target/bugs} CARGO_INCREMENTAL=1
missed=0
printf '| bug | breaks | seed | after histories | seconds |\n| --- | --- | --- | --- | --- |\n'
for name; do
  name=${name%.patch}
  git -C "$copy" checkout --quiet .
  git -C "$copy" apply "$PWD/$name.patch"
  (cd "$copy" && cargo build --quiet --locked --profile histories -p histories)
  if told=$("$CARGO_TARGET_DIR/histories/histories" --seeds "$most" --shrink 0 2>/dev/null); then
    printf '| %s | not caught | | %s | |\n' "$name" "$most"
    missed=1
    continue
  fi
  seed=$(sed -n 's/^seed \([0-9]*\): .*/\1/p' <<<"$told" | head -n 1)
  promise=$(sed -n 's/^seed [0-9]*: \([A-Za-z0-9]*\).*/\1/p' <<<"$told" | head -n 1)
  played=$(sed -n 's/^\([0-9]*\) histories, .* failed$/\1/p' <<<"$told" | tail -n 1)
  took=$(sed -n 's/^[0-9]* histories, .* hours in \([0-9]*\) s: .* failed$/\1/p' <<<"$told" | tail -n 1)
  printf '| %s | %s | %s | %s | %s |\n' "$name" "$promise" "$seed" "$played" "$took"
done
exit "$missed"
