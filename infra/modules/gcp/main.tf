locals {
  name = "mayfly-${var.deployment}"

  # What each call of the code needs (test/iam.py compares this with the calls in the code). An insert from a template needs
  # more than its own right: it makes a disk from an image, and sets metadata and labels.
  permissions = {
    # On VMs and disks whose name is ours.
    ours = [
      "compute.disks.create",
      "compute.instances.create",
      "compute.instances.delete",
      "compute.instances.get",
      "compute.instances.setLabels",
      "compute.instances.setMetadata",
    ]
    # To look, and to make a VM from a template and an image: of these the name says nothing.
    look = [
      "compute.images.useReadOnly",
      "compute.instanceTemplates.get",
      "compute.instanceTemplates.useReadOnly",
      "compute.instances.list",
      "compute.regions.get",
      "compute.zoneOperations.get",
    ]
    # On the subnetworks made here.
    network = ["compute.subnetworks.use"]
  }
  titles = {
    ours    = "Mayfly ${var.deployment}: its own VMs"
    look    = "Mayfly ${var.deployment}: to look"
    network = "Mayfly ${var.deployment}: its network"
  }

  # How many L4s a G2 brings along: one, where its type is not here.
  l4s = { g2-standard-24 = 2, g2-standard-48 = 4, g2-standard-96 = 8 }
  # What a template must ask for. A G2 has its L4s without being asked, but not the license to draw with them (vWS).
  accelerators = {
    for name, machine in var.machines : name => {
      type  = machine.gpu
      count = startswith(machine.machine_type, "g2-") ? lookup(local.l4s, machine.machine_type, 1) : machine.gpu_count
    } if machine.gpu != null && (!startswith(machine.machine_type, "g2-") || endswith(coalesce(machine.gpu, "-"), "-vws"))
  }

  # A VM of this deployment is called `<deployment>-…`, and its disk after it; a deployment's name has no hyphen, so no other begins alike.
  is_ours = join(" || ", [
    for kind, folder in { Instance = "instances", Disk = "disks" } :
    "(resource.type == \"compute.googleapis.com/${kind}\" && resource.name.extract(\"/${folder}/{name}\").startsWith(\"${var.deployment}-\"))"
  ])
}

resource "google_project_service" "this" {
  for_each = toset(["cloudresourcemanager.googleapis.com", "compute.googleapis.com", "iam.googleapis.com", "iamcredentials.googleapis.com", "sts.googleapis.com"])

  project            = var.project
  service            = each.value
  disable_on_destroy = false # Others may use it.
}

# --- Who: the functions' AWS roles, without any key ---

resource "google_iam_workload_identity_pool" "this" {
  project                   = var.project
  workload_identity_pool_id = local.name
  display_name              = local.name
  description               = "Mayfly's functions on AWS"

  depends_on = [google_project_service.this]
}

resource "google_iam_workload_identity_pool_provider" "aws" {
  #checkov:skip=CKV_GCP_125:It is about trust in GitHub's tokens; this trusts one AWS account, and in it two roles.
  project                            = var.project
  workload_identity_pool_id          = google_iam_workload_identity_pool.this.workload_identity_pool_id
  workload_identity_pool_provider_id = "aws-lambda" # 4 to 32 characters
  display_name                       = "AWS account ${var.aws_account}"

  # `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`
  attribute_mapping = {
    "google.subject"     = "assertion.arn"
    "attribute.aws_role" = "assertion.arn.extract('assumed-role/{role}/')"
  }
  attribute_condition = "attribute.aws_role in [${join(", ", [for role in values(var.aws_roles) : "'${role}'"])}]"

  aws {
    account_id = var.aws_account
  }
}

resource "google_service_account" "this" {
  project      = var.project
  account_id   = local.name
  display_name = local.name
  description  = "Mayfly's functions on AWS: makes and deletes its own VMs"

  depends_on = [google_project_service.this]
}

resource "google_service_account_iam_member" "this" {
  for_each = var.aws_roles

  service_account_id = google_service_account.this.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.this.name}/attribute.aws_role/${each.value}"
}

# --- What: exactly the calls that are made ---

resource "google_project_iam_custom_role" "this" {
  for_each = local.permissions

  project     = var.project
  role_id     = "mayfly_${var.deployment}_${each.key}"
  title       = local.titles[each.key]
  permissions = each.value

  depends_on = [google_project_service.this]
}

