# Last part of the image, after the boot and install.ps1: proof that the driver works, and what must differ between VMs goes.
param(
    # Empty: no driver.
    [string] $DriverUrl = $env:NVIDIA_DRIVER_URL,
    [string] $MetadataForJobs = $env:METADATA_FOR_JOBS
)
$ErrorActionPreference = 'Stop'
Set-StrictMode -Version 3.0

# An image whose driver finds no GPU is none.
if ($DriverUrl) {
    & "$env:SystemRoot\System32\nvidia-smi.exe"
    if ($LASTEXITCODE -ne 0) { throw 'nvidia-smi finds no GPU' }
}
if ($MetadataForJobs -eq 'true') {
    New-Item -ItemType File -Path 'C:\ProgramData\mayfly\metadata-for-jobs' -Force | Out-Null
}
Remove-Item -Path 'C:\mayfly-build' -Recurse -Force
# Google's own: names, keys and WinRM's certificate are made anew at the first boot. Packer turns the machine off.
GCESysprep -no_shutdown
