variable "deployment" {
  description = "The deployment's name, stamped on every VM and part of every resource's name, so that two deployments never touch each other's."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{0,14}$", var.deployment))
    error_message = "A lower-case letter, then up to 14 lower-case letters or digits; no hyphen."
  }
}

variable "zips" {
  description = "Paths of the two functions' zips, each with `bootstrap` (arm64) in it, as `cargo lambda build --release --arm64 --output-format zip` leaves them."
  type = object({
    webhook = string
    sweeper = string
  })

  validation {
    condition     = alltrue([for zip in values(var.zips) : fileexists(zip)])
    error_message = "Each must be the path of a file; build them first."
  }
}

variable "github" {
  description = <<-EOT
    How GitHub is reached. A secret is never given itself, only its place: `{ ssm = "/name" }`, a SecureString of Systems Manager, or
    `{ secretsmanager = "arn-or-name" }`. Give `app` or `token`. `webhook_secrets` are several while one is being rotated. `webhook_url`
    says which hook is ours, where the events come by a hook of the organization or repository instead of the App's own.
  EOT
  type = object({
    api_url         = optional(string, "https://api.github.com")
    webhook_secrets = list(object({ ssm = optional(string), secretsmanager = optional(string) }))
    app = optional(object({
      client_id       = string
      private_key     = object({ ssm = optional(string), secretsmanager = optional(string) })
      installation_id = optional(number)
    }))
    token       = optional(object({ ssm = optional(string), secretsmanager = optional(string) }))
    webhook_url = optional(string)
  })

  validation {
    condition     = (var.github.app == null) != (var.github.token == null)
    error_message = "Give one of `app` and `token`."
  }

  validation {
    condition     = length(var.github.webhook_secrets) > 0
    error_message = "At least one webhook secret is needed, such as [{ ssm = \"/mayfly/webhook-secret\" }]."
  }

  validation {
    condition = alltrue([
      for secret in concat(var.github.webhook_secrets, var.github.app[*].private_key, var.github.token[*]) :
      (secret.ssm == null) != (secret.secretsmanager == null)
    ])
    error_message = "Each secret needs one place: `ssm` or `secretsmanager`."
  }

  validation {
    condition = alltrue([
      for secret in concat(var.github.webhook_secrets, var.github.app[*].private_key, var.github.token[*]) :
      secret.ssm == null || can(regex("^/?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$", secret.ssm))
    ])
    error_message = "`ssm` must be a parameter's name, such as `/mayfly/webhook-secret`; not the secret, and no ARN."
  }

  validation {
    condition     = alltrue([for url in [var.github.api_url, var.github.webhook_url] : url == null || can(regex("^https://[^/?#@[:space:]]+(/[^?#[:space:]]*)?$", url))])
    error_message = "`api_url` and `webhook_url` must be https:// URLs, without a user, a query or a fragment."
  }

  validation {
    condition     = try(var.github.app.installation_id >= 1 && floor(var.github.app.installation_id) == var.github.app.installation_id, true)
    error_message = "`installation_id` must be the installation's number, as it ends its settings page's address; or left out, and it is looked up."
  }
}

