"""The table is as `mayfly table create` makes it."""

import re
import sys

import state


def main():
    text = state.rust("shared/service/src/store")[state.pathlib.Path("shared/service/src/store/table.rs")]
    keys = dict(re.findall(r'\("(\w+)", KeyType::(\w+)\)', text))
    hash_key, range_key = (name for kind in ("Hash", "Range") for name, found in keys.items() if found == kind)
    types = set(re.findall(r"ScalarAttributeType::(\w)", text))
    (ttl,) = set(re.findall(r'\.attribute_name\("(\w+)"\)\.enabled\(true\)', text))
    # Set with an argument or built; read without one, where a table is looked at.
    indexed = re.search(r"secondary_indexes\((?!\))|SecondaryIndex::builder", text)
    made = {
        "hash_key": hash_key,
        "range_key": range_key,
        "attributes": sorted((name, kind) for name in keys for kind in types),
        "billing_mode": {"PayPerRequest": "PAY_PER_REQUEST"}[re.search(r"BillingMode::(\w+)\)", text)[1]],
        "ttl": [(ttl, True)],
        "indexes": [] if not indexed else "some",
    }
    for example in ("minimal", "complete"):
        table = state.resources(example)["module.table.aws_dynamodb_table.this"]
        written = {
            "hash_key": table["hash_key"],
            "range_key": table["range_key"],
            "attributes": sorted((attribute["name"], attribute["type"]) for attribute in table["attribute"]),
            "billing_mode": table["billing_mode"],
            "ttl": [(ttl["attribute_name"], ttl["enabled"]) for ttl in table["ttl"]],
            "indexes": table["global_secondary_index"] + table["local_secondary_index"],
        }
        if written != made:
            sys.exit(f"{example}: terraform makes {written}\n`mayfly table create` makes {made}")
        if not (table["deletion_protection_enabled"] and table["point_in_time_recovery"][0]["enabled"]):
            sys.exit(f"{example}: the table is not protected")
    print("the table is as `mayfly table create` makes it, and protected:", made)


if __name__ == "__main__":
    main()
