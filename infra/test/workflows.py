"""GitHub's workflows by rule: what they run is named by digest, may do no more than it must, and is what runs at home. And nothing that CI
or a release builds may be another version than Cargo.lock says. Each rule is tried on a workflow that breaks it."""

import re
import sys

import yaml

import state

FOLDER = state.ROOT / ".github" / "workflows"
# The only ones that may write anything: job → rights. They run no action and nothing of the repository.
WRITERS = {("release.yml", "publish"): {"actions": "read", "contents": "write"}}
TRIGGERS = {"ci.yml": {"push", "pull_request"}, "release.yml": {"push"}}
# What builds or tests, wherever it lies. `cargo fmt` looks at no dependency.
SCRIPTS = (".ci/*", "infra/*.sh", "infra/*/*.sh", "docs/pictures/*.sh", "simulator/histories/bugs/*.sh")
BUILDS = re.compile(r"\bcargo (?:lambda )?(build|check|clippy|deny|doc|install|metadata|run|test|tree)\b")


def main():
    files = {path.name: path.read_text() for path in sorted(FOLDER.glob("*.y*ml"))}
    wrong = [f"{name}: {why}" for name, text in files.items() for why in broken(name, text)]
    if files.keys() != TRIGGERS.keys():
        wrong.append(f"{sorted(files)} are not the workflows that are known here")
    calls = 0
    for path in sorted({path for pattern in SCRIPTS for path in state.ROOT.glob(pattern) if path.is_file()}):
        lines = [line for line in path.read_text().splitlines() if BUILDS.search(line) and not line.lstrip().startswith("#")]
        calls += len(lines)
        wrong += [f"{path.relative_to(state.ROOT)}: without --locked: {line.strip()}" for line in lines if not is_locked(line)]
    wrong += untried(files)
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(files)} workflows hold to the rules, each of which a broken one fails; {calls} calls of cargo are --locked")


def is_locked(line):
    return "--locked" in line or re.search(r"cargo \w+ --version", line)


def broken(name, text):
    """The rules that a workflow breaks."""
    flow = yaml.safe_load(text)
    # `on` is YAML's word for true.
    triggers = flow.get(True) or {}
    if set(triggers) != TRIGGERS.get(name, set()):
        yield f"it runs on {sorted(triggers)}"
    if flow.get("permissions") != {"contents": "read"}:
        yield "by default a job may read the contents, and nothing else"
    if "cancel-in-progress" not in (flow.get("concurrency") or {}):
        yield "no concurrency"
    for line in re.findall(r"^.*\buses:.*$", text, re.MULTILINE):
        if not re.fullmatch(r"\s*- uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line):
            yield f"not by a commit's full SHA, with its version: {line.strip()}"
    for key, job in flow["jobs"].items():
        yield from (f"{key}: {why}" for why in broken_job(name, key, job))
    if name == "ci.yml":
        steps = [step for job in flow["jobs"].values() for step in job["steps"] if not is_checkout(step)]
        if steps != [{"run": ".ci/run"}]:
            yield "CI is .ci/run, and nothing else"


def broken_job(name, key, job):
    steps = job.get("steps", [])
    if not isinstance(job.get("timeout-minutes"), int):
        yield "no timeout"
    writes = WRITERS.get((name, key))
    if job.get("permissions") != writes:
        yield f"it asks for {job.get('permissions')}"
    if writes and any("uses" in step for step in steps):
        yield "it may write, and runs an action"
    if "uses" in job or "container" in job or "services" in job:
        yield "it runs elsewhere"
    if "secrets." in str(job):
        yield "it names a secret"
    for step in steps:
        if is_checkout(step) and (step.get("with") or {}).get("persist-credentials") is not False:
            yield "the checkout leaves its token behind"
        if "${{" in step.get("run", ""):
            yield "what others may write is put into a script: pass it by the environment"


def is_checkout(step):
    return step.get("uses", "").startswith("actions/checkout@")


def untried(files):
    """Rules that do not see what breaks them."""
    sha = "11bd71901bbe5b1630ceea73d27597364c9af683"
    cases = [
        ("ci.yml", "pull_request:", "pull_request_target:", "it runs on"),
        ("ci.yml", "contents: read", "contents: write", "by default"),
        ("ci.yml", "  cancel-in-progress: true\n", "", "concurrency"),
        ("ci.yml", f"@{sha} # v4.2.2", "@v4 # v4.2.2", "full SHA"),
        ("ci.yml", f"@{sha} # v4.2.2", f"@{sha[:-1]} # v4.2.2", "full SHA"),
        ("ci.yml", " # v4.2.2", "", "full SHA"),
        ("ci.yml", "    timeout-minutes: 120\n", "", "no timeout"),
        ("ci.yml", "run: .ci/run", "run: .ci/run || true", "nothing else"),
        ("ci.yml", "persist-credentials: false", "persist-credentials: true", "token behind"),
        ("ci.yml", "  run:\n", "  run:\n    permissions: write-all\n", "asks for"),
        ("ci.yml", "  run:\n", "  run:\n    container: ubuntu\n", "elsewhere"),
        ("ci.yml", "  run:\n", "  run:\n    env:\n      KEY: ${{ secrets.KEY }}\n", "a secret"),
        ("release.yml", "      contents: write", "      contents: write\n      packages: write", "asks for"),
        ("release.yml", "    steps:\n      - run: gh", f"    steps:\n      - uses: a/b@{sha} # v1.0.0\n      - run: gh", "an action"),
        ("release.yml", '"$TAG" --verify', '"${{ github.ref_name }}" --verify', "environment"),
    ]
    for name, before, after, why in cases:
        text = files.get(name, "")
        if before not in text:
            yield f"{name} has no {before!r} to break"
        elif not any(why in each for each in broken(name, text.replace(before, after, 1))):
            yield f"nobody sees {after!r} in {name}"


if __name__ == "__main__":
    main()
