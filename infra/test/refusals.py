"""Each validation of the root module's inputs is what refuses an input of its tests, and it alone.

`expect_failures` is content when any of a variable's validations refuses, so one that refuses nothing any more would not be missed.
The runs are tried once more without it, each in a file of its own, since terraform leaves a file at the first that fails.
"""

import json
import re
import shutil
import sys

RULE = re.compile(r"validation rule at (\S+?):(\d+),")
EXPECTED = re.compile(r"^  expect_failures = \[var\.\w+\]\n", re.M)


def main(terraform, copy):
    module = copy.parent / "refusals"
    shutil.copytree(copy, module, ignore=shutil.ignore_patterns("tests", "test", "examples"))
    (module / "tests").mkdir()
    for file in sorted((copy / "tests").glob("*.tftest.hcl")):
        head, *runs = re.split(r'^(?=run ")', file.read_text(), flags=re.M)
        for number, run in enumerate(runs):
            if EXPECTED.search(run):
                (module / "tests" / f"{file.name.split('.')[0]}{number}.tftest.hcl").write_text(head + EXPECTED.sub("", run))
    refused_by = {}
    terraform.run(module, "init", "-backend=false", "-input=false")
    for line in terraform.run(module, "test", "-json", may_fail=True).splitlines():
        event = json.loads(line)
        if event["type"] == "diagnostic" and (rule := RULE.search(event["diagnostic"]["detail"])):
            refused_by.setdefault((event["@testfile"], event["@testrun"]), set()).add((rule[1], int(rule[2])))
    rules = {
        (file.name, number)
        for file in module.glob("variables*.tf")
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if line == "  validation {"
    }
    alone = {rule for found in refused_by.values() if len(found) == 1 for rule in found}
    if not rules or rules - alone:
        sys.exit("\n".join(f"{file}:{line}: no test is refused by this validation alone" for file, line in sorted(rules - alone)))
    print(f"refusals: each of {len(rules)} validations by an input of its own, of {len(refused_by)}")
