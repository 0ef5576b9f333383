# Prepares a Windows VM for being a template whose clones each run one GitHub Actions job. Run it as Administrator in the VM,
# once the virtio-win drivers and guest agent are there; README.md says what comes before and after.
#Requires -RunAsAdministrator
param(
    [Parameter(Mandatory)] [ValidatePattern('^\d+\.\d+\.\d+$')] [string] $RunnerVersion,
    # Of actions-runner-win-x64-VERSION.zip, from the release's page.
    [Parameter(Mandatory)] [ValidatePattern('^[0-9A-Fa-f]{64}$')] [string] $RunnerSha256,
    # Let jobs be administrators, as on GitHub's own runners.
    [switch] $Administrator,
    # Where nobody writes files into the machine: a script that gets the configuration. Without, the QEMU guest agent takes it.
    [string] $Fetch,
    # Where to say what happens, beside the log, such as COM1.
    [ValidatePattern('^(COM[1-9])?$')] [string] $SerialPort
)
$ErrorActionPreference = 'Stop'
Set-StrictMode -Version 3.0
$folder = 'C:\ProgramData\mayfly'
$runner = 'C:\actions-runner'

if (-not $Fetch) {
    if (-not (Get-Service -Name 'QEMU-GA' -ErrorAction SilentlyContinue)) {
        throw 'the QEMU guest agent is not installed: run guest-agent\qemu-ga-x86_64.msi from the virtio-win ISO first'
    }
    Set-Service -Name 'QEMU-GA' -StartupType Automatic
}

# The runner, by its digest.
$archive = Join-Path $env:TEMP "actions-runner-win-x64-$RunnerVersion.zip"
$url = "https://github.com/actions/runner/releases/download/v$RunnerVersion/actions-runner-win-x64-$RunnerVersion.zip"
[Net.ServicePointManager]::SecurityProtocol = [Net.SecurityProtocolType]::Tls12
Invoke-WebRequest -Uri $url -OutFile $archive -UseBasicParsing
$digest = (Get-FileHash -Path $archive -Algorithm SHA256).Hash
if ($digest -ne $RunnerSha256) { throw "${url}: its SHA-256 is $digest, not $RunnerSha256" }
New-Item -ItemType Directory -Path $runner -Force | Out-Null
Expand-Archive -Path $archive -DestinationPath $runner -Force
Remove-Item $archive
# By their SIDs, since groups have other names in other languages; Users, here: the user `runner` is made at each boot.
& icacls.exe $runner /grant '*S-1-5-32-545:(OI)(CI)M' /T /Q | Out-Null

# The configuration is SYSTEM's and Administrators' until the runner takes it: nobody inherits anything here.
New-Item -ItemType Directory -Path $folder, (Join-Path $folder 'job') -Force | Out-Null
& icacls.exe $folder /inheritance:r /grant:r '*S-1-5-18:(OI)(CI)F' '*S-1-5-32-544:(OI)(CI)F' /Q | Out-Null
Copy-Item (Join-Path $PSScriptRoot 'mayfly-runner.ps1'), (Join-Path $PSScriptRoot 'start-job.ps1') $folder -Force
if ($Administrator) { New-Item -ItemType File -Path (Join-Path $folder 'administrator') -Force | Out-Null }

$shell = "$env:SystemRoot\System32\WindowsPowerShell\v1.0\powershell.exe"
$flags = '-NoProfile -NonInteractive -ExecutionPolicy Bypass -File'
$arguments = "$flags $folder\mayfly-runner.ps1"
if ($Fetch) {
    Copy-Item $Fetch $folder -Force
    $arguments += " -Fetch $folder\$(Split-Path $Fetch -Leaf)"
}
if ($SerialPort) { $arguments += " -SerialPort $SerialPort" }
$settings = New-ScheduledTaskSettingsSet -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries `
    -ExecutionTimeLimit ([TimeSpan]::Zero) -MultipleInstances IgnoreNew
$system = New-ScheduledTaskPrincipal -UserId 'S-1-5-18' -LogonType ServiceAccount -RunLevel Highest
$boot = New-ScheduledTaskTrigger -AtStartup

$wait = New-ScheduledTaskAction -Execute $shell -Argument $arguments
Register-ScheduledTask -TaskName 'mayfly-runner' -Action $wait -Trigger $boot -Principal $system -Settings $settings -Force |
    Out-Null
# Should that one fail or be ended by a job.
$late = New-ScheduledTaskTrigger -AtStartup
$late.Delay = 'PT6H'
$end = New-ScheduledTaskAction -Execute "$env:SystemRoot\System32\shutdown.exe" -Argument '/s /f /t 0'
Register-ScheduledTask -TaskName 'mayfly-deadline' -Action $end -Trigger $late -Principal $system -Settings $settings -Force |
    Out-Null

Write-Output 'ready: seal it now, as README.md says'