variable "gcp" {
  description = <<-EOT
    The Google Cloud project that VMs are made in, and the machines to make there: each becomes an instance template. `image` is an image, or
    a family (`projects/P/global/images/family/F`: a new image in it is used from the next VM on). `gpu` is `nvidia-tesla-t4` (on N1) or
    `nvidia-l4` (on G2, which always has it), with `-vws` at its end for Direct3D and Vulkan on Windows; `gpu_count` is N1's, a G2's type says
    how many it has. `secure_boot` goes with images whose drivers are signed, as those of images/ are. `metadata` is added to what the
    template tells the guest. Null: no Google Cloud.
  EOT
  type = object({
    project = string
    machines = optional(map(object({
      image        = string
      machine_type = string
      gpu          = optional(string)
      gpu_count    = optional(number, 1)
      disk_gb      = optional(number, 100)
      disk_type    = optional(string, "pd-balanced")
      secure_boot  = optional(bool, true)
      metadata     = optional(map(string), {})
    })), {})
  })
  default = null

  validation {
    condition     = var.gcp == null || can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.gcp.project))
    error_message = "`project` must be a project's id, such as `my-runners`."
  }

  validation {
    condition     = alltrue([for name in keys(try(var.gcp.machines, {})) : can(regex("^[a-z][a-z0-9-]{0,19}$", name))])
    error_message = "A machine's name: a lower-case letter, then up to 19 lower-case letters, digits or hyphens."
  }

  validation {
    condition = alltrue([
      for machine in values(try(var.gcp.machines, {})) :
      machine.gpu == null || can(regex("^n1-.* nvidia-tesla-t4(-vws)?$|^g2-.* nvidia-l4(-vws)?$", "${machine.machine_type} ${coalesce(machine.gpu, "-")}"))
    ])
    error_message = "`gpu` must be nvidia-tesla-t4 or nvidia-tesla-t4-vws with an n1- machine type, nvidia-l4 or nvidia-l4-vws with a g2- one, or left out."
  }

  # Without its name nothing would expect a GPU there, nor count it.
  validation {
    condition     = alltrue([for machine in values(try(var.gcp.machines, {})) : machine.gpu != null || !startswith(machine.machine_type, "g2-")])
    error_message = "A g2- machine type has L4s: `gpu` must be nvidia-l4, or nvidia-l4-vws."
  }

  validation {
    condition     = alltrue([for machine in values(try(var.gcp.machines, {})) : machine.gpu == null || !startswith(machine.machine_type, "n1-") || contains([1, 2, 4], machine.gpu_count)])
    error_message = "`gpu_count` must be 1, 2 or 4 on an n1- machine type."
  }
}

variable "proxmox" {
  description = <<-EOT
    Proxmox VE clusters, by the name that placements use. `token_secret` is a secret's place, as in `github`. `vmid_range` is the first and the
    last VM id that this deployment may use; nothing else uses them. Which certificate is trusted: `ca`, the cluster's own CA as PEM text, or
    `fingerprint`, a SHA-256; without either the system's roots.
  EOT
  type = map(object({
    url          = string
    token_id     = string
    token_secret = object({ ssm = optional(string), secretsmanager = optional(string) })
    vmid_range   = tuple([number, number])
    nodes        = optional(list(string))
    ca           = optional(string)
    fingerprint  = optional(string)
  }))
  default = {}

  validation {
    condition     = alltrue([for name in keys(var.proxmox) : name != "gcp" && can(regex("^[A-Za-z0-9_-]{1,40}$", name))])
    error_message = "A cluster's name: up to 40 letters, digits, `-` or `_`, and not `gcp`."
  }

  validation {
    condition     = alltrue([for cluster in values(var.proxmox) : can(regex("^https://[^/?#@[:space:]]+/?$", cluster.url))])
    error_message = "`url` must be an https:// URL, such as https://pve.example.com:8006."
  }

  validation {
    condition     = alltrue([for cluster in values(var.proxmox) : can(regex("^[^@!]+@[^@!]+![^@!]+$", cluster.token_id))])
    error_message = "`token_id` must be `user@realm!token`, as Proxmox shows it."
  }

  validation {
    condition = alltrue([
      for cluster in values(var.proxmox) : (cluster.token_secret.ssm == null) != (cluster.token_secret.secretsmanager == null)
    ])
    error_message = "`token_secret` needs one place: `ssm` or `secretsmanager`."
  }

  validation {
    condition = alltrue([
      for cluster in values(var.proxmox) : cluster.token_secret.ssm == null || can(regex("^/?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$", cluster.token_secret.ssm))
    ])
    error_message = "`token_secret.ssm` must be a parameter's name, such as `/mayfly/proxmox-token`; not the secret, and no ARN."
  }

  validation {
    condition = alltrue([
      for cluster in values(var.proxmox) :
      cluster.vmid_range[0] >= 100 && cluster.vmid_range[0] <= cluster.vmid_range[1] && cluster.vmid_range[1] <= 999999999 &&
      alltrue([for id in cluster.vmid_range : floor(id) == id])
    ])
    error_message = "`vmid_range` must be [first, last], whole numbers with 100 <= first <= last <= 999999999."
  }

  validation {
    condition     = alltrue([for cluster in values(var.proxmox) : cluster.ca == null || cluster.fingerprint == null])
    error_message = "Give at most one of `ca` and `fingerprint`."
  }

  validation {
    condition     = alltrue([for cluster in values(var.proxmox) : cluster.ca == null || startswith(trimspace(coalesce(cluster.ca, "-")), "-----BEGIN CERTIFICATE-----")])
    error_message = "`ca` must be a certificate as PEM text, such as file(\"pve-root-ca.pem\")."
  }

  validation {
    condition     = alltrue([for cluster in values(var.proxmox) : cluster.fingerprint == null || can(regex("^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){31}$", cluster.fingerprint))])
    error_message = "`fingerprint` must be a certificate's SHA-256 as 32 bytes, `AA:BB:…`."
  }
}

