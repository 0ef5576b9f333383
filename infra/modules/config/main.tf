# mayfly.toml, and the layer that brings it to both functions: a new configuration is a new layer version, and the zips stay as they were built.
#
# What JSON calls a string, number, boolean or list of these, TOML writes the same way, so `jsonencode` quotes for both.

locals {
  # A secret's place, as an inline table. The order is that of the contract.
  places = {
    webhook_secrets = [for secret in var.github.webhook_secrets : "{ ${join(", ", [for place, name in secret : "${place} = ${jsonencode(name)}" if name != null])} }"]
    app             = [for app in var.github.app[*] : join(", ", [for place, name in app.private_key : "${place} = ${jsonencode(name)}" if name != null])]
    token           = [for token in var.github.token[*] : join(", ", [for place, name in token : "${place} = ${jsonencode(name)}" if name != null])]
    page            = [for page in var.page[*] : join(", ", [for place, name in page.token : "${place} = ${jsonencode(name)}" if name != null])]
    proxmox         = { for name, cluster in var.proxmox : name => join(", ", [for place, name in cluster.token_secret : "${place} = ${jsonencode(name)}" if name != null]) }
  }

  github = merge(
    {
      api_url         = jsonencode(var.github.api_url)
      webhook_secrets = "[${join(", ", local.places.webhook_secrets)}]"
    },
    { for app in var.github.app[*] : "app" => "{ ${join(", ", concat(
      ["client_id = ${jsonencode(app.client_id)}", "private_key = { ${local.places.app[0]} }"],
      [for id in app.installation_id[*] : "installation_id = ${id}"],
    ))} }" },
    { for place in local.places.token : "token" => "{ ${place} }" },
    { for url in var.github.webhook_url[*] : "webhook_url" => jsonencode(url) },
  )

  gcp = { for gcp in var.gcp[*] : "gcp" => { kind = jsonencode("gcp"), project = jsonencode(gcp.project) } }
  proxmox = {
    for name, cluster in var.proxmox : name => {
      for key, value in {
        kind         = jsonencode("proxmox")
        url          = jsonencode(cluster.url)
        token_id     = jsonencode(cluster.token_id)
        token_secret = "{ ${local.places.proxmox[name]} }"
        vmid_range   = jsonencode(cluster.vmid_range)
        nodes        = cluster.nodes == null ? null : jsonencode(cluster.nodes)
        ca_file      = cluster.ca == null ? null : jsonencode("${var.folder}/${local.ca_files[name]}")
        fingerprint  = cluster.fingerprint == null ? null : jsonencode(cluster.fingerprint)
      } : key => value if value != null
    }
  }
  ca_files = { for name, cluster in var.proxmox : name => "proxmox-${name}-ca.pem" if cluster.ca != null }

  toml = templatefile("${path.module}/mayfly.toml.tftpl", {
    deployment     = var.deployment
    table          = var.table
    github         = local.github
    providers      = merge(local.gcp, local.proxmox)
    pools          = var.pools
    pool_keys      = ["name", "labels", "organization", "repository", "enterprise", "repositories", "visibility", "allow_forks", "runner_group", "platform", "max_runners", "min_runners", "boot_timeout", "idle_timeout", "max_lifetime"]
    placement_keys = ["provider", "instance_template", "zones", "gpu_type", "spot", "template", "full_clone", "storage", "pool", "price_per_hour"]
    timing         = { for key, value in var.timing : key => value if value != null }
    page = merge(
      { for place in local.places.page : "token" => "{ ${place} }" },
      { for page in var.page[*] : "currency" => jsonencode(page.currency) if page.currency != null },
    )
    notifications = { for key, value in var.notifications : key => value if value != null }
    cloudwatch    = var.cloudwatch
  })

  files = merge(
    { "mayfly.toml" = local.toml },
    { for gcp in var.gcp[*] : "gcp-credentials.json" => gcp.credentials },
    { for name, file in local.ca_files : file => var.proxmox[name].ca },
  )
}

data "archive_file" "layer" {
  type             = "zip"
  output_path      = "${path.root}/.terraform/${var.name}-config.zip"
  output_file_mode = "0644" # The same zip wherever it is made, and readable for the function's user.

  dynamic "source" {
    for_each = local.files
    content {
      filename = source.key
      content  = source.value
    }
  }
}

resource "aws_lambda_layer_version" "this" {
  layer_name               = "${var.name}-config"
  description              = "mayfly.toml and what it names"
  filename                 = data.archive_file.layer.output_path
  source_code_hash         = data.archive_file.layer.output_base64sha256
  compatible_runtimes      = ["provided.al2023"]
  compatible_architectures = ["arm64"]

  # The functions move to the new version before the old one goes.
  lifecycle {
    create_before_destroy = true
  }
}
