"""The tables in the READMEs that say what the files say: inputs, outputs, rights, costs. `--write` writes them anew."""

import json
import re
import sys

import hcl2

import cost
import state
import style


def main():
    write = "--write" in sys.argv
    files = {
        state.INFRA / "README.md": {"inputs": inputs(), "outputs": outputs(), "rights": rights(), "google": google()},
        state.INFRA / "COST.md": {"cost": list(cost.tables())},
    }
    for path, parts in files.items():
        text = path.read_text()
        for name, lines in parts.items():
            begin, end = f"<!-- {name}: written by test/docs.py -->\n", f"<!-- /{name} -->"
            if text.count(begin) != 1 or text.count(end) != 1:
                sys.exit(f"{path.name} has no place for {name}")
            before, _, rest = text.partition(begin)
            after = rest.partition(end)[2]
            text = before + begin + "\n".join(lines) + "\n" + end + after
        if write:
            path.write_text(text)
        if text != path.read_text():
            sys.exit(f"{path.name} is not what the files say; `run.sh --write` writes it anew")
        print(f"{path.name}: {', '.join(parts)} are as the files say")


def inputs():
    yield "| input | default | what it is |"
    yield "| --- | --- | --- |"
    variables = style.inputs({file.name: hcl2.loads(file.read_text()) for file in state.INFRA.glob(style.VARIABLES)})
    for name, body in sorted(variables.items(), key=lambda each: "default" in each[1]):  # what must be given comes first
        default = "required" if "default" not in body else f"`{plain(body['default'])}`"
        yield f"| `{name}` | {default} | {described(body)} |"


def outputs():
    yield "| output | what it is |"
    yield "| --- | --- |"
    for name, body in style.names(hcl2.loads((state.INFRA / "outputs.tf").read_text()), "output").items():
        yield f"| `{name}` | {described(body)} |"


def plain(value):
    if value is None or value == "null":
        return "null"
    if isinstance(value, str):
        return value.strip('"')
    return json.dumps(value)


def described(body):
    text = re.sub(r"^\"?<<-?EOT\n|\n\s*EOT\"?$", "", body["description"])
    return " ".join(text.strip('"').split()).replace('\\"', '"')


def rights():
    """Of all ways at once."""
    yield "| role | may | on |"
    yield "| --- | --- | --- |"
    for address, values in sorted(state.resources("every-way").items()):
        if ".aws_iam_role_policy." not in address:
            continue
        role = address.removeprefix("module.").split(".")[0]
        for statement in json.loads(values["policy"])["Statement"]:
            if statement["Effect"] == "Allow":
                yield f"| {role} | {', '.join(f'`{action}`' for action in statement['Action'])} | {ON[statement['Sid']]} |"


ON = {
    "Logs": "its own log group",
    "Table": "the table",
    "Parameters": "the parameters that it reads: the webhook's secrets only by the webhook",
    "Secrets": "the secrets that it reads: the webhook's only by the webhook",
    "Network": "all (EC2 knows nothing narrower); used by Lambda itself, denied to the code; only with `vpc`",
    "DeadLetters": "the dead-letter queue",
    "Sweep": "the sweeper",
}


def google():
    yield "| custom role | permissions | on |"
    yield "| --- | --- | --- |"
    on = {
        "ours": "VMs and disks whose names begin with the deployment's and a hyphen",
        "look": "the project",
        "network": "the subnetworks of the regions in use",
    }
    for address, values in sorted(state.resources("complete").items()):
        if "google_project_iam_custom_role" in address:
            name = address.split('"')[1]
            yield f"| {name} | {', '.join(f'`{permission}`' for permission in sorted(values['permissions']))} | {on[name]} |"


if __name__ == "__main__":
    main()
