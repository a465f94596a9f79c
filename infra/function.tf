# Makes the zip with the function and its configuration. The function's own parser checks the
# configuration. The zip contains the configuration because Lambda@Edge has no environment
# variables.
data "external" "bundle" {
  program = ["${path.module}/bundle"]

  query = {
    config = jsonencode(merge(local.shared_settings, {
      format                   = 1
      replicas                 = [for region in local.regions : { region = region }]
      keys                     = local.keys
      plan_ttl_seconds         = var.settings.plan_ttl_seconds
      hedge_delay_milliseconds = var.settings.hedge_delay_milliseconds
      deadline_milliseconds    = var.settings.deadline_milliseconds
      keep_viewer_host         = var.settings.keep_viewer_host
      plan = {
        format   = 1
        revision = 0
        stable   = var.stable
        # Until the function has read a plan, it sends every new session to the stable version. So these
        # weights mean nothing, and a new weight must not publish another function.
        versions = {
          for code, origin in local.origins : code => {
            origin              = origin
            weight_basis_points = code == var.stable ? 10000 : 0
            state               = "live"
          }
        }
      }
    }))
  }
}

resource "aws_lambda_function" "edge" {
  # checkov:skip=CKV_AWS_50: Lambda@Edge does not support X-Ray
  # checkov:skip=CKV_AWS_115: Lambda@Edge does not support reserved concurrency
  # checkov:skip=CKV_AWS_116: Lambda@Edge does not support dead letter queues
  # checkov:skip=CKV_AWS_117: Lambda@Edge does not support VPCs
  # checkov:skip=CKV_AWS_272: the person who applies this configuration also builds the code
  function_name = "${var.name}-edge"
  description   = "Keeps sessions on their version and draws the version of new sessions by weight"
  role          = aws_iam_role.edge.arn

  filename         = "${path.module}/${data.external.bundle.result.zip}"
  source_code_hash = data.external.bundle.result.sha256
  handler          = "index.handler"
  runtime          = var.function_runtime
  architectures    = ["x86_64"]
  memory_size      = 128
  timeout          = 5

  # CloudFront accepts only numbered versions of a function.
  publish = true
  # Lambda refuses to delete a function that still has replicas. CloudFront deletes the replicas some
  # hours after the distribution: see docs/aws.md.
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
  # The format of an ARN. The arguments are the service, the region and the resource.
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
        Action = ["dynamodb:BatchGetItem"]
        Resource = [
          for pair in setproduct(local.regions, [var.tables.sessions, var.tables.rollout]) :
          format(local.arn, "dynamodb", pair[0], "table/${pair[1]}")
        ]
      },
      {
        # The function writes its log in the region where it runs, which can be any region.
        Sid      = "Logs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = format(local.arn, "logs", "*", "log-group:/aws/lambda/${local.region}.${var.name}-edge*")
      },
    ]
  })
}

# The function writes its log in the region where it runs, which can be any region. A log group that the
# function has made already must be imported first: see docs/infra.md.
resource "aws_cloudwatch_log_group" "edge" {
  # checkov:skip=CKV_AWS_158: CloudWatch's own key encrypts the logs
  # checkov:skip=CKV_AWS_338: the operator chooses how long logs are kept
  for_each = toset(var.log_retention_days == null ? [] : local.regions)

  region            = each.key
  name              = "/aws/lambda/${local.region}.${var.name}-edge"
  retention_in_days = var.log_retention_days
}
