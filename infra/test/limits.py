"""What is given to a provider is as long, and of such letters, as the provider's documentation says that it must be."""

import json
import re
import sys

import state

STATES = ("minimal", "complete", "every-way", "longest", "shortest")
# Where `schemas.py` read no rule any more, this would hold nothing: one that must be there, and what it must refuse and take.
KNOWN = ("google_iam_workload_identity_pool_provider", "workload_identity_pool_provider_id")
REFUSED, TAKEN = ("aws", "Aws-lambda", "a" * 33), "aws-lambda"


def main():
    for age in ("oldest", "newest"):
        schemas = json.loads((state.CACHE / f"{age}.json").read_text())["schemas"]
        limits = {kind: rules for schema in schemas.values() for kind, rules in schema["limits"].items()}
        known = limits.get(KNOWN[0], {}).get(KNOWN[1])
        if not known or any(wrong(text, *known) is None for text in REFUSED) or wrong(TAKEN, *known):
            sys.exit(f"{age}: the rule of {'.'.join(KNOWN)} is not understood: {known}")
        problems, held = [], 0
        for name in STATES:
            for address, values in state.resources(name).items():
                kind = re.search(r"(?:^|\.)(\w+)\.\w+(?:\[[^\]]*\])?$", address)[1]
                for attribute, rule in limits.get(kind, {}).items():
                    if (text := values.get(attribute)) is not None:
                        held += 1
                        if problem := wrong(text, *rule):
                            problems.append(f"{name}: {address}: {attribute} is `{text}`, which {problem}")
        if problems or not held:
            sys.exit("\n".join([f"by the documentation of the {age} providers:", *problems]))
        rules = sum(map(len, limits.values()))
        print(f"{age}: {held} texts in {len(STATES)} configurations are as {rules} documented rules of length and letters say")


def wrong(text, least, most, pattern):
    """What is wrong with it, or None."""
    if len(text) < least or (most and len(text) > most):
        return f"has {len(text)} characters, not {least} to {most}"
    if pattern and not re.fullmatch(pattern, text):
        return f"is not {pattern}"
    return None


if __name__ == "__main__":
    main()
