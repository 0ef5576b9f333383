#!/usr/bin/env python3
"""Checks the Packer definitions: packer.py FOLDER. Ends with 77 and the reason when nothing can be checked.

With python-hcl2: that they parse, that every variable is declared, typed, described and used, and that every file they name is
there. With a packer in the PATH as well: its format and its own validation. One before 1.7 has the googlecompute builder built
in and needs nothing from the internet, but does not know `required_plugins` and `regex`; it gets a copy without these.
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

try:
    import hcl2
except ImportError:
    print("there is no python-hcl2 here")
    sys.exit(77)

images = pathlib.Path(sys.argv[1]).resolve()
DIGEST = "0" * 64
GOOD = {
    "linux": {"project_id": "p", "zone": "us-east1-c", "runner_version": "2.328.0", "runner_sha256": DIGEST},
    "windows": {
        "project_id": "p",
        "zone": "us-east1-c",
        "runner_version": "2.328.0",
        "runner_sha256": DIGEST,
        "nvidia_driver_url": "https://example.com/driver.exe",
        "nvidia_driver_sha256": DIGEST,
    },
}
# One wrong value each, which must be refused.
BAD = {
    "linux": {"runner_version": "v2.328.0", "runner_sha256": "0", "nvidia_driver": "580-server; reboot"},
    "windows": {"runner_version": "latest", "runner_sha256": "0", "nvidia_driver_url": "http://example.com/driver.exe"},
}
problems = []


def plain(text):
    return text.strip('"')


def check_definition(folder):
    text = ""
    declared = {}
    for file in sorted(folder.glob("*.pkr.hcl")):
        content = file.read_text()
        text += content
        try:
            parsed = hcl2.loads(content)
        except Exception as error:  # whatever the parser throws
            problems.append(f"{file}: {error}")
            continue
        for variable in parsed.get("variable", []):
            declared.update({plain(name): body for name, body in variable.items()})
    used = set(re.findall(r"\bvar\.(\w+)", text))
    # Validations mention their own variable; that is no use.
    elsewhere = set(re.findall(r"\bvar\.(\w+)", "".join(f.read_text() for f in folder.glob("image*.pkr.hcl"))))
    problems.extend(f"{folder.name}: var.{name} is not declared" for name in used - declared.keys())
    problems.extend(f"{folder.name}: var.{name} is not used" for name in declared.keys() - elsewhere)
    for name, body in declared.items():
        problems.extend(f"{folder.name}: var.{name} has no {key}" for key in ("type", "description") if key not in body)
    text = text.replace("${local.guest}", re.search(r'guest += "([^"]*)"', text).group(1))
    for path in re.findall(r'"\$\{path\.root\}/([^"]*)"', text):
        if not (folder / path).exists():
            problems.append(f"{folder.name}: there is no {path}")


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    return done.returncode, (done.stdout + done.stderr).strip()


def arguments(values):
    return [part for name, value in values.items() for part in ("-var", f"{name}={value}")]


def for_old_packer(folder):
    for file in folder.glob("*.pkr.hcl"):
        content = re.sub(r"(?ms)^packer \{.*?^\}\n", "", file.read_text())
        # The same, without a function that came later.
        content = re.sub(r'can\(regex\(("(?:[^"\\]|\\.)*"), (var\.\w+)\)\)', r'regex_replace(\2, \1, "") == ""', content)
        file.write_text(content)


def validate(folder):
    version = re.search(r"v(\d+)\.(\d+)", run("packer", "version")[1])
    old = tuple(map(int, version.groups())) < (1, 7)
    code, said = run("packer", "fmt", "-check", "-diff", str(folder))
    if code != 0 or (old and said):
        problems.append(f"{folder.name}: not as packer fmt writes it\n{said}")
    if not old:
        # All else needs the plugin, which `packer init` fetches from the internet.
        code, said = run("packer", "validate", "-syntax-only", str(folder))
        if code != 0:
            problems.append(f"{folder.name}: {said}")
        return "syntax"
    with tempfile.TemporaryDirectory() as place:
        copy = pathlib.Path(place) / "images" / folder.name
        shutil.copytree(folder, copy)
        shutil.copytree(images.parent / "proxmox" / "template", pathlib.Path(place) / "proxmox" / "template")
        for_old_packer(copy)
        good = GOOD[folder.name]
        code, said = run("packer", "validate", *arguments(good), str(copy))
        if code != 0:
            problems.append(f"{folder.name}: {said}")
        for name, value in BAD[folder.name].items():
            if run("packer", "validate", *arguments(good | {name: value}), str(copy))[0] == 0:
                problems.append(f"{folder.name}: {name} = {value} is taken")
    return "all"


depth = "packer is not here"
for folder in (images / "linux", images / "windows"):
    check_definition(folder)
    if shutil.which("packer"):
        depth = f"validated by packer: {validate(folder)}"
print("\n".join(problems) if problems else f"the definitions hold; {depth}")
sys.exit(1 if problems else 0)
