"""Mayfly itself takes what terraform renders, and terraform can render every key that Mayfly knows."""

import os
import re
import subprocess
import sys
import tomllib

import state

FIXTURES = state.INFRA / "test" / "fixtures"
# Google's address is for tests and private access points; terraform has no input for it.
LEFT_OUT = {"endpoint"}


def main():
    mayfly = program()
    written = set()
    for path in sorted(FIXTURES.glob("*.toml")):
        # A pool that is not there: the configuration is read and found right first, and nothing is asked of anybody.
        environment = {**os.environ, "MAYFLY_CONFIG": str(path)}
        done = subprocess.run([mayfly, "drain", "nosuch"], env=environment, text=True, capture_output=True)
        if "`nosuch` is no pool of the configuration" not in done.stderr:
            sys.exit(f"{path.name} is not accepted: {done.stdout}{done.stderr}")
        print(f"accepted: {path.name}")
        written |= keys(tomllib.loads(path.read_text()))
    source = state.rust("shared/service/src/config")[state.pathlib.Path("shared/service/src/config/file.rs")]
    known = set(re.findall(r"^\s+(?:pub )?(\w+): [A-Z(u]", source, re.M))
    if lacking := known - written - LEFT_OUT - {"providers", "pools"}:
        sys.exit(f"terraform renders no {sorted(lacking)}")
    print(f"{len(known)} keys of mayfly.toml are rendered, all but {sorted(LEFT_OUT)}")


def keys(value):
    if isinstance(value, dict):
        return set(value) | {found for inner in value.values() for found in keys(inner)}
    if isinstance(value, list):
        return {found for inner in value for found in keys(inner)}
    return set()


def program():
    named = os.environ.get("MAYFLY")
    built = [state.ROOT / "target" / kind / "mayfly" for kind in ("debug", "release")]
    found = [named] if named else sorted((path for path in built if path.exists()), key=lambda path: -path.stat().st_mtime)
    if not found:
        sys.exit("no mayfly to try the configurations with: build it (cargo build -p cli), or name one by MAYFLY")
    return str(found[0])


if __name__ == "__main__":
    main()
