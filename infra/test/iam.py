"""Every right that is granted is used, every one that is used is granted: the policies against the calls in the code."""

import json
import re
import sys

import state

# Rights that Lambda itself uses with a function's role, not the code; modules/function and modules/schedule say what for.
PLATFORM = {
    "webhook": {"logs:CreateLogStream", "logs:PutLogEvents"},
    "sweeper": {"logs:CreateLogStream", "logs:PutLogEvents", "sqs:SendMessage"},
}
VPC = {
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
}

# What Compute Engine's documentation asks for, by method. `insert` is for a template with labels and metadata, no tags, no service
# account and no external address, as modules/gcp makes it.
COMPUTE = {
    "instances.insert": {
        "compute.instances.create",
        "compute.instances.setLabels",
        "compute.instances.setMetadata",
        "compute.disks.create",
        "compute.images.useReadOnly",
        "compute.instanceTemplates.useReadOnly",
        "compute.subnetworks.use",
    },
    "instances.get": {"compute.instances.get"},
    "instances.delete": {"compute.instances.delete"},
    "instances.aggregatedList": {"compute.instances.list"},
    "zoneOperations.wait": {"compute.zoneOperations.get"},
    "zoneOperations.get": {"compute.zoneOperations.get"},
    "regions.get": {"compute.regions.get"},
    "instanceTemplates.get": {"compute.instanceTemplates.get"},
}

# What `mayfly doctor` alone asks. The first takes no right; without an answer to the second it skips what that tells.
LOOKS = {"instances.testIamPermissions", "projects.get"}


def aws_calls():
    """The actions that each function's code calls."""
    service = state.rust("shared/service/src")
    # The functions themselves call AWS nowhere, and the library by these three crates only.
    for path, text in state.rust("functions").items():
        if re.search(r"\baws_(sdk|config)|create_table", text):
            sys.exit(f"{path} calls AWS by itself")
    crates = {crate for text in service.values() for crate in re.findall(r"\baws_sdk_(\w+)", text)}
    if crates != {"dynamodb", "ssm", "secretsmanager"}:
        sys.exit(f"the library uses other AWS services: {sorted(crates)}")

    store = {path: text for path, text in service.items() if path.parts[-2] == "store"}
    sends = dict(re.findall(r"^    (send_\w+): (\w+), \w+FluentBuilder", text_of(store, "send.rs"), re.M))
    # table.rs has calls of its own; only the command line makes tables.
    others = {path: text for path, text in store.items() if path.name not in ("send.rs", "table.rs")}
    for path, text in others.items():
        unknown = set(re.findall(r"\.(send\w*)\(", text)) - set(sends)
        if unknown:
            sys.exit(f"{path} sends past store/send.rs: {sorted(unknown)}")

    # Which of the ledger's methods come to which requests, by name within the store.
    bodies = {}
    for text in others.values():
        for name, body in functions(text):
            bodies[name] = bodies.get(name, "") + body

    def requests(name, seen):
        if name in seen or name not in bodies:
            return set()
        seen.add(name)
        called = set(re.findall(r"\b(\w+)(?:::<[^>]*>)?\(", bodies[name])) | set(re.findall(r"::(\w+)\b", bodies[name]))
        return {send for send in sends if send in called} | {found for other in called for found in requests(other, seen)}

    calls = {}
    for function in ("webhook", "sweeper"):
        # The webhook has all of the library but the sweep.
        texts = [text for path, text in service.items() if path not in store and (function == "sweeper" or "sweep" not in path.parts)]
        methods = {name for text in texts for name in re.findall(r"ledger\s*\.\s*(\w+)\s*\(", text)}
        sent = {send for method in methods for send in requests(method, set())}
        calls[function] = {action for send in sent for action in actions(sends[send], text_of(store, "write.rs"))}
        secret = text_of(service, "secret.rs")
        for crate, service_name in (("ssm", "ssm"), ("secretsmanager", "secretsmanager")):
            for operation in re.findall(rf"aws_sdk_{crate}::Client::new\(.*\);\n\s+let answer = client\.(\w+)\(\)", secret):
                calls[function].add(f"{service_name}:{pascal(operation)}")
    return calls


