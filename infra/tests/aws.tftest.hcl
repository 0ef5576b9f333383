# What is made on AWS, and for whom.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { region = "us-east-1" }
  }
  mock_resource "aws_dynamodb_table" {
    defaults = { arn = "arn:aws:dynamodb:us-east-1:123456789012:table/mayfly-prod" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:us-east-1:123456789012:log-group:x" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:us-east-1:123456789012:mayfly-prod-dead-letters" }
  }
  mock_resource "aws_lambda_function_url" {
    defaults = { function_url = "https://abc.lambda-url.us-east-1.on.aws/" }
  }
  mock_resource "aws_apigatewayv2_api" {
    defaults = { api_endpoint = "https://abc.execute-api.us-east-1.amazonaws.com" }
  }
}
mock_provider "google" {}
mock_provider "archive" {}

variables {
  deployment = "prod"
  # Any file: with mocked providers nothing is uploaded.
  zips = { webhook = "main.tf", sweeper = "main.tf" }
  github = {
    webhook_secrets = [{ ssm = "/mayfly/webhook-secret" }, { secretsmanager = "mayfly/old" }]
    app             = { client_id = "Iv23liEXAMPLE", private_key = { ssm = "/mayfly/app-key" } }
  }
  proxmox = {
    lab = {
      url          = "https://pve.example.com:8006"
      token_id     = "mayfly@pve!mayfly"
      token_secret = { secretsmanager = "arn:aws:secretsmanager:us-east-1:123456789012:secret:lab-a1b2c3" }
      vmid_range   = [9000, 9999]
    }
  }
  pools = [{
    name         = "linux"
    labels       = ["self-hosted", "Linux"]
    organization = "my-organization"
    max_runners  = 4
    placements   = [{ provider = "lab", template = 8000 }]
  }]
}

run "without_google" {
  assert {
    condition     = length(module.gcp) == 0 && output.gcp_service_account == null && !contains(keys(local.environment), "GOOGLE_APPLICATION_CREDENTIALS")
    error_message = "Something of Google Cloud is made although there is none."
  }

  assert {
    condition     = !contains(keys(local.environment), "RUST_LOG")
    error_message = "What is logged is not left to the functions."
  }

  assert {
    condition     = output.webhook_url == "https://abc.lambda-url.us-east-1.on.aws/webhook" && output.health_url == "https://abc.lambda-url.us-east-1.on.aws/healthz"
    error_message = "The addresses are ${output.webhook_url} and ${output.health_url}."
  }
}

run "what_is_logged" {
  command = plan

  variables {
    log_level = "warn,mayfly_service=debug,webhook=debug,sweeper=debug"
  }

  assert {
    condition     = local.environment == { MAYFLY_CONFIG = "/opt/mayfly.toml", RUST_LOG = "warn,mayfly_service=debug,webhook=debug,sweeper=debug" }
    error_message = "The functions' environment is ${jsonencode(local.environment)}."
  }
}

run "each_function_reads_its_own_secrets" {
  command = plan

  variables {
    page = { token = { ssm = "/mayfly/page-token" }, currency = "EUR" }
  }

  override_resource {
    target          = module.table.aws_dynamodb_table.this
    override_during = plan
    values          = { arn = "arn:aws:dynamodb:us-east-1:123456789012:table/mayfly-prod" }
  }
  override_resource {
    target          = module.schedule.aws_sqs_queue.dead_letters
    override_during = plan
    values          = { arn = "arn:aws:sqs:us-east-1:123456789012:mayfly-prod-dead-letters" }
  }

  assert {
    condition = toset(flatten(local.statements.webhook[*].Resource)) == toset([
      "arn:aws:dynamodb:us-east-1:123456789012:table/mayfly-prod",
      "arn:aws:ssm:us-east-1:123456789012:parameter/mayfly/webhook-secret",
      "arn:aws:ssm:us-east-1:123456789012:parameter/mayfly/app-key",
      "arn:aws:ssm:us-east-1:123456789012:parameter/mayfly/page-token",
      "arn:aws:secretsmanager:us-east-1:123456789012:secret:mayfly/old-??????",
      "arn:aws:secretsmanager:us-east-1:123456789012:secret:lab-a1b2c3",
    ])
    error_message = "The webhook may use ${jsonencode(local.statements.webhook)}."
  }

  assert {
    condition = toset(flatten(local.statements.sweeper[*].Resource)) == toset([
      "arn:aws:dynamodb:us-east-1:123456789012:table/mayfly-prod",
      "arn:aws:ssm:us-east-1:123456789012:parameter/mayfly/app-key",
      "arn:aws:secretsmanager:us-east-1:123456789012:secret:lab-a1b2c3",
      "arn:aws:sqs:us-east-1:123456789012:mayfly-prod-dead-letters",
    ])
    error_message = "The sweeper may use ${jsonencode(local.statements.sweeper)}."
  }
}

