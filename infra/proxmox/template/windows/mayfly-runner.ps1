# Runs one job: waits for the just-in-time configuration that Mayfly leaves, starts GitHub's runner with it as the user
# `runner`, and powers the machine off when that ends, however it ends, or when its time is up. Started at boot as SYSTEM, by
# the scheduled task `mayfly-runner` that install.ps1 makes.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSReviewUnusedParameter', '', Justification = 'functions use them')]
param(
    [string] $Folder = 'C:\ProgramData\mayfly',
    [string] $Runner = 'C:\actions-runner',
    # Without a configuration for so long, nobody wants anything of this machine.
    [TimeSpan] $UnusedLongest = '00:30:00',
    # Unless Mayfly says otherwise in the .ready file; counted from the boot.
    [TimeSpan] $MaxLifetime = '06:00:00',
    # Where nobody writes files into the machine: a script that gets the configuration and leaves it in the folder.
    [string] $Fetch,
    # Where to say what happens, beside the log: COM1 can be read in a cloud without a way into the VM.
    [string] $SerialPort,
    [string] $Downloads = 'https://github.com/actions/runner/releases/download'
)
$ErrorActionPreference = 'Stop'
Set-StrictMode -Version 3.0

$configFile = Join-Path $Folder 'jit-config'
$readyFile = Join-Path $Folder 'jit-config.ready'
$handedOver = Join-Path $Folder 'job\jit-config'
$runnerLog = Join-Path $Folder 'job\runner.log'
$clock = [System.Diagnostics.Stopwatch]::StartNew()
# Another version of the runner and its digest, for when GitHub refuses this one.
$version = $null
$sha256 = $null

function Write-Log([string] $Text) {
    $moment = [DateTime]::UtcNow.ToString('s')
    $log = Join-Path $Folder 'mayfly-runner.log'
    Add-Content -Path $log -Value "$moment $Text"
    if (-not $SerialPort) { return }
    try {
        $port = New-Object System.IO.Ports.SerialPort $SerialPort, 115200
        $port.Open()
        $port.WriteLine("mayfly: $Text")
        $port.Dispose()
    }
    catch {
        # Others use it too.
        Add-Content -Path $log -Value "$moment (not on ${SerialPort}: $_)"
    }
}

function Receive-Configuration {
    while (-not (Test-Path $readyFile)) {
        if ($clock.Elapsed -gt $UnusedLongest) { throw "no configuration came within $UnusedLongest" }
        Start-Sleep -Milliseconds 500
    }
    $told = @(Get-Content -Path $readyFile)
    switch -Regex -CaseSensitive ($told) {
        '^max-lifetime=([1-9][0-9]{0,7})\s*$' { $script:MaxLifetime = [TimeSpan]::FromSeconds([int] $Matches[1]) }
        '^runner-version=([0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4})\s*$' { $script:version = $Matches[1] }
        '^runner-sha256=([0-9a-f]{64})\s*$' { $script:sha256 = $Matches[1] }
    }
    $config = ((Get-Content -Path $configFile -Raw) -replace '\s', '')
    # Before anything of the job runs: it is good for one runner, and not the job's business.
    Remove-Item -Path $configFile, $readyFile -Force
    if (-not $config) { throw "there is no configuration in $configFile" }
    return $config
}

# The task that ends the machine should this script fail or be ended by a job: at the end that Mayfly told.
function Register-Deadline {
    $left = $MaxLifetime - $clock.Elapsed
    Set-ScheduledTask -TaskName 'mayfly-deadline' -Trigger (New-ScheduledTaskTrigger -Once -At ((Get-Date) + $left)) | Out-Null
}

