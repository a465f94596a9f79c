# The zip: the function and its configuration, which its own parser checks. Lambda@Edge has no environment variables.
data "external" "bundle" {
  program = ["${path.module}/bundle"]

  query = {
    config = jsonencode(merge(local.shared_settings, {
      format                   = 1
      replicas                 = [for region in local.regions : { region = region }]
      keys                     = local.keys
      hedge_delay_milliseconds = var.settings.hedge_delay_milliseconds
      deadline_milliseconds    = var.settings.deadline_milliseconds
      keep_viewer_host         = var.settings.keep_viewer_host
      plan = {
        stable = var.stable
        versions = {
          for code, version in local.first_plan : code => {
            origin              = { domain = version.domain, port = local.port, protocol = "http" }
            weight_basis_points = version.basis_points
            state               = version.state
          }
        }
      }
    }))
  }
}

resource "aws_lambda_function" "edge" {
  # checkov:skip=CKV_AWS_50: Lambda@Edge has no X-Ray
  # checkov:skip=CKV_AWS_115: nor reserved concurrency
  # checkov:skip=CKV_AWS_116: nor dead letters
  # checkov:skip=CKV_AWS_117: nor VPCs
  # checkov:skip=CKV_AWS_272: made here, by whoever applies this
  function_name = "${var.name}-edge"
  description   = "Sticks sessions to their version and rolls new ones by weight"
  role          = aws_iam_role.edge.arn

  filename         = "${path.module}/${data.external.bundle.result.zip}"
  source_code_hash = data.external.bundle.result.sha256
  handler          = "index.handler"
  runtime          = var.function_runtime
  architectures    = ["x86_64"]
  memory_size      = 128
  timeout          = 5

  # CloudFront takes numbered versions only.
  publish = true
  # Nobody can delete a function before CloudFront has deleted its replicas, hours after the distribution: docs/aws.md.
  skip_destroy = true
}

resource "aws_iam_role" "edge" {
  name = "${var.name}-edge"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = ["lambda.amazonaws.com", "edgelambda.amazonaws.com"] }
    }]
  })
}

locals {
  # Service, region, resource.
  arn = "arn:${data.aws_partition.current.partition}:%s:%s:${data.aws_caller_identity.current.account_id}:%s"
}

resource "aws_iam_role_policy" "edge" {
  name = "edge"
  role = aws_iam_role.edge.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "LookUps"
        Effect = "Allow"
        Action = ["dynamodb:BatchGetItem", "dynamodb:GetItem"]
        Resource = [
          for pair in setproduct(local.regions, [var.tables.sessions, var.tables.rollout]) :
          format(local.arn, "dynamodb", pair[0], "table/${pair[1]}")
        ]
      },
      {
        # In whichever region it runs.
        Sid      = "Logs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = format(local.arn, "logs", "*", "log-group:/aws/lambda/${local.region}.${var.name}-edge*")
      },
    ]
  })
}
