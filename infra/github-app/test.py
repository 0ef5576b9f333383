#!/usr/bin/env python3
"""Holds the App's manifest against the permissions that Mayfly's code names when GitHub refuses a call, so that neither changes alone."""

import json
import pathlib
import re
import sys

here = pathlib.Path(__file__).resolve().parent
manifest = json.loads((here / "manifest.json").read_text())
code = (here / "../../shared/service/src/github/refusal.rs").resolve().read_text()

# As the documentation has them, and as a manifest has them. Those of None are asked for only by some deployments.
NAMES = {
    "organization permission `Self-hosted runners: write`": ("organization_self_hosted_runners", "write"),
    "repository permission `Actions: read`": ("actions", "read"),
    "repository permission `Metadata: read`": ("metadata", "read"),
    "repository permission `Administration: write`": None,
    "enterprise permission `Enterprise self-hosted runners: write`": None,
    "organization permission `Webhooks: write`": None,
    "repository permission `Webhooks: write`": None,
    "repository permission `Checks: write`": None,
}
named = set(re.findall(r"(?:organization|repository|enterprise) permission `[^`]+`", code))
checks = {
    "the code names permissions that are known here": named == NAMES.keys(),
    "the manifest has those of every deployment, and no other": manifest["default_permissions"] == dict(filter(None, NAMES.values())),
    "the event is the only one": manifest["default_events"] == ["workflow_job"],
    "nobody else can install it": manifest["public"] is False,
    "its keys are those that GitHub takes": manifest.keys()
    <= {
        "name",
        "url",
        "hook_attributes",
        "redirect_url",
        "callback_urls",
        "setup_url",
        "description",
        "public",
        "default_events",
        "default_permissions",
        "request_oauth_on_install",
        "setup_on_update",
    },
    "the webhook is where Mayfly listens": manifest["hook_attributes"]["url"].endswith("/webhook"),
}
for what, holds in checks.items():
    if not holds:
        print(f"FAILED: {what}", file=sys.stderr)
print(f"{sum(checks.values())} passed, {len(checks) - sum(checks.values())} failed")
sys.exit(0 if all(checks.values()) else 1)