run "guests_live_as_long_as_their_pools" {
  command = plan

  variables {
    gcp = {
      project  = "my-project"
      machines = { shared = { image = "i", machine_type = "e2-standard-4" }, short = { image = "i", machine_type = "e2-standard-4" }, unused = { image = "i", machine_type = "e2-standard-4" } }
    }
    pools = [
      for name, lifetime in { a = "90m", b = "1d", c = "1500ms" } : {
        name                    = name
        labels                  = [name]
        organization            = "my-organization"
        max_runners             = 1
        max_lifetime            = lifetime
        placements              = [{ provider = "gcp", machine = name == "c" ? "short" : "shared", zones = ["us-east1-c"] }]
      }
    ]
  }

  assert {
    condition     = local.lifetimes == { shared = 86400, short = 2, unused = 21600 }
    error_message = "Guests end after ${jsonencode(local.lifetimes)} seconds."
  }
}

run "http_api" {
  variables {
    endpoint = "http_api"
  }

  assert {
    condition     = output.webhook_url == "https://abc.execute-api.us-east-1.amazonaws.com/webhook"
    error_message = "The address is ${output.webhook_url}."
  }
}

run "endpoint_of_each_kind" {
  module {
    source = "./modules/endpoint"
  }
  variables {
    name                = "mayfly-prod"
    kind                = "function_url"
    page                = false
    function_name       = "mayfly-prod-webhook"
    function_invoke_arn = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/x/invocations"
    log_retention_days  = 30
  }

  # Since October 2025 a URL with one of these two alone answers 403.
  assert {
    condition     = aws_lambda_permission.url[0].action == "lambda:InvokeFunctionUrl" && aws_lambda_permission.url[0].function_url_auth_type == "NONE" && aws_lambda_permission.url_invoke[0].action == "lambda:InvokeFunction" && aws_lambda_permission.url_invoke[0].invoked_via_function_url
    error_message = "A Function URL needs both permissions."
  }

  assert {
    condition     = length(aws_apigatewayv2_api.this) == 0 && length(aws_lambda_permission.api) == 0
    error_message = "An API is made beside the URL."
  }
}

run "endpoint_of_the_other_kind" {
  module {
    source = "./modules/endpoint"
  }
  variables {
    name                = "mayfly-prod"
    kind                = "http_api"
    page                = true
    function_name       = "mayfly-prod-webhook"
    function_invoke_arn = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/x/invocations"
    log_retention_days  = 30
  }

  # The function reads events of this format only.
  assert {
    condition     = aws_apigatewayv2_integration.this[0].payload_format_version == "2.0"
    error_message = "The function does not understand what the API sends."
  }

  assert {
    condition     = toset(values(aws_apigatewayv2_route.this)[*].route_key) == toset(["POST /webhook", "GET /healthz", "GET /", "POST /"]) && aws_apigatewayv2_stage.this[0].name == "$default"
    error_message = "The API has other paths than the function."
  }

  assert {
    condition     = length(aws_lambda_function_url.this) == 0 && length(aws_lambda_permission.url) + length(aws_lambda_permission.url_invoke) == 0
    error_message = "The function can be called past the API."
  }
}

