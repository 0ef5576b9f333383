"""What terraform.py left: the examples as they are when they have been applied with mocked providers."""

import json
import pathlib

INFRA = pathlib.Path(__file__).resolve().parent.parent
ROOT = INFRA.parent
CACHE = INFRA / "test" / ".cache"


def resources(example):
    """`{address: values}` of all resources."""
    found = {}

    def collect(module):
        for resource in module.get("resources", []):
            found[resource["address"].removeprefix("module.mayfly.")] = resource["values"]
        for child in module.get("child_modules", []):
            collect(child)

    collect(json.loads((CACHE / f"{example}.json").read_text())["root_module"])
    return found


def rust(folder):
    """The sources of what runs in production, by path: without tests and what only simulations use."""
    found = {}
    for path in sorted((ROOT / folder).rglob("*.rs")):
        if path.stem == "tests" or path.stem.endswith("_tests") or "tests" in path.parts or path.stem == "simulation":
            continue
        found[path.relative_to(ROOT)] = path.read_text().split("#[cfg(test)]\nmod tests {")[0]
    return found
