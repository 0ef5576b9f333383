"""sbom.py says what a function is made of: whole, nothing of the tests', the same twice, and CycloneDX by its own schema."""

import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile
import tomllib

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

import state

TRIPLES = ("aarch64-unknown-linux-gnu", "x86_64-unknown-linux-gnu")
# Of tests alone, or of programs that are not shipped.
NEVER = {"axum", "clap", "criterion", "dynoxide-rs", "mayfly-testkit", "proptest", "rcgen", "rusqlite", "simulator", "tempfile"}
# What both functions stand on.
ALWAYS = {"aws-lc-sys", "aws-sdk-dynamodb", "lambda_runtime", "mayfly-core", "mayfly-service", "reqwest", "rustls", "tokio"}
# In no binary, and yet at work when one is built.
BUILDING = {"cc", "serde_derive", "syn"}


def main():
    with tempfile.TemporaryDirectory() as folder:
        places = [pathlib.Path(folder) / name for name in ("first", "second")]
        for function in ("webhook", "sweeper"):
            for triple in TRIPLES:
                first, second = (written(function, triple, place) for place in places)
                if first != second:
                    sys.exit(f"{function} for {triple}: two runs make two files")
                check(f"{function} for {triple}", function, first)
        # One for all, which differ in nothing but their lists: it takes a dozen seconds.
        wrong = JsonStrictValidator(SchemaVersion.V1_5).validate_str(first)
        if wrong is not None:
            sys.exit(f"not CycloneDX: {wrong}")
        binary = pathlib.Path(folder) / "bootstrap"
        binary.write_bytes(b"a function")
        told = json.loads(written("webhook", TRIPLES[0], places[0], binary))
        digest = hashlib.sha256(binary.read_bytes()).hexdigest()
        if told["metadata"]["component"]["hashes"] != [{"alg": "SHA-256", "content": digest}]:
            sys.exit("the binary's digest is not in its bill")
        if told["serialNumber"] == json.loads(written("webhook", TRIPLES[0], places[0]))["serialNumber"]:
            sys.exit("two contents have one serial number")
    print("sbom.py: four bills hold to Cargo.lock and to CycloneDX's schema, and are the same twice")


def written(function, triple, target, *binary):
    words = [sys.executable, state.INFRA / "sbom.py", function, triple, target, *binary]
    subprocess.run(list(map(str, words)), check=True, stdout=subprocess.DEVNULL)
    return target.read_text()


def check(what, function, text):
    def demand(holds, why):
        if not holds:
            sys.exit(f"{what}: {why}")

    bill = json.loads(text)
    demand(bill["metadata"]["component"]["name"] == function, "it is somebody else's")
    locked = tomllib.loads((state.ROOT / "Cargo.lock").read_text())["package"]
    locked = {(each["name"], each["version"]): each.get("checksum") for each in locked}
    members = {name for (name, _), checksum in locked.items() if checksum is None}
    scopes = {}
    for component in bill["components"]:
        name, version = component["name"], component["version"]
        scopes.setdefault(name, set()).add(component["scope"])
        demand(all(each["expression"] for each in component["licenses"]), f"{name} has no licence")
        demand((name, version) in locked, f"{name} {version} is not in Cargo.lock")
        if name in members:
            demand("purl" not in component, f"{name} is in no registry")
            continue
        purl = PackageURL.from_string(component["purl"])
        demand((purl.type, purl.name, purl.version) == ("cargo", name, version), f"{purl} is not {name} {version}")
        digest = [{"alg": "SHA-256", "content": locked[name, version]}]
        demand(component["hashes"] == digest, f"{name} {version} has another digest in Cargo.lock")
    demand(not NEVER & scopes.keys(), f"{NEVER & scopes.keys()} are only in tests")
    demand(all("required" in scopes.get(name, ()) for name in ALWAYS), f"one of {ALWAYS} is not in it")
    demand(all(scopes.get(name) == {"excluded"} for name in BUILDING), f"one of {BUILDING} is said to be in it")
    refs = {component["bom-ref"] for component in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
    demand({each["ref"] for each in bill["dependencies"]} == refs, "who needs what is not told of each")


if __name__ == "__main__":
    main()
