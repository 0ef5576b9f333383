data "aws_region" "here" {}

locals {
  namespace = "Mayfly"

  # Counted from log lines. `test/logs.py` holds each pattern against the messages and fields that the code writes.
  log_metrics = {
    # The sweep's last line. A job that waits is seen by every sweep, however it came to wait.
    job_wait = {
      functions = ["sweeper"]
      metric    = "JobWaitSeconds"
      pattern   = "{ $.message = \"swept\" && $.waiting_longest_s >= 0 }"
      value     = "$.waiting_longest_s"
    }
    boots_failed = {
      functions = ["sweeper"]
      metric    = "BootsFailed"
      pattern   = "{ $.message = \"sweep\" && ($.action = \"boot failed\" || $.why = \"*within boot_timeout\") }"
      value     = "1"
    }
    creates_failed = {
      functions = ["webhook", "sweeper"]
      metric    = "CreatesFailed"
      pattern   = "{ $.message = \"no VM made here\" || $.message = \"its VM comes to nothing\" }"
      value     = "1"
    }
    not_recorded = {
      functions = ["webhook"]
      metric    = "EventsNotRecorded"
      pattern   = "{ $.message = \"event not recorded: GitHub is to send it again\" }"
      value     = "1"
    }
    signatures_refused = {
      functions = ["webhook"]
      metric    = "SignaturesRefused"
      pattern   = "{ $.message = \"signature missing or wrong\" }"
      value     = "1"
    }
  }
  filters = merge([
    for key, filter in local.log_metrics : { for function in filter.functions : "${key}_${function}" => merge(filter, { function = function }) }
  ]...)

  # What a person should look at.
  function_alarms = {
    for alarm in flatten([
      for function, name in var.functions : [
        {
          key         = "${function}-errors"
          description = "The ${function} function ends with errors: a wrong configuration, a missing right, out of memory or time. Look at its log."
          metric      = "Errors"
          function    = name
        },
        {
          key         = "${function}-throttles"
          description = "The ${function} function is called more often than its reserved concurrency, or the account's limit, allows."
          metric      = "Throttles"
          function    = name
        },
      ]
    ]) : alarm.key => alarm
  }
  # `of` so many periods, `periods` must be bad.
  log_alarms = {
    jobs-wait = {
      description = "A job has waited for more than ${var.job_wait_seconds} s. The sweeper's report, and the timeline of the job's item in the table, say why."
      metric      = "JobWaitSeconds"
      statistic   = "Maximum"
      threshold   = var.job_wait_seconds
      periods     = 2
      of          = 2
    }
    boots-fail = {
      description = "In two quarters of the last hour a VM came up without a runner: the image, its network, or GitHub."
      metric      = "BootsFailed"
      statistic   = "Sum"
      # Each failure takes a boot_timeout, 10 or 15 min: a pool with one job that waits has no more than one or two in a period.
      threshold = 1
      periods   = 2
      of        = 4
    }
    creates-fail = {
      description = "Three VMs or more in 15 min could not be made, for another reason than a full cloud: a missing right, a missing template."
      metric      = "CreatesFailed"
      statistic   = "Sum"
      threshold   = 3
      periods     = 1
      of          = 1
    }
    events-not-recorded = {
      description = "An event could not be written to the table. It will be asked for again, but the table or its rights need a look."
      metric      = "EventsNotRecorded"
      statistic   = "Sum"
      threshold   = 1
      periods     = 1
      of          = 1
    }
    signatures-refused = {
      description = "In two quarters of the last hour events came whose signature is wrong (401): another webhook secret at GitHub than here, or somebody else who calls."
      metric      = "SignaturesRefused"
      statistic   = "Sum"
      # Anybody can send one. With a wrong secret GitHub's keep coming: failed deliveries are asked for again.
      threshold = 1
      periods   = 2
      of        = 4
    }
  }
}

resource "aws_cloudwatch_log_metric_filter" "this" {
  for_each = local.filters

  name           = "${var.name}-${replace(each.key, "_", "-")}"
  log_group_name = var.log_groups[each.value.function]
  pattern        = each.value.pattern

  metric_transformation {
    namespace = local.namespace
    name      = "${var.name}-${each.value.metric}"
    value     = each.value.value
  }
}

