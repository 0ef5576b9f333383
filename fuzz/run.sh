#!/usr/bin/env bash
# Runs libFuzzer. It needs nothing beside Rust and a C++ compiler: no nightly toolchain, since the code has no `unsafe` that a
# sanitizer could watch, and the compiler's own coverage instrumentation is all that libFuzzer steers by.
#
#   fuzz/run.sh --short              each target for ten seconds, nothing kept: for .ci/run
#   fuzz/run.sh TARGET SECONDS       one target; what it finds is kept in fuzz/target/corpus and fuzz/target/artifacts
#   fuzz/run.sh --keep TARGET        the seeds, and few more that reach as many places as all, into fuzz/corpus
set -euo pipefail
cd "$(dirname "$0")/.."

targets="event configuration labels answers items"
# Other flags build everything anew, so not among the workspace's own.
folder=$PWD/fuzz/target
host=$(rustc -vV | sed -n 's/^host: //p')
binaries=$folder/$host/release
# An input that takes longer than this, or more memory, is a finding. libFuzzer's weighing of inputs by what is rare in them would take most of
# the time: an input here reaches ten thousand places.
limits=(-timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=256 -entropic=0)
# The first poll of everything within everything wants more than the usual 8 MB.
ulimit -s unlimited 2>/dev/null || ulimit -s 65536 2>/dev/null || true

build() {
  local flags=(--cfg fuzzing -Cpasses=sancov-module)
  local each
  for each in level=4 inline-8bit-counters pc-table trace-compares; do
    flags+=("-Cllvm-args=-sanitizer-coverage-$each")
  done
  # With a target of its own, build scripts and macros are built without the flags.
  RUSTFLAGS="${flags[*]}" cargo build --quiet --release --locked --manifest-path fuzz/Cargo.toml --target "$host" \
    --target-dir "$folder"
}

run() { # TARGET, then libFuzzer's flags and corpora
  local target=$1 plain=()
  shift
  mkdir -p "$folder/artifacts/$target"
  # These are choices in digits, and what is between them.
  case $target in answers | items) plain=(-only_ascii=1) ;; esac
  "$binaries/$target" -artifact_prefix="$folder/artifacts/$target/" "${limits[@]}" "${plain[@]}" "$@"
}

build
case ${1-} in
  --short)
    for target in $targets; do
      scratch=$folder/short/$target
      rm -rf "$scratch"
      mkdir -p "$scratch"
      log=$folder/short/$target.log
      run "$target" -max_total_time=10 -seed=1 -max_len=16384 -print_final_stats=1 \
        "$scratch" "fuzz/corpus/$target" >"$log" 2>&1 || { tail -n 60 "$log"; exit 1; }
      printf '%s: %s\n' "$target" "$(grep -E '^#[0-9]+.*DONE' "$log")"
    done
    ;;
  --keep)
    target=$2
    texts=$folder/texts/$target smaller=$folder/smaller/$target
    rm -rf "$texts" "$smaller"
    mkdir -p "$texts" "$smaller" "$folder/corpus/$target"
    # The kept ones are text, so that people can read them.
    for file in "fuzz/corpus/$target"/* "$folder/corpus/$target"/*; do
      [ -f "$file" ] || continue
      # It fails where it leaves something out.
      { iconv -c -f utf-8 -t utf-8 "$file" || true; } 2>/dev/null | tr -d '\000-\010\013\014\016-\037' >"$texts/${file##*/}"
    done
    # Seeds say what they are for, and stay; with them, what reaches places that they do not.
    cp "fuzz/corpus/$target"/seed-* "$smaller"
    run "$target" -set_cover_merge=1 -use_counters=0 -max_len=4096 "$smaller" "$texts"
    rm -rf "fuzz/corpus/$target"
    cp -r "$smaller" "fuzz/corpus/$target"
    find "fuzz/corpus/$target" -type f | wc -l
    ;;
  *)
    target=$1
    mkdir -p "$folder/corpus/$target"
    run "$target" -max_total_time="$2" -max_len=16384 -print_final_stats=1 \
      "$folder/corpus/$target" "fuzz/corpus/$target"
    ;;
esac
