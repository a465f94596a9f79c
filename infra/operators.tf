# Permissions for the people and pipelines that use `stickshift rollout`. Attach a policy to their roles:
# see the output `policies`. Only the home region is written. A command reads another region if it asks
# what an edge there would see.
locals {
  tables_everywhere = {
    for key, table in local.tables :
    key => [for region in local.regions : format(local.arn, "dynamodb", region, "table/${table.name}")]
  }

  permissions = {
    viewer = [
      {
        Sid      = "PlansAndPulses"
        Effect   = "Allow"
        Action   = ["dynamodb:GetItem", "dynamodb:Query"]
        Resource = aws_dynamodb_table.tables["rollout"].arn
      },
      {
        # Counting sessions needs these attributes, and the key must be among them. So a viewer can read
        # tokens, which are no sessions without a receipt key. What an app keeps in a session stays
        # hidden.
        Sid      = "CountSessions"
        Effect   = "Allow"
        Action   = "dynamodb:Scan"
        Resource = aws_dynamodb_table.tables["sessions"].arn
        Condition = {
          "ForAllValues:StringEquals" = { "dynamodb:Attributes" = ["token", "version", "expiration"] }
          StringEqualsIfExists        = { "dynamodb:Select" = "SPECIFIC_ATTRIBUTES" }
        }
      },
      {
        Sid      = "SizeOfTheTable"
        Effect   = "Allow"
        Action   = "dynamodb:DescribeTable"
        Resource = aws_dynamodb_table.tables["sessions"].arn
      },
      {
        Sid      = "Site"
        Effect   = "Allow"
        Action   = "ssm:GetParameter"
        Resource = aws_ssm_parameter.site.arn
      },
    ]
    operator = [
      {
        Sid      = "Read"
        Effect   = "Allow"
        Action   = ["dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan"]
        Resource = flatten(values(local.tables_everywhere))
      },
      {
        # Plans and the rollout that runs by itself, but no pulses and no sessions.
        Sid       = "Plans"
        Effect    = "Allow"
        Action    = "dynamodb:PutItem"
        Resource  = aws_dynamodb_table.tables["rollout"].arn
        Condition = { "ForAllValues:StringEquals" = { "dynamodb:LeadingKeys" = ["rollout"] } }
      },
      {
        # The key of previews, which can sign no receipt.
        Sid      = "SiteAndPreviews"
        Effect   = "Allow"
        Action   = "ssm:GetParameter"
        Resource = [aws_ssm_parameter.site.arn, aws_ssm_parameter.pass_key.arn]
      },
    ]
  }
}

resource "aws_iam_policy" "people" {
  # checkov:skip=CKV_AWS_355: both policies name their resources; checkov cannot see them here
  for_each = local.permissions

  name        = "${var.name}-${each.key}"
  description = "For stickshift rollout: ${each.key}"
  policy      = jsonencode({ Version = "2012-10-17", Statement = each.value })
}
