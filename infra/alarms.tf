resource "aws_sns_topic" "alarms" {
  # checkov:skip=CKV_AWS_26: CloudWatch cannot publish to a topic that is encrypted with AWS's own key
  name = "${var.name}-alarms"
}

resource "aws_sns_topic_subscription" "email" {
  count = var.alarm_email == null ? 0 : 1

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = var.alarm_email
}

locals {
  site = { DistributionId = aws_cloudfront_distribution.site.id, Region = "Global" }

  # Each threshold (`above`) applies to five minutes, or to the `period`. An alarm sees only the metrics
  # of its own region. If a replica in another region throttles the function's reads, only the function's
  # log shows it.
  alarms = merge(
    {
      for metric, about in {
        LambdaExecutionError      = "The function failed or took too long. Viewers get 503."
        LambdaValidationError     = "CloudFront rejected the function's answer. Viewers get 502."
        LambdaLimitExceededErrors = "The function was throttled. Viewers get 503."
      } :
      metric => {
        metric = metric, about = about, namespace = "AWS/CloudFront", dimensions = local.site, statistic = "Sum", above = 0
      }
    },
    {
      "5xxErrorRate" = {
        metric    = "5xxErrorRate"
        about     = "More than 1 % of all responses are errors of an origin. The metric stickshift_requests_total of each version shows which version has them."
        namespace = "AWS/CloudFront", dimensions = local.site, statistic = "Average", above = 1
      }
    },
    {
      for pair in setproduct(keys(local.tables), var.replicas) :
      "ReplicationLatency-${pair[0]}-${pair[1]}" => {
        metric     = "ReplicationLatency"
        about      = "Writes take more than 5 s to reach ${pair[1]}. Sessions keep their version by their receipts, but plans arrive late."
        namespace  = "AWS/DynamoDB"
        dimensions = { TableName = local.tables[pair[0]].name, ReceivingRegion = pair[1] }
        statistic  = "Average"
        above      = 5000
      }
    },
    {
      for pair in setproduct(["ReadThrottleEvents", "WriteThrottleEvents"], keys(local.tables)) :
      "${pair[0]}-${pair[1]}" => {
        metric     = pair[0]
        about      = "DynamoDB throttles ${local.tables[pair[1]].name} in ${local.region}."
        namespace  = "AWS/DynamoDB"
        dimensions = { TableName = local.tables[pair[1]].name }
        statistic  = "Sum"
        above      = 0
      }
    },
    {
      for writes in var.write_alarm[*] : "Writes" => {
        metric     = "ConsumedWriteCapacityUnits"
        about      = "More sessions are written than expected. Each session begins with one write."
        namespace  = "AWS/DynamoDB"
        dimensions = { TableName = local.tables["sessions"].name }
        statistic  = "Sum"
        above      = 5 * writes
      }
    },
    {
      for metric in var.lease_alarm ? ["RolloutLeaseAge"] : [] : metric => {
        metric     = metric
        about      = "A rollout runs by itself and nobody looks at it, or no instance reports. Run `stickshift rollout run` again, or abort."
        namespace  = var.name
        dimensions = {}
        statistic  = "Maximum"
        above      = 120
        period     = 60
        periods    = 3
        missing    = "breaching"
      }
    },
  )
}

resource "aws_cloudwatch_metric_alarm" "alarms" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.about
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = try(each.value.period, 300)
  evaluation_periods  = try(each.value.periods, 1)
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.above
  # Without traffic there is no data, which is not a fault. Instances report a lease at all times.
  treat_missing_data = try(each.value.missing, "notBreaching")
  alarm_actions      = [aws_sns_topic.alarms.arn]
  ok_actions         = [aws_sns_topic.alarms.arn]
}
