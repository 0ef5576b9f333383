locals {
  # What Lambda itself does with the function's role, beside what the code calls: writes the logs.
  platform = {
    logs = ["logs:CreateLogStream", "logs:PutLogEvents"]
    # In a VPC it makes and removes network interfaces; EC2 knows no narrower resource for most of these.
    vpc = [
      "ec2:AssignPrivateIpAddresses",
      "ec2:CreateNetworkInterface",
      "ec2:DeleteNetworkInterface",
      "ec2:DescribeNetworkInterfaces",
      "ec2:DescribeSubnets",
      "ec2:UnassignPrivateIpAddresses",
    ]
    kms = ["kms:Decrypt"]
  }

  vpc_statements = [
    { Sid = "Network", Effect = "Allow", Action = local.platform.vpc, Resource = "*" },
    # Lambda may, the function's own code may not.
    {
      Sid       = "NetworkNotByCode"
      Effect    = "Deny"
      Action    = local.platform.vpc
      Resource  = "*"
      Condition = { ArnEquals = { "lambda:SourceFunctionArn" = local.arn } }
    },
  ]
  # Only to read what Systems Manager and Secrets Manager keep encrypted.
  key_statement = {
    Sid       = "Key"
    Effect    = "Allow"
    Action    = local.platform.kms
    Resource  = var.kms_key_arn
    Condition = { StringLike = { "kms:ViaService" = ["ssm.*.amazonaws.com", "secretsmanager.*.amazonaws.com"] } }
  }

  arn = "arn:${data.aws_partition.here.partition}:lambda:${data.aws_region.here.region}:${data.aws_caller_identity.here.account_id}:function:${var.name}"

  # As texts, since no two have the same keys.
  statements = [
    for text in concat(
      [jsonencode({ Sid = "Logs", Effect = "Allow", Action = local.platform.logs, Resource = "${aws_cloudwatch_log_group.this.arn}:*" })],
      [for statement in var.statements : jsonencode(statement)],
      [for statement in local.vpc_statements : jsonencode(statement) if var.vpc != null],
      var.kms_key_arn == null ? [] : [jsonencode(local.key_statement)],
    ) : jsondecode(text)
  ]
}

data "aws_caller_identity" "here" {}
data "aws_partition" "here" {}
data "aws_region" "here" {}

resource "aws_iam_role" "this" {
  name        = var.name
  description = "What ${var.name} may do, and nothing else"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  #checkov:skip=CKV_AWS_290:Only in a VPC, and then only for EC2's interfaces, for which IAM has no narrower resource; the function's code is denied them.
  #checkov:skip=CKV_AWS_355:As above.
  name = "calls"
  role = aws_iam_role.this.id

  policy = jsonencode({ Version = "2012-10-17", Statement = local.statements })
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158:CloudWatch's own encryption. No secret is ever logged, and a key of one's own costs $1 a month.
  #checkov:skip=CKV_AWS_338:How long logs are kept is an input: decisions of a month ago help nobody.
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_50:No tracing: a log line tells of each decision and each call that took long, and X-Ray would cost a right and a daemon.
  #checkov:skip=CKV_AWS_116:The webhook is called and answered at once; what becomes of failed sweeps is in modules/schedule.
  #checkov:skip=CKV_AWS_117:A VPC is for those whose Proxmox is reached through one; elsewhere it would need a NAT gateway that costs more than all the rest.
  #checkov:skip=CKV_AWS_173:There is no secret in the environment, only two paths and what is logged.
  #checkov:skip=CKV_AWS_272:Who may change the code is whoever may apply this; the zip is compared by its digest.
  function_name = var.name
  description   = var.description
  role          = aws_iam_role.this.arn

  runtime          = "provided.al2023"
  architectures    = ["arm64"]
  handler          = "bootstrap"
  filename         = var.zip
  source_code_hash = filebase64sha256(var.zip)
  layers           = [var.layer_arn]

  memory_size                    = 128
  timeout                        = var.timeout_seconds
  reserved_concurrent_executions = var.reserved_concurrency

  environment {
    variables = var.environment
  }

  # Text: what the function writes is taken as it is, and it is JSON already.
  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.this.name
  }

  dynamic "vpc_config" {
    for_each = var.vpc[*]
    content {
      subnet_ids         = vpc_config.value.subnet_ids
      security_group_ids = vpc_config.value.security_group_ids
    }
  }

  # Lambda looks whether the role may do what the function is set up for.
  depends_on = [aws_iam_role_policy.this]
}