resource "aws_cloudwatch_metric_alarm" "function" {
  for_each = local.function_alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = "AWS/Lambda"
  metric_name         = each.value.metric
  dimensions          = { FunctionName = each.value.function }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.actions
  ok_actions          = var.actions
}

resource "aws_cloudwatch_metric_alarm" "sweeper_silent" {
  alarm_name          = "${var.name}-sweeper-silent"
  alarm_description   = "No sweep for five minutes: nothing that events alone got wrong is repaired. Look at the schedule and its dead letters."
  namespace           = "AWS/Lambda"
  metric_name         = "Invocations"
  dimensions          = { FunctionName = var.functions.sweeper }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "breaching"
  alarm_actions       = var.actions
  ok_actions          = var.actions
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  alarm_name          = "${var.name}-dead-letters"
  alarm_description   = "A sweep could not be started, or failed: the letter says why. Purge the queue when that is seen to."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = var.dead_letters }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.actions
  ok_actions          = var.actions
}

resource "aws_cloudwatch_metric_alarm" "log" {
  for_each = local.log_alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = local.namespace
  metric_name         = "${var.name}-${each.value.metric}"
  statistic           = each.value.statistic
  period              = each.value.statistic == "Maximum" ? 300 : 900
  evaluation_periods  = each.value.of
  datapoints_to_alarm = each.value.periods
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = each.value.threshold
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.actions
  ok_actions          = var.actions
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name

  dashboard_body = jsonencode({
    widgets = [
      for place, widget in [
        {
          title   = "Jobs: longest wait (s)"
          stat    = "Maximum"
          metrics = [[local.namespace, "${var.name}-JobWaitSeconds"]]
        },
        {
          title   = "Events that were refused"
          stat    = "Sum"
          metrics = [for metric in ["SignaturesRefused", "EventsNotRecorded"] : [local.namespace, "${var.name}-${metric}"]]
        },
        {
          title   = "VMs that failed"
          stat    = "Sum"
          metrics = [for metric in ["BootsFailed", "CreatesFailed"] : [local.namespace, "${var.name}-${metric}"]]
        },
        {
          title   = "Invocations"
          stat    = "Sum"
          metrics = [for function, name in var.functions : ["AWS/Lambda", "Invocations", "FunctionName", name]]
        },
        {
          title   = "Errors and throttles"
          stat    = "Sum"
          metrics = concat([for metric in ["Errors", "Throttles"] : [for name in values(var.functions) : ["AWS/Lambda", metric, "FunctionName", name]]]...)
        },
        {
          title   = "Duration (ms), slowest"
          stat    = "Maximum"
          metrics = [for function, name in var.functions : ["AWS/Lambda", "Duration", "FunctionName", name]]
        },
        {
          title   = "Environments at a time"
          stat    = "Maximum"
          metrics = [for function, name in var.functions : ["AWS/Lambda", "ConcurrentExecutions", "FunctionName", name]]
        },
        {
          title   = "Table: units"
          stat    = "Sum"
          metrics = [for metric in ["ConsumedWriteCapacityUnits", "ConsumedReadCapacityUnits"] : ["AWS/DynamoDB", metric, "TableName", var.table]]
        },
        {
          title   = "Dead letters"
          stat    = "Maximum"
          metrics = [["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", var.dead_letters]]
        },
        ] : {
        type   = "metric"
        x      = 12 * (place % 2)
        y      = 6 * floor(place / 2)
        width  = 12
        height = 6
        properties = {
          title   = widget.title
          region  = data.aws_region.here.region
          view    = "timeSeries"
          stat    = widget.stat
          period  = 300
          metrics = widget.metrics
        }
      }
    ]
  })
}

# What the functions write into their logs in CloudWatch's embedded metric format. The names are those of `core::metrics`, which a test in
# `shared/service/tests/metrics` compares.
resource "aws_cloudwatch_dashboard" "metrics" {
  count = var.metrics ? 1 : 0

  dashboard_name = "${var.name}-metrics"
  dashboard_body = templatefile("${path.module}/metrics.json.tftpl", {
    region     = data.aws_region.here.region
    deployment = var.deployment
  })
}