variable "vpc" {
  description = "Private subnets from which a Proxmox cluster is reached, and the functions' security groups. They need a way to the internet (NAT) as well, for GitHub. Null: no VPC."
  type = object({
    subnet_ids         = list(string)
    security_group_ids = list(string)
  })
  default = null

  validation {
    condition     = var.vpc == null || (length(try(var.vpc.subnet_ids, [])) > 0 && length(try(var.vpc.security_group_ids, [])) > 0)
    error_message = "Give at least one subnet and one security group."
  }
}

variable "endpoint" {
  description = "What GitHub's events come through: `function_url` (free, nothing in between) or `http_api` (API Gateway: throttling, access logs, a domain of your own; $1 a million)."
  type        = string
  default     = "function_url"

  validation {
    condition     = contains(["function_url", "http_api"], var.endpoint)
    error_message = "Must be function_url or http_api."
  }
}

variable "reserved_concurrency" {
  description = "How many environments of each function there may be at a time; -1 is no limit of its own. A new AWS account with a limit of 10 in all can reserve none: give -1 for both there."
  type = object({
    webhook = optional(number, 100)
    sweeper = optional(number, 2)
  })
  default = {}

  validation {
    # None at all would switch a function off; one sweep may still end while the next begins.
    condition     = alltrue([for limit in values(var.reserved_concurrency) : limit == -1 || limit >= 2])
    error_message = "Each must be -1, or at least 2."
  }
}

variable "timing" {
  description = "The waits of `[timing]` in mayfly.toml; each is optional, and Mayfly's own default holds where it is left out."
  type = object({
    orphan_grace     = optional(string)
    step_timeout     = optional(string)
    cooldown         = optional(string)
    redelivery_after = optional(string)
    check_after      = optional(string)
    retention        = optional(string)
  })
  default = {}

  validation {
    condition = alltrue([
      for seconds in [
        for wait in values(var.timing) : try(tonumber(regex("^[0-9]+", wait)) * local.seconds[regex("^[0-9]+(ms|s|m|h|d)$", wait)[0]], 0) if wait != null
      ] : seconds > 0 && seconds <= 36600 * local.seconds.d
    ])
    error_message = "A duration is above zero, at most 36600d, and has a unit: \"90s\", \"10m\", \"6h\"."
  }
}

