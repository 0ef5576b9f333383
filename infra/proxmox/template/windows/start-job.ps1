# Starts GitHub's runner as the user `runner`; the scheduled task `mayfly-job`.
param(
    [string] $Folder = 'C:\ProgramData\mayfly',
    [string] $Runner = 'C:\actions-runner'
)
$ErrorActionPreference = 'Stop'
$handedOver = Join-Path $Folder 'job\jit-config'
# By the environment, which the runner empties of it; arguments can be seen by anybody who lists processes.
$env:ACTIONS_RUNNER_INPUT_JITCONFIG = [System.IO.File]::ReadAllText($handedOver)
Remove-Item -Path $handedOver -Force
# So that it says for sure when GitHub refuses its version.
$env:ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE = '1'
Set-Location $Runner
# What it says is for mayfly-runner.ps1. By cmd.exe, since PowerShell makes errors of what a program writes to its second stream.
$log = Join-Path $Folder 'job\runner.log'
& "$env:SystemRoot\System32\cmd.exe" /d /c ".\run.cmd >> $log 2>&1"
exit $LASTEXITCODE
