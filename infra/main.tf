data "aws_caller_identity" "here" {}
data "aws_partition" "here" {}
data "aws_region" "here" {}

locals {
  name    = "mayfly-${var.deployment}"
  account = data.aws_caller_identity.here.account_id
  # arn:aws:SERVICE:REGION:ACCOUNT, with the service left open.
  arn = "arn:${data.aws_partition.here.partition}:%s:${data.aws_region.here.region}:${local.account}"

  # What the code calls, and so what is granted; `test/iam.py` derives the same lists from the code and compares. A
  # transaction needs the rights of the writes in it. The webhook never reads in batches; the sweep does.
  calls = {
    table = {
      webhook = ["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"]
      sweeper = ["dynamodb:BatchGetItem", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"]
    }
    ssm            = ["ssm:GetParameter"]
    secretsmanager = ["secretsmanager:GetSecretValue"]
    dead_letters   = ["sqs:SendMessage"]
  }

  # Only the webhook checks signatures and shows the page; both log in to GitHub and to Proxmox.
  login = concat(
    var.github.app[*].private_key,
    var.github.token[*],
    [for name in sort(keys(var.proxmox)) : var.proxmox[name].token_secret],
  )
  secrets = {
    webhook = concat(var.github.webhook_secrets, local.login, var.page[*].token)
    sweeper = local.login
  }
  parameters = {
    for function, secrets in local.secrets : function => distinct([
      for secret in secrets : "${format(local.arn, "ssm")}:parameter/${trimprefix(secret.ssm, "/")}" if secret.ssm != null
    ])
  }
  # A secret's ARN ends in six characters of AWS's own choice, which its name does not have.
  stored = {
    for function, secrets in local.secrets : function => distinct([
      for secret in secrets :
      startswith(secret.secretsmanager, "arn:") ? secret.secretsmanager : "${format(local.arn, "secretsmanager")}:secret:${secret.secretsmanager}-??????"
      if secret.secretsmanager != null
    ])
  }

  statements = {
    for function in ["webhook", "sweeper"] : function => concat(
      [{ Sid = "Table", Effect = "Allow", Action = local.calls.table[function], Resource = [module.table.arn] }],
      [for arns in [local.parameters[function]] : { Sid = "Parameters", Effect = "Allow", Action = local.calls.ssm, Resource = arns } if length(arns) > 0],
      [for arns in [local.stored[function]] : { Sid = "Secrets", Effect = "Allow", Action = local.calls.secretsmanager, Resource = arns } if length(arns) > 0],
      # Lambda itself writes down there that a sweep failed.
      [for queue in [module.schedule.dead_letter_queue_arn] : { Sid = "DeadLetters", Effect = "Allow", Action = local.calls.dead_letters, Resource = [queue] } if function == "sweeper"],
    )
  }

  # Where the layer is unpacked.
  opt = "/opt"
  environment = merge(
    { MAYFLY_CONFIG = "${local.opt}/mayfly.toml" },
    var.gcp == null ? {} : { GOOGLE_APPLICATION_CREDENTIALS = "${local.opt}/gcp-credentials.json" },
    var.log_level == null ? {} : { RUST_LOG = var.log_level },
  )

  # The pools as mayfly.toml has them: a machine is the template that was made for it.
  pools = [
    for pool in var.pools : merge(pool, {
      placements = [
        for placement in pool.placements : {
          provider          = placement.provider
          instance_template = placement.machine == null ? placement.instance_template : module.gcp[0].templates[placement.machine]
          zones             = placement.zones
          gpu_type          = placement.provider != "gcp" ? null : coalesce(placement.machine == null ? placement.gpu_type : var.gcp.machines[placement.machine].gpu, "none")
          spot              = placement.spot
          template          = placement.template
          full_clone        = placement.full_clone
          storage           = placement.storage
          pool              = placement.pool
          price_per_hour    = placement.price_per_hour
        }
      ]
    })
  ]
  # A machine's guests power themselves off after the longest lifetime of the pools that use it. Google does so too, by the pool's own.
  seconds = { ms = 0.001, s = 1, m = 60, h = 3600, d = 86400 }
  used_for = {
    for machine in keys(try(var.gcp.machines, {})) : machine => [
      for pool in var.pools : ceil(tonumber(regex("^[0-9]+", pool.max_lifetime)) * local.seconds[regex("[a-z]+$", pool.max_lifetime)])
      if contains(pool.placements[*].machine, machine)
    ]
  }
  lifetimes = { for machine, seconds in local.used_for : machine => length(seconds) > 0 ? max(seconds...) : 6 * local.seconds.h }
  zones     = flatten([for pool in var.pools : [for placement in pool.placements : placement.zones if placement.provider == "gcp"]])
}

module "table" {
  source = "./modules/table"

  name                = local.name
  deletion_protection = var.deletion_protection
}

module "gcp" {
  source = "./modules/gcp"
  count  = var.gcp == null ? 0 : 1

  deployment  = var.deployment
  project     = var.gcp.project
  machines    = var.gcp.machines
  lifetimes   = local.lifetimes
  regions     = distinct([for zone in local.zones : join("-", slice(split("-", zone), 0, 2))])
  aws_account = local.account
  aws_roles   = { webhook = module.webhook.role_name, sweeper = module.sweeper.role_name }
}

module "config" {
  source = "./modules/config"

  name          = local.name
  deployment    = var.deployment
  table         = module.table.name
  github        = var.github
  gcp           = var.gcp == null ? null : { project = var.gcp.project, credentials = module.gcp[0].credentials }
  proxmox       = var.proxmox
  pools         = local.pools
  timing        = var.timing
  notifications = var.notifications
  page          = var.page
  cloudwatch    = var.cloudwatch_metrics
  folder        = local.opt
}

module "webhook" {
  source = "./modules/function"

  name        = "${local.name}-webhook"
  description = "Mayfly ${var.deployment}: GitHub's events"
  zip         = var.zips.webhook
  # The answer leaves at once; the VM is made after it, in the same invocation.
  timeout_seconds      = 300
  reserved_concurrency = var.reserved_concurrency.webhook
  layer_arn            = module.config.layer_arn
  environment          = local.environment
  statements           = local.statements.webhook
  kms_key_arn          = var.secrets_kms_key_arn
  vpc                  = var.vpc
  log_retention_days   = var.log_retention_days
}

module "sweeper" {
  source = "./modules/function"

  name                 = "${local.name}-sweeper"
  description          = "Mayfly ${var.deployment}: sweeps once a minute"
  zip                  = var.zips.sweeper
  timeout_seconds      = 60
  reserved_concurrency = var.reserved_concurrency.sweeper
  layer_arn            = module.config.layer_arn
  environment          = local.environment
  statements           = local.statements.sweeper
  kms_key_arn          = var.secrets_kms_key_arn
  vpc                  = var.vpc
  log_retention_days   = var.log_retention_days
}

module "endpoint" {
  source = "./modules/endpoint"

  name                = local.name
  kind                = var.endpoint
  page                = var.page != null
  function_name       = module.webhook.function_name
  function_invoke_arn = module.webhook.invoke_arn
  log_retention_days  = var.log_retention_days
}

module "schedule" {
  source = "./modules/schedule"

  name          = local.name
  account       = local.account
  function_name = module.sweeper.function_name
  function_arn  = module.sweeper.function_arn
}

module "monitoring" {
  source = "./modules/monitoring"

  name             = local.name
  functions        = { webhook = module.webhook.function_name, sweeper = module.sweeper.function_name }
  log_groups       = { webhook = module.webhook.log_group_name, sweeper = module.sweeper.log_group_name }
  table            = module.table.name
  dead_letters     = module.schedule.dead_letter_queue_name
  actions          = var.alarms.actions
  job_wait_seconds = var.alarms.job_wait_seconds
  deployment       = var.deployment
  metrics          = var.cloudwatch_metrics
}
