locals {
  is_url = var.kind == "function_url"
  is_api = var.kind == "http_api"
}

# --- Function URL ---

resource "aws_lambda_function_url" "this" {
  #checkov:skip=CKV_AWS_258:GitHub cannot sign by AWS's rules. The function checks GitHub's own signature before it reads anything of the body.
  count = local.is_url ? 1 : 0

  function_name      = var.function_name
  authorization_type = "NONE"
}

# Since October 2025 two rights are needed: to call the URL, and to call the function by it. AWS makes neither by itself when the URL is
# made through its API.
resource "aws_lambda_permission" "url" {
  #checkov:skip=CKV_AWS_301:The URL is public on purpose, see above.
  count = local.is_url ? 1 : 0

  statement_id           = "MayflyUrl"
  function_name          = var.function_name
  principal              = "*"
  action                 = "lambda:InvokeFunctionUrl"
  function_url_auth_type = "NONE"
}

resource "aws_lambda_permission" "url_invoke" {
  #checkov:skip=CKV_AWS_301:Only by way of the URL, which is public on purpose.
  count = local.is_url ? 1 : 0

  statement_id             = "MayflyUrlInvoke"
  function_name            = var.function_name
  principal                = "*"
  action                   = "lambda:InvokeFunction"
  invoked_via_function_url = true
}

# --- HTTP API ---

resource "aws_apigatewayv2_api" "this" {
  count = local.is_api ? 1 : 0

  name          = var.name
  description   = "GitHub's events for ${var.name}"
  protocol_type = "HTTP"
}

resource "aws_apigatewayv2_integration" "this" {
  count = local.is_api ? 1 : 0

  api_id                 = aws_apigatewayv2_api.this[0].id
  integration_type       = "AWS_PROXY"
  integration_method     = "POST"
  integration_uri        = var.function_invoke_arn
  payload_format_version = "2.0"
  timeout_milliseconds   = 10000 # GitHub waits no longer for an answer.
}

resource "aws_apigatewayv2_route" "this" {
  #checkov:skip=CKV_AWS_309:GitHub knows none of these ways to authorize; the function checks GitHub's own signature.
  for_each = local.is_api ? toset(concat(["POST /webhook", "GET /healthz"], var.page ? ["GET /", "POST /"] : [])) : []

  api_id    = aws_apigatewayv2_api.this[0].id
  route_key = each.value
  target    = "integrations/${aws_apigatewayv2_integration.this[0].id}"
}

resource "aws_apigatewayv2_stage" "this" {
  count = local.is_api ? 1 : 0

  api_id      = aws_apigatewayv2_api.this[0].id
  name        = "$default"
  auto_deploy = true

  # A throttled delivery counts as failed, and is asked for again minutes later. GitHub sends a burst when a matrix starts.
  default_route_settings {
    throttling_burst_limit = 1000
    throttling_rate_limit  = 500
  }

  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.this[0].arn
    format = jsonencode({
      at       = "$context.requestTime"
      id       = "$context.requestId"
      ip       = "$context.identity.sourceIp"
      route    = "$context.routeKey"
      status   = "$context.status"
      error    = "$context.error.message"
      took_ms  = "$context.responseLatency"
      function = "$context.integrationErrorMessage"
    })
  }
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158:CloudWatch's own encryption: who called and when, and no secret.
  #checkov:skip=CKV_AWS_338:How long logs are kept is an input.
  count = local.is_api ? 1 : 0

  name              = "/aws/apigateway/${var.name}"
  retention_in_days = var.log_retention_days
}

resource "aws_lambda_permission" "api" {
  count = local.is_api ? 1 : 0

  statement_id  = "MayflyApi"
  function_name = var.function_name
  principal     = "apigateway.amazonaws.com"
  action        = "lambda:InvokeFunction"
  source_arn    = "${aws_apigatewayv2_api.this[0].execution_arn}/*"
}
