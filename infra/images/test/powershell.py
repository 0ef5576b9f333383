#!/usr/bin/env python3
"""Checks the scripts for Windows without Windows: powershell.py FOLDER. Ends with 77 and the reason when nothing can be checked.

PSScriptAnalyzer judges them where there is a pwsh that has it. Everywhere else, with tree-sitter's grammar: that they parse, and
those of the analyzer's rules that can be seen in a tree: no aliases, approved verbs, none that would need ShouldProcess, no
empty catch, no Write-Host, no Invoke-Expression, no secure string from plain text; and that no command is misspelt, as far as
a list of those in use can tell.
"""

import pathlib
import re
import shutil
import subprocess
import sys

images = pathlib.Path(sys.argv[1]).resolve()
scripts = sorted([*(images / "windows").glob("*.ps1"), *(images.parent / "proxmox" / "template" / "windows").glob("*.ps1")])

VERBS = set(
    "Add Approve Assert Backup Block Build Checkpoint Clear Close Compare Complete Compress Confirm Connect Convert ConvertFrom "
    "ConvertTo Copy Debug Deny Deploy Disable Disconnect Dismount Edit Enable Enter Exit Expand Export Find Format Get Grant Group "
    "Hide Import Initialize Install Invoke Join Limit Lock Measure Merge Mount Move Open Optimize Out Ping Pop Protect Publish Push "
    "Read Receive Redo Register Remove Rename Repair Request Resize Resolve Restore Resume Revoke Save Search Select Send Show Skip "
    "Split Step Submit Suspend Switch Sync Test Trace Unblock Undo Uninstall Unlock Unprotect Unpublish Unregister Use Wait Watch "
    "Write".split()
)
# The analyzer wants ShouldProcess of functions with these.
CHANGING = set("New Set Remove Start Stop Restart Reset Update".split())
REFUSED = {
    "write-host": "Write-Host",
    "invoke-expression": "Invoke-Expression",
}
# What Windows PowerShell 5.1 and its modules have, of what is in use here.
KNOWN = set(
    "Add-Content Add-LocalGroupMember Copy-Item Expand-Archive Get-Content Get-Date Get-FileHash Get-ItemProperty Get-LocalGroup "
    "Get-LocalUser Get-ScheduledTask Get-Service Install-WindowsFeature Invoke-WebRequest Join-Path New-Item New-ItemProperty "
    "New-LocalGroup New-LocalUser New-NetFirewallRule New-Object New-ScheduledTaskAction New-ScheduledTaskPrincipal "
    "New-ScheduledTaskSettingsSet New-ScheduledTaskTrigger Out-Null Register-ScheduledTask Remove-Item Remove-LocalUser "
    "Select-String Set-ItemProperty Set-LocalUser Set-Location Set-MpPreference Set-ScheduledTask Set-Service Set-StrictMode "
    "Split-Path Start-Process Start-ScheduledTask Start-Sleep Test-Path Write-Output Write-Verbose GCESysprep".split()
)
problems = []


def walk(node):
    yield node
    for child in node.children:
        yield from walk(child)


def text(node):
    return node.text.decode()


def check(script, parser):
    tree = parser.parse(script.read_bytes())
    nodes = list(walk(tree.root_node))
    functions = {text(node) for node in nodes if node.type == "function_name"}

    def problem(node, what):
        problems.append(f"{script.name}:{node.start_point[0] + 1}: {what}")

    for node in nodes:
        if node.is_missing or node.type == "ERROR":
            problem(node, f"does not parse: {text(node)[:40]!r}")
        elif node.type == "function_name":
            verb = text(node).partition("-")[0]
            if verb not in VERBS | CHANGING:
                problem(node, f"{text(node)}: {verb} is no approved verb")
            if verb in CHANGING:
                problem(node, f"{text(node)}: {verb} would need ShouldProcess")
        elif node.type == "command_name":
            name = text(node)
            if name.lower() in REFUSED:
                problem(node, f"{REFUSED[name.lower()]} is not to be used")
            elif not name.startswith(("$", '"', "'")) and not name.endswith(".exe") and name not in KNOWN | functions:
                problem(node, f"{name}: an alias, misspelt, or to be added to the list here")
        elif node.type == "catch_clause" and not re.search(r"\{\s*[^\s}#]|#.*\n\s*[^\s}#]", text(node)):
            problem(node, "an empty catch")
        elif node.type == "command" and re.search(r"(?i)ConvertTo-SecureString.*-AsPlainText", text(node)):
            problem(node, "a secure string from plain text")
    if not script.read_bytes().isascii():
        problems.append(f"{script.name}: Windows PowerShell takes what is not ASCII for something else")
    for number, line in enumerate(script.read_text().splitlines(), 1):
        if line != line.rstrip():
            problems.append(f"{script.name}:{number}: space at the end of the line")
    if not functions and not any(node.type == "command" for node in nodes):
        problems.append(f"{script.name}: nothing was seen in it")


def analyze():
    script = "; ".join(
        ["$ErrorActionPreference = 'Stop'", "Import-Module PSScriptAnalyzer"]
        + [f"$found += @(Invoke-ScriptAnalyzer -Path '{script}')" for script in scripts]
        + ["$found | Format-Table -AutoSize | Out-String -Width 200", "exit $found.Count"]
    )
    done = subprocess.run(["pwsh", "-NoProfile", "-Command", script], capture_output=True, text=True)
    if done.returncode != 0:
        problems.append(done.stdout + done.stderr)


judges = []
try:
    import tree_sitter
    import tree_sitter_powershell

    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))
    for script in scripts:
        check(script, parser)
    judges.append("tree-sitter's grammar and a few rules")
except ImportError:
    pass
if shutil.which("pwsh"):
    analyze()
    judges.append("PSScriptAnalyzer")
if not judges:
    print("there is neither tree-sitter-powershell nor a pwsh here")
    sys.exit(77)
print("\n".join(problems) if problems else f"{len(scripts)} scripts hold, by {' and '.join(judges)}")
sys.exit(1 if problems else 0)
