variable "name" {
  description = "The layer's name."
  type        = string
}

variable "folder" {
  description = "Where the layer is unpacked."
  type        = string
}

variable "deployment" {
  description = "The deployment's name."
  type        = string
}

variable "table" {
  description = "The table's name."
  type        = string
}

variable "github" {
  description = "As the root module's input."
  type = object({
    api_url         = string
    webhook_secrets = list(object({ ssm = optional(string), secretsmanager = optional(string) }))
    app = optional(object({
      client_id       = string
      private_key     = object({ ssm = optional(string), secretsmanager = optional(string) })
      installation_id = optional(number)
    }))
    token       = optional(object({ ssm = optional(string), secretsmanager = optional(string) }))
    webhook_url = optional(string)
  })
}

variable "gcp" {
  description = "The project, and the keyless credentials file that the functions log in with; null for no Google Cloud."
  type = object({
    project     = string
    credentials = string
  })
}

variable "proxmox" {
  description = "As the root module's input."
  type = map(object({
    url          = string
    token_id     = string
    token_secret = object({ ssm = optional(string), secretsmanager = optional(string) })
    vmid_range   = tuple([number, number])
    nodes        = optional(list(string))
    ca           = optional(string)
    fingerprint  = optional(string)
  }))
}

variable "pools" {
  description = "The pools as mayfly.toml has them: as the root module's input, with instance templates in place of machines."
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
    platform     = string
    max_runners  = number
    min_runners  = number
    boot_timeout = string
    idle_timeout = string
    max_lifetime = string
    placements = list(object({
      provider          = string
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
}

variable "page" {
  description = "As the root module's input."
  type = object({
    token    = object({ ssm = optional(string), secretsmanager = optional(string) })
    currency = optional(string)
  })
  default = null
}

variable "timing" {
  description = "As the root module's input."
  type        = map(string)
}

variable "notifications" {
  description = "As the root module's input."
  type        = map(string)
}

variable "cloudwatch" {
  description = "Whether metrics are written for CloudWatch."
  type        = bool
}
