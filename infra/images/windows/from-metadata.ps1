# Waits until the metadata server has this VM's just-in-time configuration, checks the GPU where one is expected, and leaves the
# configuration where mayfly-runner.ps1, which calls this, looks for it. Throws when there is nothing to run.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSReviewUnusedParameter', '', Justification = 'functions use them')]
param(
    [string] $Folder = 'C:\ProgramData\mayfly',
    [string] $Server = 'http://169.254.169.254',
    [TimeSpan] $WaitLongest = '00:10:00',
    # At the first boot Windows may install the driver anew.
    [TimeSpan] $GpuLongest = '00:05:00',
    [TimeSpan] $Pause = '00:00:02',
    # What is said goes there.
    [scriptblock] $Log = { param([string] $Text) Write-Verbose $Text -Verbose }
)
$ErrorActionPreference = 'Stop'
Set-StrictMode -Version 3.0
$clock = [System.Diagnostics.Stopwatch]::StartNew()
$script:lastComplaint = ''

# The same thing over and over is said once.
function Write-Complaint([string] $Text) {
    if ($Text -ne $script:lastComplaint) { & $Log $Text }
    $script:lastComplaint = $Text
}

function Wait-Moment([string] $Name) {
    if ($clock.Elapsed -gt $WaitLongest) { throw "the metadata server has not told $Name within $WaitLongest" }
    Start-Sleep -Milliseconds $Pause.TotalMilliseconds
}

# The answer to one request: its status, whether it comes from the metadata server, and its text. 0: there was no answer.
function Get-Answer([string] $Name) {
    $request = [System.Net.WebRequest]::CreateHttp("$Server/computeMetadata/v1/instance/attributes/$Name")
    $request.Headers.Add('Metadata-Flavor', 'Google')
    $request.Proxy = $null
    # The metadata server sends no redirections, and whoever does is somebody else.
    $request.AllowAutoRedirect = $false
    $request.Timeout = 5000
    $request.ReadWriteTimeout = 5000
    $response = $null
    try {
        $response = $request.GetResponse()
    }
    catch {
        # A status from 400 on is an exception, inside of PowerShell's own.
        $reason = $_.Exception
        while ($null -ne $reason -and $reason -isnot [System.Net.WebException]) { $reason = $reason.InnerException }
        if ($null -ne $reason) { $response = $reason.Response }
    }
    if ($null -eq $response) { return @{ Status = 0; IsGoogle = $false; Text = '' } }
    try {
        $reader = [System.IO.StreamReader]::new($response.GetResponseStream())
        return @{
            Status   = [int] $response.StatusCode
            IsGoogle = $response.Headers['Metadata-Flavor'] -eq 'Google'
            Text     = $reader.ReadToEnd().Trim()
        }
    }
    catch {
        return @{ Status = 0; IsGoogle = $false; Text = '' }
    }
    finally {
        $response.Dispose()
    }
}

# An attribute of this VM, asked for until somebody knows; $null when it is not there. What nobody may read is never said.
function Get-Attribute([string] $Name, [switch] $Required, [string] $Pattern = '.') {
    while ($true) {
        $answer = Get-Answer $Name
        if ($answer.Status -eq 404 -and -not $Required) { return $null }
        if ($answer.Status -ne 200) {
            if ($answer.Status -ne 404) { Write-Complaint "the metadata server answers $($answer.Status)" }
        }
        elseif (-not $answer.IsGoogle) {
            Write-Complaint 'who answers is not the metadata server'
        }
        elseif ($Required -and $answer.Text -notmatch $Pattern) {
            Write-Complaint "$Name makes no sense"
        }
        else {
            return $answer.Text
        }
        Wait-Moment $Name
    }
}

# Until Windows has set itself up, which ends with a boot: a job must not begin before that.
function Wait-Setup {
    while ((Get-ItemProperty -Path 'HKLM:\SYSTEM\Setup').SystemSetupInProgress -ne 0) { Wait-Moment 'the end of its setup' }
}

function Test-Gpu {
    $tool = Join-Path $env:SystemRoot 'System32\nvidia-smi.exe'
    if (-not (Test-Path $tool)) { return $false }
    $listed = @(& $tool --list-gpus)
    return $LASTEXITCODE -eq 0 -and @($listed -match '^GPU ').Count -gt 0
}

# The driver may still be on its way.
function Wait-Gpu {
    $until = $clock.Elapsed + $GpuLongest
    while (-not (Test-Gpu)) {
        if ($clock.Elapsed -gt $until) {
            throw "there is no GPU that works, and one is expected: nvidia-smi lists none within $GpuLongest"
        }
        Start-Sleep -Milliseconds $Pause.TotalMilliseconds
    }
}

# From here on only SYSTEM and Administrators may ask: the configuration stays in the metadata, since a VM cannot change its own.
# Not DNS, which the same address answers.
function Block-Metadata {
    $sid = (Get-LocalUser -Name 'runner').SID.Value
    New-NetFirewallRule -DisplayName 'mayfly: the metadata server is not for jobs' -Direction Outbound -Action Block `
        -Protocol TCP -RemoteAddress '169.254.169.254' -RemotePort 80, 443 -LocalUser "D:(A;;CC;;;$sid)" | Out-Null
}

Wait-Setup
# The user that Packer built the image as.
if (Get-LocalUser -Name 'packer' -ErrorAction SilentlyContinue) { Remove-LocalUser -Name 'packer' }

$config = Get-Attribute 'jit-config' -Required -Pattern '^[A-Za-z0-9+/_-]{16,}=*$'
if ((Get-Attribute 'expect-gpu') -eq 'true') { Wait-Gpu }

# mayfly-runner.ps1 takes what makes sense of these.
$told = foreach ($name in 'max-lifetime', 'runner-version', 'runner-sha256') {
    $value = Get-Attribute $name
    if ($value) { "$name=$value" }
}

if (-not (Test-Path (Join-Path $Folder 'metadata-for-jobs'))) {
    try {
        Block-Metadata
    }
    catch {
        & $Log "jobs can ask the metadata server: $_"
    }
}

# The second one last: it says that the first is whole. The folder is SYSTEM's and Administrators'.
[System.IO.File]::WriteAllText((Join-Path $Folder 'jit-config'), $config)
$config = $null
[System.IO.File]::WriteAllLines((Join-Path $Folder 'jit-config.ready'), [string[]] @($told))
