# Runs one job: waits for the just-in-time configuration that Mayfly leaves, starts GitHub's runner with it as the user
# `runner`, and powers the machine off when that ends, however it ends, or when its time is up. Started at boot as SYSTEM, by
# the scheduled task `mayfly-runner` that install.ps1 makes.
param(
    [string] $Folder = 'C:\ProgramData\mayfly',
    [string] $Runner = 'C:\actions-runner',
    # Without a configuration for so long, nobody wants anything of this machine.
    [TimeSpan] $UnusedLongest = '00:30:00',
    # Unless Mayfly says otherwise in the .ready file; counted from the boot.
    [TimeSpan] $MaxLifetime = '06:00:00'
)
$ErrorActionPreference = 'Stop'
Set-StrictMode -Version 3.0

$configFile = Join-Path $Folder 'jit-config'
$readyFile = Join-Path $Folder 'jit-config.ready'
$handedOver = Join-Path $Folder 'job\jit-config'
$clock = [System.Diagnostics.Stopwatch]::StartNew()

function Write-Log([string] $Text) {
    $moment = [DateTime]::UtcNow.ToString('s')
    Add-Content -Path (Join-Path $Folder 'mayfly-runner.log') -Value "$moment $Text"
}

function Receive-Configuration {
    while (-not (Test-Path $readyFile)) {
        if ($clock.Elapsed -gt $UnusedLongest) { throw "no configuration came within $UnusedLongest" }
        Start-Sleep -Milliseconds 500
    }
    $told = @(Get-Content -Path $readyFile)
    foreach ($line in $told) {
        if ($line -match '^max-lifetime=([1-9][0-9]{0,7})\s*$') {
            $script:MaxLifetime = [TimeSpan]::FromSeconds([int] $Matches[1])
        }
    }
    $config = ((Get-Content -Path $configFile -Raw) -replace '\s', '')
    # Before anything of the job runs: it is good for one runner, and not the job's business.
    Remove-Item -Path $configFile, $readyFile -Force
    if (-not $config) { throw "there is no configuration in $configFile" }
    return $config
}

# The user that jobs run as, with a password that only this machine's task scheduler knows. Made here, not in the template:
# sealing gives each clone SIDs and keys of its own, so nothing of a user survives it.
function Register-Job {
    $bytes = New-Object byte[] 24
    [System.Security.Cryptography.RandomNumberGenerator]::Create().GetBytes($bytes)
    $password = 'Aa1!' + [Convert]::ToBase64String($bytes)
    $secure = ConvertTo-SecureString $password -AsPlainText -Force
    if (Get-LocalUser -Name 'runner' -ErrorAction SilentlyContinue) {
        Set-LocalUser -Name 'runner' -Password $secure
    }
    else {
        New-LocalUser -Name 'runner' -Password $secure -PasswordNeverExpires -AccountNeverExpires | Out-Null
    }
    # Users; and Performance Log Users, who may log on as a batch job, which a scheduled task is.
    $groups = @('S-1-5-32-545', 'S-1-5-32-559')
    $level = 'Limited'
    if (Test-Path (Join-Path $Folder 'administrator')) {
        $groups += 'S-1-5-32-544'
        $level = 'Highest'
    }
    foreach ($group in $groups) {
        Add-LocalGroupMember -SID $group -Member 'runner' -ErrorAction SilentlyContinue
    }
    & icacls.exe $Folder /grant:r 'runner:RX' /Q | Out-Null
    & icacls.exe (Join-Path $Folder 'start-job.ps1') /grant:r 'runner:RX' /Q | Out-Null
    & icacls.exe (Split-Path $handedOver) /grant:r 'runner:(OI)(CI)M' /Q | Out-Null
    $shell = "$env:SystemRoot\System32\WindowsPowerShell\v1.0\powershell.exe"
    $flags = '-NoProfile -NonInteractive -ExecutionPolicy Bypass -File'
    $action = New-ScheduledTaskAction -Execute $shell -Argument "$flags $Folder\start-job.ps1" -WorkingDirectory $Runner
    $settings = New-ScheduledTaskSettingsSet -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries `
        -ExecutionTimeLimit ([TimeSpan]::Zero)
    Register-ScheduledTask -TaskName 'mayfly-job' -Action $action -User 'runner' -Password $password -RunLevel $level `
        -Settings $settings -Force | Out-Null
}

try {
    # Before Mayfly writes anything, so that the job need not wait for it.
    Register-Job
    $config = Receive-Configuration
    # A scheduled task takes no environment. The folder's access rules let SYSTEM and `runner` in, and start-job.ps1 deletes
    # the file before it starts the runner.
    [System.IO.File]::WriteAllText($handedOver, $config)
    $config = $null
    Start-ScheduledTask -TaskName 'mayfly-job'
    Write-Log "the runner is started; this machine ends $MaxLifetime after its boot"
    $seen = $false
    $startLongest = $clock.Elapsed + [TimeSpan]::FromMinutes(2)
    while ($clock.Elapsed -lt $MaxLifetime) {
        Start-Sleep -Seconds 1
        $running = (Get-ScheduledTask -TaskName 'mayfly-job').State -eq 'Running'
        $seen = $seen -or $running -or -not (Test-Path $handedOver)
        if ($seen -and -not $running) { break }
        if (-not $seen -and $clock.Elapsed -gt $startLongest) { throw 'the task mayfly-job does not start' }
    }
    Write-Log 'the runner has ended, or its time is up'
}
catch {
    Write-Log "failed: $_"
}
finally {
    Remove-Item -Path $handedOver -Force -ErrorAction SilentlyContinue
    # Nothing on this machine is needed any more, so nothing is waited for.
    & "$env:SystemRoot\System32\shutdown.exe" /s /f /t 0
}
