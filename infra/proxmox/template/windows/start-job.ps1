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
Set-Location $Runner
& (Join-Path $Runner 'run.cmd')
exit $LASTEXITCODE
