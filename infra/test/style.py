"""The house rules: four files a module, each variable typed and described, each input and output of a submodule used."""

import fnmatch
import re
import sys

import hcl2

import state

FILES = ("main.tf", "variables.tf", "outputs.tf", "versions.tf")
# A variable whose validations are many may have a file of its own beside them: `variables_NAME.tf`.
VARIABLES = "variables*.tf"
# What may be in a file of that name, and in no other.
KINDS = {"variables.tf": {"variable"}, "outputs.tf": {"output"}, "versions.tf": {"terraform"}}
# A root module's example has the providers' settings, a submodule never.
ELSEWHERE = {"variable", "output", "terraform"}

# Each of these would bring a secret into the state.
SECRET = ("aws_ssm_parameter", "aws_secretsmanager_secret_version", "google_service_account_key", "random_password", "tls_private_key")


def main():
    problems = []
    modules = [state.INFRA, *sorted((state.INFRA / "modules").iterdir()), *sorted((state.INFRA / "examples").iterdir())]
    parsed = {module: {file.name: load(file, problems) for file in sorted(module.glob("*.tf"))} for module in modules}
    for module, files in parsed.items():
        problems += of_module(module, files)
    for module, files in parsed.items():
        problems += of_calls(module, files, parsed)
    for module in modules:
        if module.parent.name == "examples":
            problems += of_example(module, parsed[module])
    versions = {(module / "versions.tf").read_text().split("required_version")[1].split("\n")[0] for module in modules}
    if len(versions) != 1:
        problems.append(f"modules want different versions of terraform: {versions}")
    if problems:
        sys.exit("\n".join(problems))
    variables = sum(len(inputs(files)) for files in parsed.values())
    print(f"{len(modules)} modules, {sum(map(len, parsed.values()))} files parse; {variables} variables are typed, described and used")


def load(file, problems):
    try:
        return hcl2.loads(file.read_text())
    except Exception as error:  # the parser's own errors have no common class
        problems.append(f"{file}: {error}")
        return {}


def names(file, kind):
    """`{name: body}` of all blocks of that kind with one label."""
    return {name.strip('"'): body for block in file.get(kind, []) for name, body in block.items()}


def inputs(files):
    """`{name: body}` of all variables of a module."""
    return {name: body for file in sorted(files) if fnmatch.fnmatch(file, VARIABLES) for name, body in names(files[file], "variable").items()}


def of_module(module, files):
    where = module.relative_to(state.ROOT)
    if sorted(file for file in files if not fnmatch.fnmatch(file, "variables_*.tf")) != sorted(FILES):
        yield f"{where}: has {sorted(files)}, not the four files"
        return
    for name, file in files.items():
        allowed = KINDS["variables.tf"] if fnmatch.fnmatch(name, VARIABLES) else KINDS.get(name)
        wrong = set(file) - allowed if allowed else set(file) & ELSEWHERE
        if wrong - {"__comments__", "__inline_comments__"}:
            yield f"{where}/{name}: {sorted(wrong)} belong elsewhere"
    code = "\n".join(path.read_text() for path in sorted(module.glob("*.tf")) if not path.match(VARIABLES))
    own = "\n".join(path.read_text() for path in sorted(module.glob(VARIABLES)))
    for name, body in inputs(files).items():
        for key in ("description", "type"):
            if not str(body.get(key, "")).strip('"'):
                yield f"{where}: variable {name} has no {key}"
        if not re.search(rf"\bvar\.{name}\b", code):
            yield f"{where}: variable {name} is not used"
        if module == state.INFRA and name not in ("deletion_protection",) and "validation" not in body:
            yield f"{where}: variable {name} is not validated"
        if "default" not in body and own.count(f'variable "{name}"') != 1:
            yield f"{where}: variable {name} is declared twice"
    for block in [block for file in files.values() for block in file.get("locals", [])]:
        for name in set(block) - {"__is_block__", "__comments__", "__inline_comments__"}:
            if not re.search(rf"\blocal\.{name}\b", code):
                yield f"{where}: local {name} is not used"
    for kind, name in re.findall(r'^data "(\w+)" "(\w+)"', code, re.M):
        if f"data.{kind}.{name}" not in code:
            yield f"{where}: data {kind} {name} is not used"
    for kind in re.findall(r'^(?:resource|data|ephemeral) "(\w+)"', code, re.M):
        if kind in SECRET:
            yield f"{where}: {kind} would bring a secret into the state"
    for check, reason in re.findall(r"checkov:skip=(\w+):?(.*)", code):
        if len(reason.split()) < 2:
            yield f"{where}: {check} is skipped without a reason"
    for name, body in names(files["outputs.tf"], "output").items():
        if not str(body.get("description", "")).strip('"'):
            yield f"{where}: output {name} has no description"


def of_example(module, files):
    """What a user copies to begin with has every input that is needed, and no other."""
    where = module.relative_to(state.ROOT)
    copied = set(hcl2.loads((module / "terraform.tfvars.example").read_text()))
    variables = inputs(files)
    needed = {name for name, body in variables.items() if "default" not in body}
    if not needed <= copied <= set(variables):
        yield f"{where}: terraform.tfvars.example has {sorted(copied)}, and {sorted(needed)} are needed"
    # What the example reads must be made by a step of the README, in the region that the example is in.
    code = "\n".join(line for line in (module / "main.tf").read_text().splitlines() if not line.lstrip().startswith("#"))
    region = variables["aws_region"]["default"].strip('"')
    made = re.findall(rf"aws ssm put-parameter --region {region} --type SecureString --name (\S+)", (state.INFRA / "README.md").read_text())
    for place, name in re.findall(r'\b(ssm|secretsmanager) *= *"([^"]+)"', code):
        if place != "ssm" or name not in made:
            yield f"{where}: no step of the README makes the secret {name}"


def of_calls(module, files, parsed):
    """A call gives every input of its module, and somebody reads every output."""
    where = module.relative_to(state.ROOT)
    code = "\n".join(path.read_text() for path in sorted(module.glob("*.tf")))
    read = {}
    for name, body in names(files.get("main.tf", {}), "module").items():
        source = (module / body["source"].strip('"')).resolve()
        called = parsed.get(source)
        if called is None:
            yield f"{where}: module {name} is nowhere: {source}"
            continue
        given = set(body) - {"source", "count", "providers", "depends_on", "__is_block__"}
        wanted = inputs(called)
        for missing in {name for name, body in wanted.items() if "default" not in body} - given:
            yield f"{where}: module {name} does not get {missing}"
        if source.parent.name == "modules":
            for missing in set(wanted) - given:
                yield f"{where}: module {name} leaves {missing} at its default"
            outputs = {found for found in re.findall(rf"module\.{name}(?:\[[^\]]*\])?\.(\w+)", code)}
            read.setdefault(source, set()).update(outputs)
    for source, outputs in read.items():
        for unread in set(names(parsed[source]["outputs.tf"], "output")) - outputs:
            yield f"{source.relative_to(state.ROOT)}: output {unread} is read by nobody"


if __name__ == "__main__":
    main()
