#!/usr/bin/env python3
"""Writes what a function is made of, as CycloneDX 1.5 JSON, by what Cargo says of the build that package.sh makes.

    infra/sbom.py webhook aarch64-unknown-linux-gnu target/lambda/webhook/bootstrap.cdx.json [BINARY]

`required` is what is in the binary; `excluded` only had a hand in building it: macros, build scripts, and what these need. Tests' dependencies are
neither. Mayfly's own crates have no purl: they are in no registry, and somebody else's crate may have the name there. With BINARY, its digest.
There is no time of day and no chance in it: the same sources and the same compiler make the same bytes.
"""

import hashlib
import json
import pathlib
import re
import subprocess
import sys
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Both are built by one call, and so share their features: as package.sh builds them.
BUILT = ("webhook", "sweeper")
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"


def main():
    if len(sys.argv) not in (4, 5) or sys.argv[1] not in BUILT:
        sys.exit(f"usage: {sys.argv[0]} {'|'.join(BUILT)} TRIPLE FILE [BINARY]")
    function, triple, target = sys.argv[1:4]
    binary = pathlib.Path(sys.argv[4]).read_bytes() if len(sys.argv) == 5 else None
    bill = bill_of(function, triple, binary)
    pathlib.Path(target).write_text(json.dumps(bill, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    kinds = [component["scope"] for component in bill["components"]]
    print(f"{target}: {kinds.count('required')} crates in it, {kinds.count('excluded')} more to build it")


def bill_of(function, triple, binary):
    packages = {
        (package["name"], package["version"]): package
        for package in json.loads(cargo("metadata", "--format-version", "1", "--filter-platform", triple))["packages"]
    }
    sums = checksums()
    linked = reached(tree(triple, "normal,no-proc-macro"), function)
    edges = tree(triple, "normal,build")
    used = reached(edges, function)
    root = next(key for key in used if key[0] == function)
    components = [component(packages[key], sums, key in linked) for key in sorted(used - {root})]
    metadata = {
        "component": component(packages[root], sums, True) | {"type": "application"},
        "properties": [
            {"name": "mayfly:rustc", "value": output("rustc", "--version").strip()},
            {"name": "mayfly:target", "value": triple},
        ],
    }
    del metadata["component"]["scope"]
    if binary is not None:
        metadata["component"]["hashes"] = [{"alg": "SHA-256", "content": hashlib.sha256(binary).hexdigest()}]
    depends = [
        {"ref": ref(packages[key]), "dependsOn": sorted(ref(packages[other]) for other in edges.get(key, ()))}
        for key in sorted(used)
    ]
    content = {"metadata": metadata, "components": components, "dependencies": depends}
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(content, sort_keys=True))
    head = {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "serialNumber": f"urn:uuid:{serial}"}
    return head | content


def component(package, sums, is_linked):
    key = (package["name"], package["version"])
    told = {
        "type": "library",
        "bom-ref": ref(package),
        "name": package["name"],
        "version": package["version"],
        "scope": "required" if is_linked else "excluded",
        "licenses": [{"expression": licence(package)}],
    }
    if package["source"] == REGISTRY:
        told["purl"] = ref(package)
        told["hashes"] = [{"alg": "SHA-256", "content": sums[key]}]
        told["externalReferences"] = [
            {"type": "distribution", "url": f"https://static.crates.io/crates/{key[0]}/{key[0]}-{key[1]}.crate"}
        ]
    elif package["source"] is not None:
        sys.exit(f"{key[0]} {key[1]} is from neither crates.io nor here: {package['source']}")
    return told


def ref(package):
    name, version = package["name"], package["version"]
    # A version may have a `+`, which a purl writes otherwise.
    return f"pkg:cargo/{name}@{version.replace('+', '%2B')}" if package["source"] else f"mayfly:{name}@{version}"


def licence(package):
    if not package["license"]:
        sys.exit(f"{package['name']} {package['version']} says no licence")
    # As it was written before SPDX had a grammar.
    return re.sub(r"\s*/\s*", " OR ", package["license"])


def checksums():
    """Of each crate's archive, as Cargo checks it before it unpacks it."""
    # Read by its lines: a parser of TOML came with Python 3.11 only.
    lines = r'name = "(.+)"\nversion = "(.+)"\nsource = ".+"\nchecksum = "(.+)"'
    locked = re.findall(lines, (ROOT / "Cargo.lock").read_text())
    return {(name, version): checksum for name, version, checksum in locked}


def tree(triple, kinds):
    """Who needs whom, `(name, version)` each, in the build of both functions."""
    chosen = [word for name in BUILT for word in ("--package", name)]
    text = cargo("tree", *chosen, "--target", triple, "--edges", kinds, "--prefix", "depth", "--format", " {p}")
    edges, above = {}, []
    for line in filter(None, text.splitlines()):
        depth, name, version = re.match(r"(\d+) (\S+) v(\S+)", line).groups()
        del above[int(depth) :]
        key = (name, version)
        edges.setdefault(key, set())
        if above:
            edges[above[-1]].add(key)
        above.append(key)
    return edges


def reached(edges, function):
    """All that a function needs, itself included."""
    found, todo = set(), [key for key in edges if key[0] == function]
    while todo:
        key = todo.pop()
        if key not in found:
            found.add(key)
            todo.extend(edges[key])
    return found


def cargo(command, *words):
    return output("cargo", command, "--locked", "--quiet", *words)


def output(*words):
    return subprocess.run(words, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE).stdout


if __name__ == "__main__":
    main()