resource "google_project_iam_member" "ours" {
  project = var.project
  role    = google_project_iam_custom_role.this["ours"].name
  member  = google_service_account.this.member

  condition {
    title       = "${local.name}-vms"
    description = "Only VMs, and their disks, whose names begin with ${var.deployment}-"
    expression  = local.is_ours
  }
}

resource "google_project_iam_member" "look" {
  project = var.project
  role    = google_project_iam_custom_role.this["look"].name
  member  = google_service_account.this.member
}

resource "google_compute_subnetwork_iam_member" "this" {
  for_each = toset(var.regions)

  project    = var.project
  region     = each.value
  subnetwork = google_compute_network.this.name # An automatic subnetwork is called as its network.
  role       = google_project_iam_custom_role.this["network"].name
  member     = google_service_account.this.member
}

# --- Where: a network that nobody gets into ---

# With a subnetwork in each region: a template that names a subnetwork could be used in that region only.
resource "google_compute_network" "this" {
  project                 = var.project
  name                    = local.name
  description             = "Mayfly's VMs: a way out, none in"
  auto_create_subnetworks = true

  depends_on = [google_project_service.this]
}

# Google lets nothing in where no rule says so; this says it where a person looks for it, before any other rule.
resource "google_compute_firewall" "nothing_in" {
  project       = var.project
  name          = "${local.name}-nothing-in"
  description   = "Runners are asked for nothing, not by each other either"
  network       = google_compute_network.this.name
  direction     = "INGRESS"
  priority      = 0
  source_ranges = ["0.0.0.0/0"]

  deny {
    protocol = "all"
  }
}

resource "google_compute_router" "this" {
  for_each = toset(var.regions)

  project = var.project
  name    = local.name
  region  = each.value
  network = google_compute_network.this.name
}

# VMs have no address of their own. Google bills this by the VM and hour, and by what goes through.
resource "google_compute_router_nat" "this" {
  for_each = google_compute_router.this

  project                            = var.project
  name                               = local.name
  region                             = each.value.region
  router                             = each.value.name
  nat_ip_allocate_option             = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat = "ALL_SUBNETWORKS_ALL_IP_RANGES"
  min_ports_per_vm                   = 1024 # Builds fetch from many places at once; the 64 of the default run out.

  log_config {
    enable = true
    filter = "ERRORS_ONLY"
  }
}

# --- With what: one template for each machine ---

# Mayfly adds what is a VM's own: name, labels, `jit-config`, `expect-gpu`, and its end (`maxRunDuration`). No service
# account: a job has no rights in the project.
resource "google_compute_instance_template" "this" {
  #checkov:skip=CKV_GCP_32:Project-wide keys are blocked below; checkov does not see through merge().
  for_each = var.machines

  project      = var.project
  name_prefix  = "${local.name}-${each.key}-"
  description  = "Mayfly's runners ${each.key}"
  machine_type = each.value.machine_type

  metadata = merge(
    {
      block-project-ssh-keys = "true"
      enable-oslogin         = "true"
      serial-port-enable     = "false"
      max-lifetime           = tostring(var.lifetimes[each.key])
    },
    each.value.metadata,
  )

  disk {
    source_image = each.value.image
    boot         = true
    auto_delete  = true
    disk_size_gb = each.value.disk_gb
    disk_type    = each.value.disk_type
  }

  # No access_config: no address on the internet.
  network_interface {
    network = google_compute_network.this.id
  }

  dynamic "guest_accelerator" {
    for_each = [for name, accelerator in local.accelerators : accelerator if name == each.key]
    content {
      type  = guest_accelerator.value.type
      count = guest_accelerator.value.count
    }
  }

  # A VM that Google restarts would find its JIT config used up. One with a GPU cannot be moved while it runs, and the families
  # A2 and later and G2 and later have them always.
  scheduling {
    automatic_restart   = false
    on_host_maintenance = each.value.gpu == null && !can(regex("^[ag][2-9]", each.value.machine_type)) ? "MIGRATE" : "TERMINATE"
  }

  shielded_instance_config {
    enable_secure_boot          = each.value.secure_boot
    enable_vtpm                 = true
    enable_integrity_monitoring = true
  }

  # The functions move to the new template before the old one goes.
  lifecycle {
    create_before_destroy = true
  }
}