run "every_minute" {
  module {
    source = "./modules/schedule"
  }
  variables {
    name          = "mayfly-prod"
    account       = "123456789012"
    function_name = "mayfly-prod-sweeper"
    function_arn  = "arn:aws:lambda:us-east-1:123456789012:function:mayfly-prod-sweeper"
  }

  assert {
    condition     = aws_scheduler_schedule.sweep.schedule_expression == "rate(1 minute)" && aws_scheduler_schedule.sweep.target[0].arn == "arn:aws:lambda:us-east-1:123456789012:function:mayfly-prod-sweeper"
    error_message = "The sweeper is not called every minute."
  }

  assert {
    condition     = aws_scheduler_schedule.sweep.target[0].dead_letter_config[0].arn == aws_sqs_queue.dead_letters.arn && aws_lambda_function_event_invoke_config.sweep.destination_config[0].on_failure[0].destination == aws_sqs_queue.dead_letters.arn
    error_message = "A sweep that fails leaves no letter."
  }

  # Somebody else's schedule could call the sweeper with this role otherwise.
  assert {
    condition     = jsondecode(aws_iam_role.scheduler.assume_role_policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "123456789012"
    error_message = "Any account's schedules may use the role."
  }
}

run "alarms_that_a_small_pool_can_raise" {
  command = plan
  module {
    source = "./modules/monitoring"
  }
  variables {
    name             = "mayfly-prod"
    functions        = { webhook = "mayfly-prod-webhook", sweeper = "mayfly-prod-sweeper" }
    log_groups       = { webhook = "/aws/lambda/mayfly-prod-webhook", sweeper = "/aws/lambda/mayfly-prod-sweeper" }
    table            = "mayfly-prod"
    dead_letters     = "mayfly-prod-dead-letters"
    actions          = []
    job_wait_seconds = 900
    deployment       = "prod"
    metrics          = false
  }

  assert {
    condition     = length(aws_cloudwatch_dashboard.metrics) == 0 && output.metrics_dashboard_name == null
    error_message = "A dashboard is made for metrics that nobody writes."
  }

  # One job whose VM never registers fails once in each boot_timeout, which is up to 15 min: that is one in a period.
  assert {
    condition = alltrue([
      for alarm in [for name in ["boots-fail", "signatures-refused"] : aws_cloudwatch_metric_alarm.log[name]] :
      alarm.threshold == 1 && alarm.period == 900 && alarm.evaluation_periods == 4 && alarm.datapoints_to_alarm == 2
    ])
    error_message = "One failure in each quarter of an hour raises no alarm."
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.log : alarm.datapoints_to_alarm <= alarm.evaluation_periods])
    error_message = "An alarm wants more bad periods than it looks at."
  }
}

run "metrics_where_they_are_asked_for" {
  variables {
    cloudwatch_metrics = true
  }

  assert {
    condition     = output.metrics_dashboard_name == "mayfly-prod-metrics" && strcontains(output.mayfly_toml, "[metrics]\ncloudwatch = true\n")
    error_message = "The functions write none, or nothing draws them: ${output.mayfly_toml}"
  }
}

run "a_dashboard_of_this_deployments_metrics" {
  command = plan
  module {
    source = "./modules/monitoring"
  }
  variables {
    name             = "mayfly-prod"
    functions        = { webhook = "mayfly-prod-webhook", sweeper = "mayfly-prod-sweeper" }
    log_groups       = { webhook = "/aws/lambda/mayfly-prod-webhook", sweeper = "/aws/lambda/mayfly-prod-sweeper" }
    table            = "mayfly-prod"
    dead_letters     = "mayfly-prod-dead-letters"
    actions          = []
    job_wait_seconds = 900
    deployment       = "prod"
    metrics          = true
  }

  assert {
    condition = alltrue(flatten([
      for widget in jsondecode(aws_cloudwatch_dashboard.metrics[0].dashboard_body).widgets : [
        widget.properties.region == "us-east-1",
        [for metric in widget.properties.metrics : strcontains(jsonencode(metric), "prod")],
      ]
    ]))
    error_message = "A widget draws another deployment's metrics, or none."
  }

  assert {
    condition     = strcontains(aws_cloudwatch_dashboard.metrics[0].dashboard_body, "\"$${PROP('Dim.Pool')} p50\"")
    error_message = "CloudWatch's own placeholders are not left to it."
  }
}

run "in_a_vpc" {
  module {
    source = "./modules/function"
  }
  variables {
    name                 = "mayfly-prod-webhook"
    description          = "test"
    zip                  = "main.tf"
    timeout_seconds      = 300
    reserved_concurrency = -1
    layer_arn            = "arn:aws:lambda:us-east-1:123456789012:layer:x:1"
    environment          = {}
    statements           = []
    kms_key_arn          = "arn:aws:kms:us-east-1:123456789012:key/1"
    vpc                  = { subnet_ids = ["subnet-1"], security_group_ids = ["sg-1"] }
    log_retention_days   = 30
  }

  assert {
    condition     = [for statement in local.statements : statement.Sid] == ["Logs", "Network", "NetworkNotByCode", "Key"]
    error_message = "The role has other statements: ${jsonencode(local.statements)}."
  }

  assert {
    condition     = aws_lambda_function.this.architectures == tolist(["arm64"]) && aws_lambda_function.this.runtime == "provided.al2023" && aws_lambda_function.this.memory_size == 128
    error_message = "The function is not what the zips are built for."
  }
}

run "no_path_of_a_page_without_one" {
  module {
    source = "./modules/endpoint"
  }
  variables {
    name                = "mayfly-prod"
    kind                = "http_api"
    page                = false
    function_name       = "mayfly-prod-webhook"
    function_invoke_arn = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/x/invocations"
    log_retention_days  = 30
  }

  assert {
    condition     = toset(values(aws_apigatewayv2_route.this)[*].route_key) == toset(["POST /webhook", "GET /healthz"])
    error_message = "The API has paths of a page that there is not."
  }
}
