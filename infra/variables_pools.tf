variable "pools" {
  description = <<-EOT
    The pools, in the order in which a job is offered to them. Each registers its runners with one of `organization`, `repository`
    ("owner/name") or `enterprise`. Its placements are tried in order: a full one passes the job on to the next. `provider` is `gcp` or a key of
    `proxmox`. On GCP give `machine`, a key of `gcp.machines`, or `instance_template`, one made elsewhere, with `gpu_type`. On Proxmox give `template`.
    `price_per_hour` is what a VM there costs an hour, in your currency; the status page counts with it.
  EOT
  type = list(object({
    name         = string
    labels       = list(string)
    organization = optional(string)
    repository   = optional(string)
    enterprise   = optional(string)
    repositories = optional(list(string))
    visibility   = optional(string)
    allow_forks  = optional(bool)
    runner_group = optional(string)
    platform     = optional(string, "linux")
    max_runners  = number
    min_runners  = optional(number, 0)
    boot_timeout = optional(string, "10m")
    idle_timeout = optional(string, "10m")
    max_lifetime = optional(string, "6h")
    placements = list(object({
      provider          = string
      machine           = optional(string)
      instance_template = optional(string)
      zones             = optional(list(string))
      gpu_type          = optional(string)
      spot              = optional(bool)
      template          = optional(number)
      full_clone        = optional(bool)
      storage           = optional(string)
      pool              = optional(string)
      price_per_hour    = optional(number)
    }))
  }))

  validation {
    condition     = length(var.pools) > 0 && length(distinct(var.pools[*].name)) == length(var.pools)
    error_message = "At least one pool is needed, and no two may have the same name."
  }

  validation {
    condition     = alltrue([for pool in var.pools : can(regex("^[a-z][a-z0-9-]{0,19}$", pool.name))])
    error_message = "A pool's name: a lower-case letter, then up to 19 lower-case letters, digits or hyphens."
  }

  validation {
    condition     = alltrue([for pool in var.pools : length(pool.labels) >= 1 && length(pool.labels) <= 100])
    error_message = "A pool needs 1 to 100 labels."
  }

  # 256 bytes are 342 signs of base64; `length` counts letters, and Mayfly bytes.
  validation {
    condition = alltrue(flatten([
      for pool in var.pools : [
        for label in pool.labels : trimspace(label) != "" && can(regex("^[^,[:cntrl:]]+$", label)) && length(replace(base64encode(label), "=", "")) <= 342
      ]
    ]))
    error_message = "A label is 1 to 256 characters, without commas, line ends or other control characters."
  }

  validation {
    condition     = alltrue([for pool in var.pools : length([for scope in [pool.organization, pool.repository, pool.enterprise] : scope if scope != null]) == 1])
    error_message = "Each pool needs exactly one of `organization`, `repository` and `enterprise`: where its runners register."
  }

  validation {
    condition     = alltrue(flatten([for pool in var.pools : [for name in [pool.organization, pool.enterprise] : name == null || can(regex("^[A-Za-z0-9_-]{1,100}$", name))]]))
    error_message = "`organization` and `enterprise` are names as in GitHub's addresses: 1 to 100 letters, digits, hyphens or underscores."
  }

  validation {
    condition     = alltrue([for pool in var.pools : pool.repository == null || can(regex("^[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}$", pool.repository))])
    error_message = "`repository` must be \"owner/name\"."
  }

  validation {
    condition = alltrue(flatten([
      for pool in var.pools : [
        for pattern in coalesce(pool.repositories, []) : can(regex("^[A-Za-z0-9_.*-]*(/[A-Za-z0-9_.*-]*)?$", pattern)) && length(pattern) >= 1 && length(pattern) <= 200
      ]
    ]))
    error_message = "Each of `repositories` is a repository's name or a pattern with `*`, such as \"slang-*\", with or without its owner."
  }

  validation {
    condition     = alltrue([for pool in var.pools : pool.visibility == null || contains(["public", "private"], coalesce(pool.visibility, "all"))])
    error_message = "`visibility` must be public, or private (internal repositories among them); without it jobs of all are served."
  }

  validation {
    condition     = alltrue([for pool in var.pools : pool.repository == null || try(lower(pool.runner_group), "default") == "default"])
    error_message = "A repository has only the `runner_group` default; other groups need `organization` or `enterprise`."
  }

  # An earlier pool that takes every job of those labels leaves a later one none. Letter case is nothing in labels and patterns.
  validation {
    condition = alltrue(flatten([
      for place, pool in var.pools : [
        for other in slice(var.pools, 0, place) :
        jsonencode(sort(distinct([for label in pool.labels : lower(label)]))) != jsonencode(sort(distinct([for label in other.labels : lower(label)]))) ||
        jsonencode([pool.organization, pool.repository, pool.enterprise]) != jsonencode([other.organization, other.repository, other.enterprise]) ||
        !contains(["[]", lower(jsonencode(coalesce(pool.repositories, [])))], lower(jsonencode(coalesce(other.repositories, [])))) ||
        !contains(["all", coalesce(pool.visibility, "all")], coalesce(other.visibility, "all"))
      ]
    ]))
    error_message = "No job could tell a pool from an earlier one with the same labels and the same `organization`, `repository` or `enterprise`: give one of them another label, or the earlier one `repositories` or a `visibility` of its own."
  }

  validation {
    condition     = alltrue([for pool in var.pools : contains(["linux", "windows"], pool.platform)])
    error_message = "`platform` must be linux or windows."
  }

  validation {
    condition     = alltrue([for pool in var.pools : pool.max_runners >= 1 && pool.max_runners <= 9999 && pool.min_runners >= 0 && pool.min_runners <= pool.max_runners])
    error_message = "`max_runners` must be from 1 to 9999, `min_runners` from 0 to `max_runners`."
  }

  validation {
    condition     = alltrue(flatten([for pool in var.pools : [for count in [pool.max_runners, pool.min_runners] : floor(count) == count]]))
    error_message = "`max_runners` and `min_runners` must be whole numbers."
  }

  validation {
    condition = alltrue(flatten([
      for pool in var.pools : [
        for seconds in [
          for wait in [pool.boot_timeout, pool.idle_timeout, pool.max_lifetime] :
          try(tonumber(regex("^[0-9]+", wait)) * local.seconds[regex("^[0-9]+(ms|s|m|h|d)$", wait)[0]], 0)
        ] : seconds > 0 && seconds <= 36600 * local.seconds.d
      ]
    ]))
    error_message = "A duration is above zero, at most 36600d, and has a unit: \"90s\", \"10m\", \"6h\"."
  }

  validation {
    condition     = alltrue([for pool in var.pools : length(pool.placements) > 0])
    error_message = "Each pool needs at least one placement."
  }

  validation {
    condition = alltrue(flatten([
      for pool in var.pools : [
        for placement in pool.placements :
        placement.provider == "gcp" ? var.gcp != null : contains(keys(var.proxmox), placement.provider)
      ]
    ]))
    error_message = "A placement's provider must be `gcp`, with the input `gcp` given, or a key of the input `proxmox`."
  }

  validation {
    condition = alltrue(flatten([
      for pool in var.pools : [
        for placement in pool.placements :
        (placement.machine == null) != (placement.instance_template == null) &&
        (placement.machine == null || contains(keys(try(var.gcp.machines, {})), coalesce(placement.machine, "-"))) &&
        (placement.machine == null || placement.gpu_type == null) && placement.instance_template != ""
        if placement.provider == "gcp"
      ]
    ]))
    error_message = "A placement on GCP needs `machine`, a key of `gcp.machines` (which has the GPU's type), or else `instance_template`."
  }

  validation {
    condition = alltrue(flatten([
      for pool in var.pools : [
        for placement in pool.placements :
        length(coalesce(placement.zones, [])) > 0 && alltrue([for zone in coalesce(placement.zones, []) : can(regex("^[a-z]+-[a-z]+[a-z0-9]*[0-9]-[a-z]$", zone))])
        if placement.provider == "gcp"
      ]
    ]))
    error_message = "A placement on GCP needs at least one zone, such as [\"us-east1-c\"]."
  }

  validation {
    condition = alltrue(flatten([
      for pool in var.pools : [for placement in pool.placements : length(distinct(coalesce(placement.zones, []))) == length(coalesce(placement.zones, []))]
    ]))
    error_message = "A zone is in a placement's list twice: name it once."
  }

  validation {
    condition = alltrue(flatten([
      for pool in var.pools : [
        for placement in pool.placements :
        placement.template == null && placement.full_clone == null && placement.storage == null && placement.pool == null
        if placement.provider == "gcp"
      ]
    ]))
    error_message = "`template`, `full_clone`, `storage` and `pool` are a Proxmox placement's: one on GCP has `machine` or `instance_template`, `zones`, `gpu_type` and `spot`."
  }

  validation {
    condition = alltrue(flatten([
      for pool in var.pools : [
        for placement in pool.placements :
        try(placement.template >= 100 && placement.template <= 999999999 && floor(placement.template) == placement.template, false)
        if placement.provider != "gcp"
      ]
    ]))
    error_message = "A placement on Proxmox needs `template`, the VM id of the template, from 100 to 999999999."
  }

  validation {
    condition = alltrue(flatten([
      for pool in var.pools : [
        for placement in pool.placements :
        placement.machine == null && placement.instance_template == null && placement.zones == null && placement.gpu_type == null && placement.spot == null
        if placement.provider != "gcp"
      ]
    ]))
    error_message = "`machine`, `instance_template`, `zones`, `gpu_type` and `spot` are a GCP placement's: one on Proxmox has `template`, `full_clone`, `storage` and `pool`."
  }

  validation {
    condition = alltrue(flatten([
      for pool in var.pools : [for placement in pool.placements : placement.price_per_hour == null || try(placement.price_per_hour >= 0 && placement.price_per_hour <= 10000, false)]
    ]))
    error_message = "`price_per_hour` must be from 0 to 10000."
  }

  validation {
    condition = alltrue(flatten([
      for pool in var.pools : [for placement in pool.placements : placement.storage == null || coalesce(placement.full_clone, false)]
    ]))
    error_message = "`storage` goes with `full_clone = true` only: a linked clone lies where its template does."
  }
}
