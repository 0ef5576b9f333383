#!/usr/bin/env bash
# Builds both functions for Lambda and packs them, so that the same sources make the same zips: by cargo-lambda and zig, which
# come from PyPI, in an environment of their own. Needs Rust and Python 3.
#
#   infra/package.sh             arm64, as infra's examples take them: target/lambda/{webhook,sweeper}/bootstrap.zip
#   infra/package.sh x86-64      the other kind, in target/lambda-x86-64
set -euo pipefail
cd "$(dirname "$0")/.."

kind=${1:-arm64}
case $kind in
  arm64) flag=--arm64 triple=aarch64-unknown-linux-gnu out=target/lambda ;;
  x86-64) flag=--x86-64 triple=x86_64-unknown-linux-gnu out=target/lambda-x86-64 ;;
  *) echo "usage: $0 [arm64 | x86-64]" >&2; exit 2 ;;
esac

tools=$PWD/target/lambda-tools
[ -x "$tools/bin/cargo-lambda" ] || python3 -m venv "$tools"
"$tools/bin/pip" install --quiet --disable-pip-version-check cargo-lambda==1.9.2 ziglang==0.17.1
export PATH="$tools/bin:$PATH"
! command -v rustup >/dev/null || rustup target add "$triple" 2>/dev/null

export CARGO_INCREMENTAL=0
cargo lambda build --release "$flag" --locked -p webhook -p sweeper --lambda-dir "$out"

for function in webhook sweeper; do
  python3 - "$out/$function" <<'PACK'
import hashlib, pathlib, sys, zipfile

folder = pathlib.Path(sys.argv[1])
binary = (folder / "bootstrap").read_bytes()
target = folder / "bootstrap.zip"
# The same bytes give the same zip: no time of day, no owner.
entry = zipfile.ZipInfo("bootstrap", (1980, 1, 1, 0, 0, 0))
entry.external_attr = 0o100755 << 16
entry.compress_type = zipfile.ZIP_DEFLATED
with zipfile.ZipFile(target, "w", compresslevel=9) as packed:
    packed.writestr(entry, binary)
zipped = target.read_bytes()
mib = 1 << 20
print(f"{target}: {len(zipped) / mib:.1f} MiB, of {len(binary) / mib:.1f}; sha256 {hashlib.sha256(zipped).hexdigest()}")
if len(zipped) >= 10 * mib:
    sys.exit(f"{target} is 10 MiB or more: Lambda starts slower with each of them")
PACK
done