variable "page" {
  description = <<-EOT
    The status page, `GET /` at the function's address. `token` is a secret's place, as in `github`: what a person is asked for, of at least 16
    characters. `currency` is what prices are in, as it is shown. Null: no page.
  EOT
  type = object({
    token    = object({ ssm = optional(string), secretsmanager = optional(string) })
    currency = optional(string)
  })
  default = null

  validation {
    condition     = var.page == null || (try(var.page.token.ssm, null) == null) != (try(var.page.token.secretsmanager, null) == null)
    error_message = "`token` needs one place: `ssm` or `secretsmanager`."
  }

  validation {
    condition     = try(var.page.token.ssm, null) == null || can(regex("^/?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$", var.page.token.ssm))
    error_message = "`token.ssm` must be a parameter's name, such as `/mayfly/page-token`; not the token, and no ARN."
  }

  validation {
    condition     = try(var.page.currency, null) == null || can(regex("^[^[:space:][:cntrl:]]{0,8}$", var.page.currency))
    error_message = "`currency` is at most 8 characters without spaces, such as USD."
  }
}

variable "notifications" {
  description = "`[notifications]` in mayfly.toml: a job that has waited for longer than `waiting_after` gets a check run on its commit. Null: none. It needs `github.app`, with the permission Checks: write."
  type = object({
    waiting_after = optional(string)
  })
  default = {}

  validation {
    condition = var.notifications.waiting_after == null || try(
      tonumber(regex("^[0-9]+", var.notifications.waiting_after)) * local.seconds[regex("^[0-9]+(ms|s|m|h|d)$", var.notifications.waiting_after)[0]], 0
    ) > 0
    error_message = "A duration is above zero and has a unit: \"90s\", \"10m\", \"6h\"."
  }

  validation {
    condition     = var.notifications.waiting_after == null || var.github.app != null
    error_message = "`waiting_after` needs `github.app`: GitHub lets only Apps write check runs."
  }
}

variable "alarms" {
  description = "Where alarms go (ARNs, such as an SNS topic's), and how long a job may wait, in seconds, before that is one."
  type = object({
    actions          = optional(list(string), [])
    job_wait_seconds = optional(number, 900)
  })
  default = {}

  validation {
    condition     = alltrue([for arn in var.alarms.actions : startswith(arn, "arn:")])
    error_message = "`actions` must be ARNs."
  }

  validation {
    condition     = var.alarms.job_wait_seconds >= 60
    error_message = "`job_wait_seconds` must be at least 60: a sweep looks once a minute."
  }
}

variable "cloudwatch_metrics" {
  description = <<-EOT
    Whether both functions write metrics into their logs for CloudWatch, and a second dashboard draws them. AWS bills each series $0.30 a
    month: some $3.30 a pool and $3 in all. The alarms and the first dashboard need none of them.
  EOT
  type        = bool
  default     = false

  validation {
    condition     = var.cloudwatch_metrics != null
    error_message = "Must be true or false."
  }
}

variable "log_level" {
  description = <<-EOT
    What both functions log, as `RUST_LOG` takes it: `target=level` with commas between, such as
    `warn,mayfly_service=debug,webhook=debug,sweeper=debug`. Null: Mayfly's own default, its decisions and others' troubles. The
    alarms count lines of the level `info`: where Mayfly's own are not written, those are silent.
  EOT
  type        = string
  default     = null

  validation {
    # Mayfly takes its own default for what it cannot read, and says nothing of it.
    condition     = var.log_level == null || can(regex("^(([A-Za-z0-9_:]+=)?(off|error|warn|info|debug|trace)(,|$))+$", var.log_level)) && !can(regex(",$", var.log_level))
    error_message = "Must be levels (off, error, warn, info, debug, trace), each alone or as target=level, with commas between."
  }
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "Must be one of the periods that CloudWatch Logs knows, such as 7, 30, 90 or 365."
  }
}

variable "secrets_kms_key_arn" {
  description = "The customer managed key that the secrets are encrypted with. Null: AWS's own keys (`alias/aws/ssm`, `alias/aws/secretsmanager`), which need no right of their own."
  type        = string
  default     = null

  validation {
    condition     = var.secrets_kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.secrets_kms_key_arn))
    error_message = "Must be a key's ARN: arn:aws:kms:REGION:ACCOUNT:key/ID."
  }
}

variable "deletion_protection" {
  description = "Whether the table may not be deleted. Switch it off, apply, and only then destroy."
  type        = bool
  default     = true
}
