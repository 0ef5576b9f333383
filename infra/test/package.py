"""package.sh keeps the paths of the machine out of the functions, and the flags that are set; with stand-ins for what builds."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import state

# In place of cargo: it writes down what it was told, and makes what package.sh packs.
CARGO = """#!/usr/bin/env bash
printf '%s\\n' "$@" >"$SAID"
printf '%s' "${CARGO_ENCODED_RUSTFLAGS-unset}" >"$SAID.flags"
mkdir -p target/lambda/webhook target/lambda/sweeper
printf 'a function' | tee target/lambda/webhook/bootstrap >target/lambda/sweeper/bootstrap
"""

# In place of sbom.py, which sbom_test.py tries.
SBOM = """import pathlib, sys
pathlib.Path(sys.argv[3]).write_text(" ".join(sys.argv[1:]))
"""


def main():
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", str(state.INFRA / "package.sh")], check=True)
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder).resolve() / "my project"
        tools = root / "target" / "lambda-tools" / "bin"
        tools.mkdir(parents=True)
        (root / "infra").mkdir()
        shutil.copy(state.INFRA / "package.sh", root / "infra")
        (root / "infra" / "sbom.py").write_text(SBOM)
        for name, text in {"cargo": CARGO, "cargo-lambda": "", "pip": "#!/bin/sh\n", "rustup": "#!/bin/sh\n"}.items():
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        remap = [f"--remap-path-prefix={root}=/mayfly", "--remap-path-prefix=/home/me/.cargo=/cargo"]

        told, flags, first = run(root, {})
        if told[-2:] != ["--config", f"build.rustflags = ['{remap[0]}', '{remap[1]}']"] or flags != "unset":
            sys.exit(f"without flags, cargo is told {told} and {flags!r}")
        told, flags, second = run(root, {"RUSTFLAGS": "-C  target-cpu=x\n-D warnings"})
        if "--config" in told or flags.split("\x1f") != ["-C", "target-cpu=x", "-D", "warnings", *remap]:
            sys.exit(f"with RUSTFLAGS, cargo is told {told} and {flags!r}")
        told, flags, _ = run(root, {"RUSTFLAGS": "-C forgotten", "CARGO_ENCODED_RUSTFLAGS": "--cfg\x1fa b"})
        if "--config" in told or flags.split("\x1f") != ["--cfg", "a b", *remap]:
            sys.exit(f"with CARGO_ENCODED_RUSTFLAGS, cargo is told {told} and {flags!r}")
        for name in ("RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"):
            if run(root, {name: ""})[1].split("\x1f") != remap:
                sys.exit(f"with {name} empty, cargo is not told of the paths")
        if first != second:
            sys.exit("the same binary makes two zips")
        for function in ("webhook", "sweeper"):
            place = f"target/lambda/{function}"
            told = (root / place / "bootstrap.cdx.json").read_text()
            if told != f"{function} aarch64-unknown-linux-gnu {place}/bootstrap.cdx.json {place}/bootstrap":
                sys.exit(f"sbom.py is asked for {told}")
    print("package.sh: paths are mapped beside the flags that are set, the same binary makes the same zip, and its bill lies beside it")


def run(root, flags):
    """What cargo was told, the flags in its environment, and the zip."""
    path = f"{root}/target/lambda-tools/bin:{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": "/home/me", "SAID": str(root / "said"), **flags}
    done = subprocess.run([str(root / "infra" / "package.sh")], env=environment, text=True, capture_output=True)
    if done.returncode != 0:
        sys.exit(f"package.sh ends with {done.returncode}:\n{done.stdout}{done.stderr}")
    zipped = (root / "target" / "lambda" / "webhook" / "bootstrap.zip").read_bytes()
    return (root / "said").read_text().splitlines(), (root / "said.flags").read_text(), zipped


if __name__ == "__main__":
    main()