def actions(operation, write):
    """What an operation needs; a transaction has no right of its own, but those of the writes in it."""
    if operation != "transact_write_items":
        return {f"dynamodb:{pascal(operation)}"}
    kinds = {"update": "UpdateItem", "delete": "DeleteItem", "put": "PutItem", "condition_check": "ConditionCheckItem"}
    return {f"dynamodb:{kinds[kind]}" for kind in re.findall(r"TransactWriteItem::builder\(\)\.(\w+)\(", write)}


def pascal(name):
    return "".join(part.capitalize() for part in name.split("_"))


def text_of(texts, name):
    (found,) = [text for path, text in texts.items() if path.name == name]
    return found


def functions(text):
    """Name and body of each function."""
    for match in re.finditer(r"\bfn (\w+)", text):
        start, end = text.find("{", match.end()), text.find(";", match.end())
        if start < 0 or 0 <= end < start:
            continue
        depth = 0
        for place in range(start, len(text)):
            depth += {"{": 1, "}": -1}.get(text[place], 0)
            if depth == 0:
                yield match[1], text[start:place]
                break


def compare(what, granted, used):
    if granted != used:
        unused, missing = sorted(granted - used), sorted(used - granted)
        sys.exit(f"{what}: granted, but not used: {unused}; used, but not granted: {missing}")
    print(f"{what}: {', '.join(sorted(granted))}")


def main():
    calls = aws_calls()
    for example in ("minimal", "complete", "every-way"):
        resources = state.resources(example)
        places = json.dumps(state.json.loads((state.CACHE / f"{example}.json").read_text())["outputs"])
        kinds = {kind for kind, sign in (("ssm", "ssm = "), ("secretsmanager", "secretsmanager = ")) if sign in places}
        for function, used in calls.items():
            statements = json.loads(resources[f"module.{function}.aws_iam_role_policy.this"]["policy"])["Statement"]
            granted = {action for statement in statements if statement["Effect"] == "Allow" for action in statement["Action"]}
            if wide := [action for action in granted if "*" in action]:
                sys.exit(f"{function}: {wide} is not one action")
            # What reads secrets is granted where a secret is kept there.
            secrets = {action for action in used if action.split(":")[0] in ("ssm", "secretsmanager")}
            used_here = {action for action in used - secrets} | {action for action in secrets if action.split(":")[0] in kinds}
            vpc = VPC if resources[f"module.{function}.aws_lambda_function.this"]["vpc_config"] else set()
            compare(f"{example}, {function}", granted, used_here | PLATFORM[function] | vpc)

    clients = text_of(state.rust("shared/service/src/provider/gcp"), "clients.rs")
    methods = set(re.findall(r'timed\(&self\.calls, "([\w.]+)"', clients))
    if clients.count(".send()") != clients.count("timed(&self.calls"):
        sys.exit("clients.rs sends a request that is not named")
    for path, text in state.rust("shared/service/src/provider/gcp").items():
        if path.name != "clients.rs" and re.search(r"\.send\(\)", text):
            sys.exit(f"{path} calls Compute Engine past clients.rs")
    if methods != set(COMPUTE) | LOOKS:
        sys.exit(f"the code calls {sorted(methods)}, and COMPUTE and LOOKS here have {sorted(set(COMPUTE) | LOOKS)}")
    roles = [values for address, values in state.resources("minimal").items() if "google_project_iam_custom_role" in address]
    granted = [permission for role in roles for permission in role["permissions"]]
    if len(granted) != len(set(granted)):
        sys.exit("a permission is in two of the custom roles")
    compare("custom roles", set(granted), {permission for needed in COMPUTE.values() for permission in needed})


if __name__ == "__main__":
    main()
