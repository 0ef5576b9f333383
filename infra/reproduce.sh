#!/usr/bin/env bash
# Packages what is committed twice, in two folders whose names have nothing in common, and demands that each binary, zip and bill of materials
# is the same in both. Takes a quarter of an hour for each kind on two processors. Changes nothing here, but for what --keep asks for.
#
#   infra/reproduce.sh                                     arm64
#   infra/reproduce.sh arm64 x86-64                        both kinds
#   infra/reproduce.sh --keep FOLDER [KIND…]               and leaves zips, bills and their digests there
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

keep=
if [ "${1:-}" = --keep ]; then
  keep=${2:?a folder to keep them in}
  shift 2
  mkdir -p "$keep"
  keep=$(cd "$keep" && pwd)
fi
[ $# -gt 0 ] || set -- arm64
for kind; do
  case $kind in
    arm64 | x86-64) ;;
    *) echo "no such kind: $kind" >&2; exit 2 ;;
  esac
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
places=("$work/one" "$work/a/second-place-of-another-length")
for place in "${places[@]}"; do
  mkdir -p "$place"
  git -C "$root" archive HEAD | tar -x -C "$place"
done

differs=0
for kind; do
  out=target/lambda
  [ "$kind" = arm64 ] || out=target/lambda-$kind
  for place in "${places[@]}"; do
    # What one build left is not there for the other, and a disk holds one of them.
    (cd "$place" && infra/package.sh "$kind" && find target -mindepth 1 -maxdepth 1 ! -name 'lambda*' -exec rm -rf {} +)
  done
  for function in webhook sweeper; do
    for file in bootstrap bootstrap.zip bootstrap.cdx.json; do
      path=$out/$function/$file
      if cmp "${places[0]}/$path" "${places[1]}/$path"; then
        (cd "${places[0]}" && printf 'the same twice: %s\n' "$(sha256sum "$path")")
      else
        differs=1
      fi
      if [ -n "$keep" ] && [ "$file" != bootstrap ]; then
        cp "${places[0]}/$path" "$keep/$function-$kind.${file#bootstrap.}"
      fi
    done
  done
done
[ "$differs" = 0 ] || { echo "two builds of the same sources differ" >&2; exit 1; }
if [ -n "$keep" ]; then
  (cd "$keep" && sha256sum -- *.zip *.cdx.json >SHA256SUMS)
fi
