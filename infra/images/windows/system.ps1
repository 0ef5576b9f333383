# First part of the image: NVIDIA's driver and Docker, each by its digest. Packer runs it as an administrator, then boots the
# machine anew.
param(
    # Empty: no driver.
    [string] $DriverUrl = $env:NVIDIA_DRIVER_URL,
    [string] $DriverSha256 = $env:NVIDIA_DRIVER_SHA256,
    # Empty: no Docker.
    [string] $DockerVersion = $env:DOCKER_VERSION,
    [string] $DockerSha256 = $env:DOCKER_SHA256
)
$ErrorActionPreference = 'Stop'
Set-StrictMode -Version 3.0
# A bar that nobody sees makes downloads slow.
$ProgressPreference = 'SilentlyContinue'
[Net.ServicePointManager]::SecurityProtocol = [Net.SecurityProtocolType]::Tls12

function Get-Checked([string] $Url, [string] $Sha256) {
    $file = Join-Path $env:TEMP (Split-Path $Url -Leaf)
    Invoke-WebRequest -Uri $Url -OutFile $file -UseBasicParsing
    $digest = (Get-FileHash -Path $file -Algorithm SHA256).Hash
    if ($digest -ne $Sha256) { throw "${Url}: its SHA-256 is $digest, not $Sha256" }
    return $file
}

# A VM that lives for one job updates nothing by itself, and a boot for an update would end the job.
Set-Service -Name 'wuauserv' -StartupType Disabled
New-Item -Path 'HKLM:\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate\AU' -Force |
    New-ItemProperty -Name 'NoAutoUpdate' -Value 1 -PropertyType DWord -Force | Out-Null
# Scanning what jobs write takes a core of a small machine, and the machine is gone when the job is.
Set-MpPreference -DisableRealtimeMonitoring $true -ErrorAction SilentlyContinue

if ($DriverUrl) {
    $installer = Get-Checked $DriverUrl $DriverSha256
    $installed = Start-Process -FilePath $installer -ArgumentList '-s', '-noreboot', '-clean', '-noeula' -Wait -PassThru
    # 1: it wants a boot, which comes anyway.
    if ($installed.ExitCode -notin 0, 1) { throw "the driver's installation ends with $($installed.ExitCode)" }
    Remove-Item $installer
}

if ($DockerVersion) {
    Install-WindowsFeature -Name 'Containers' | Out-Null
    $archive = Get-Checked "https://download.docker.com/win/static/stable/x86_64/docker-$DockerVersion.zip" $DockerSha256
    Expand-Archive -Path $archive -DestinationPath $env:ProgramFiles
    Remove-Item $archive
    $docker = Join-Path $env:ProgramFiles 'docker'
    # Jobs are not administrators, and may use it all the same.
    New-LocalGroup -Name 'docker-users' | Out-Null
    New-Item -ItemType Directory -Path 'C:\ProgramData\docker\config' -Force | Out-Null
    [System.IO.File]::WriteAllText('C:\ProgramData\docker\config\daemon.json', '{ "group": "docker-users" }')
    $path = [Environment]::GetEnvironmentVariable('Path', 'Machine')
    [Environment]::SetEnvironmentVariable('Path', "$path;$docker", 'Machine')
    & (Join-Path $docker 'dockerd.exe') --register-service
    if ($LASTEXITCODE -ne 0) { throw 'the service docker cannot be registered' }
}
