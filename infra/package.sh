#!/usr/bin/env bash
# Builds both functions for Lambda and packs them: by cargo-lambda and zig, which come from PyPI, in an environment of their own. Needs
# Rust and Python 3.
#
# The same sources are to make the same zips wherever they lie: no time of day, no owner, and no path of this machine is in them.
# What the digests depend on besides: Rust's version, which nothing here fixes; flags of yours; and for the zip, not the binary, the
# zlib that Python was built with, so both digests are said. Two folders of one machine gave the same (reproduce.sh compares them); two machines have
# not been compared yet.
#
# Beside each zip lies what is in it, `bootstrap.cdx.json`: see sbom.py.
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

# Messages name the source they come from; the later of two prefixes that fit is taken.
remap=("--remap-path-prefix=$PWD=/mayfly" "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo")
# Cargo takes flags from one place only: where the environment has some, it forgets the configuration's. So they go where yours are, and
# into the configuration, to which cargo-lambda adds the processor, where you have none.
config=() yours=()
if [ -n "${CARGO_ENCODED_RUSTFLAGS+set}" ]; then
  IFS=$'\x1f' read -r -d '' -a yours < <(printf '%s' "$CARGO_ENCODED_RUSTFLAGS") || :
elif [ -n "${RUSTFLAGS+set}" ]; then
  read -r -d '' -a yours <<<"$RUSTFLAGS" || :
fi
if [ -n "${CARGO_ENCODED_RUSTFLAGS+set}${RUSTFLAGS+set}" ]; then
  all=(${yours[@]+"${yours[@]}"} "${remap[@]}")
  CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && printf '%s' "${all[*]}")
  export CARGO_ENCODED_RUSTFLAGS
else
  config=(--config "build.rustflags = ['${remap[0]}', '${remap[1]}']")
fi

export CARGO_INCREMENTAL=0
cargo lambda build --release "$flag" --locked -p webhook -p sweeper --lambda-dir "$out" ${config[@]+"${config[@]}"}

for function in webhook sweeper; do
  python3 - "$out/$function" <<'PACK'
import hashlib, pathlib, sys, zipfile, zlib

folder = pathlib.Path(sys.argv[1])
binary = (folder / "bootstrap").read_bytes()
target = folder / "bootstrap.zip"
# No time of day, no owner. It has to be compressed: Lambda starts slower with each MiB.
entry = zipfile.ZipInfo("bootstrap", (1980, 1, 1, 0, 0, 0))
entry.external_attr = 0o100755 << 16
entry.compress_type = zipfile.ZIP_DEFLATED
with zipfile.ZipFile(target, "w", compresslevel=9) as packed:
    packed.writestr(entry, binary)
zipped = target.read_bytes()
mib = 1 << 20
print(f"{target}: {len(zipped) / mib:.1f} MiB, of {len(binary) / mib:.1f}; sha256 {hashlib.sha256(zipped).hexdigest()}")
print(f"{folder / 'bootstrap'}: sha256 {hashlib.sha256(binary).hexdigest()}; zlib {zlib.ZLIB_RUNTIME_VERSION}")
if len(zipped) >= 10 * mib:
    sys.exit(f"{target} is 10 MiB or more: Lambda starts slower with each of them")
PACK
done
# Both zips are there before their bills are.
for function in webhook sweeper; do
  python3 infra/sbom.py "$function" "$triple" "$out/$function/bootstrap.cdx.json" "$out/$function/bootstrap"
done