# The user that jobs run as, with a password that only this machine's task scheduler knows. Made here, not in the template:
# sealing gives each clone SIDs and keys of its own, so nothing of a user survives it.
function Register-Job([string] $RunnerFolder) {
    $bytes = New-Object byte[] 24
    [System.Security.Cryptography.RandomNumberGenerator]::Create().GetBytes($bytes)
    $password = 'Aa1!' + [Convert]::ToBase64String($bytes)
    $secure = New-Object System.Security.SecureString
    foreach ($character in $password.ToCharArray()) { $secure.AppendChar($character) }
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
    # Who may talk to Docker, where it is installed.
    if (Get-LocalGroup -Name 'docker-users' -ErrorAction SilentlyContinue) {
        Add-LocalGroupMember -Name 'docker-users' -Member 'runner' -ErrorAction SilentlyContinue
    }
    & icacls.exe $Folder /grant:r 'runner:RX' /Q | Out-Null
    & icacls.exe (Join-Path $Folder 'start-job.ps1') /grant:r 'runner:RX' /Q | Out-Null
    & icacls.exe (Split-Path $handedOver) /grant:r 'runner:(OI)(CI)M' /Q | Out-Null
    $shell = "$env:SystemRoot\System32\WindowsPowerShell\v1.0\powershell.exe"
    $flags = '-NoProfile -NonInteractive -ExecutionPolicy Bypass -File'
    $argument = "$flags $Folder\start-job.ps1 -Folder $Folder -Runner $RunnerFolder"
    $action = New-ScheduledTaskAction -Execute $shell -Argument $argument -WorkingDirectory $RunnerFolder
    $settings = New-ScheduledTaskSettingsSet -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries `
        -ExecutionTimeLimit ([TimeSpan]::Zero)
    Register-ScheduledTask -TaskName 'mayfly-job' -Action $action -User 'runner' -Password $password -RunLevel $level `
        -Settings $settings -Force | Out-Null
}

# One runner from its start to its end, or until the machine's time is up.
function Invoke-Job([string] $Config) {
    # A scheduled task takes no environment. The folder's access rules let SYSTEM and `runner` in, and start-job.ps1 deletes
    # the file before it starts the runner.
    [System.IO.File]::WriteAllText($handedOver, $Config)
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

# GitHub lets runners that are too old connect, and then gives them no job: run.cmd says so, and ends as if all were well.
function Test-Refusal {
    if (-not (Test-Path $runnerLog)) { return $false }
    $refusal = 'deprecated version exit code|is deprecated and cannot receive messages'
    $refused = Select-String -Path $runnerLog -Pattern $refusal -Quiet
    return $refused -and -not (Select-String -Path $runnerLog -Pattern 'Running job:' -SimpleMatch -Quiet)
}

# A runner in another folder, by its digest.
function Install-Runner([string] $Version, [string] $Sha256) {
    $name = "actions-runner-win-x64-$Version.zip"
    $archive = Join-Path $Folder $name
    [Net.ServicePointManager]::SecurityProtocol = [Net.SecurityProtocolType]::Tls12
    $ProgressPreference = 'SilentlyContinue'
    Invoke-WebRequest -Uri "$Downloads/v$Version/$name" -OutFile $archive -UseBasicParsing -TimeoutSec 300
    $digest = (Get-FileHash -Path $archive -Algorithm SHA256).Hash
    if ($digest -ne $Sha256) { throw "${name}: its SHA-256 is $digest, not $Sha256" }
    $target = "$Runner-$Version"
    Expand-Archive -Path $archive -DestinationPath $target
    & icacls.exe $target /grant 'runner:(OI)(CI)M' /T /Q | Out-Null
    return $target
}

try {
    # Before Mayfly writes anything, so that the job need not wait for it.
    Register-Job $Runner
    if ($Fetch) { & $Fetch -Folder $Folder -Log ${function:Write-Log} }
    $config = Receive-Configuration
    try {
        Register-Deadline
    }
    catch {
        Write-Log "the task mayfly-deadline stays as it was: $_"
    }
    Invoke-Job $config
    if (Test-Refusal) {
        if (-not ($version -and $sha256)) { throw 'GitHub refuses this version of the runner: make a new image' }
        Write-Log "GitHub refuses this version of the runner: trying $version"
        Register-Job (Install-Runner $version $sha256)
        Remove-Item -Path $runnerLog -Force
        Invoke-Job $config
    }
}
catch {
    Write-Log "failed: $_"
}
finally {
    Remove-Item -Path $handedOver -Force -ErrorAction SilentlyContinue
    # Nothing on this machine is needed any more, so nothing is waited for.
    & "$env:SystemRoot\System32\shutdown.exe" /s /f /t 0
}
