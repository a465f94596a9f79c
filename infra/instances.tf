data "aws_ec2_instance_type" "types" {
  for_each = local.instance_types

  instance_type = each.key
}

locals {
  architectures = {
    for name, type in data.aws_ec2_instance_type.types :
    name => contains(type.supported_architectures, "arm64") ? "arm64" : "x86_64"
  }
}

locals {
  # The versions that are apps of your own.
  apps = { for code, version in var.versions : code => version if version.image != null }

  # What an instance runs. For an app of your own this is the sidecar, and the app on loopback.
  services = {
    for code, version in var.versions : code => merge(
      {
        stickshift = {
          about    = "Version ${code}"
          image    = local.images[code]
          settings = aws_ssm_parameter.settings.name
          secrets = {
            STICKSHIFT_KEYS          = aws_ssm_parameter.keys.name
            STICKSHIFT_ORIGIN_SECRET = aws_ssm_parameter.origin_secret.name
          }
          has_certificate = version.domain != null
          options = join(" ", concat(
            ["--network host --read-only"],
            version.domain == null ? [] : [
              "--volume /var/lib/stickshift/tls:/etc/stickshift/tls:ro",
              "--env STICKSHIFT_TLS_CERTIFICATE=/etc/stickshift/tls/certificate.pem",
              "--env STICKSHIFT_TLS_KEY=/etc/stickshift/tls/key.pem",
            ],
          ))
          arguments = version.image == null ? "" : "sidecar --version-code=${code} --upstream http://127.0.0.1:${version.port}"
        }
      },
      {
        for name in version.image == null ? [] : ["app"] : name => {
          about           = "The app of version ${code}"
          image           = version.image
          settings        = aws_ssm_parameter.environment[code].name
          secrets         = {}
          has_certificate = false
          options         = "--publish 127.0.0.1:${version.port}:${version.port}"
          arguments       = ""
        }
      },
    )
  }
}

# The current image of Amazon Linux 2023.
data "aws_ssm_parameter" "ami" {
  for_each = toset(values(local.architectures))

  name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-${each.key}"
}

resource "aws_instance" "versions" {
  # checkov:skip=CKV_AWS_126: the app has its own metrics
  for_each = var.versions

  ami                    = data.aws_ssm_parameter.ami[local.architectures[each.value.instance_type]].insecure_value
  instance_type          = each.value.instance_type
  subnet_id              = aws_subnet.origins.id
  vpc_security_group_ids = [aws_security_group.origins.id]
  iam_instance_profile   = aws_iam_instance_profile.versions[each.key].name
  ebs_optimized          = true

  user_data_replace_on_change = true
  user_data = templatefile("${path.module}/user-data.sh.tftpl", {
    code          = each.key
    region        = local.region
    services      = local.services[each.key]
    certificate   = each.value.domain == null ? null : var.certificate
    reports_lease = var.lease_alarm
    units = concat(
      [for name in keys(local.services[each.key]) : "${name}.service"],
      each.value.domain == null ? [] : ["stickshift-certificate.timer"],
      var.lease_alarm ? ["stickshift-report.timer"] : [],
    )
    name = var.name
  })

  metadata_options {
    http_tokens = "required"
    # The container of the version shares the host's network, so one hop is enough. An app of your own
    # has a network of its own, and does not get the instance's permissions.
    http_put_response_hop_limit = 1
  }

  root_block_device {
    encrypted   = true
    volume_type = "gp3"
  }

  tags = { Name = "${var.name}-version-${each.key}" }

  # User data and the Systems Manager agent need both as soon as the instance starts.
  depends_on = [aws_iam_role_policy.versions, aws_route_table_association.origins]

  lifecycle {
    # A newer Amazon Linux alone must not replace the instance, because that would end sessions. The
    # next replacement uses the newer image.
    ignore_changes = [ami]

    precondition {
      condition     = contains(data.aws_ec2_instance_type_offerings.zones[each.value.instance_type].locations, aws_subnet.origins.availability_zone)
      error_message = "Instance type ${each.value.instance_type} is not available in ${aws_subnet.origins.availability_zone}, the zone of the subnet. Choose another instance type."
    }
  }
}

# The public name of this address is the domain of the version's origin. The name stays the same
# when the instance is replaced.
resource "aws_eip" "versions" {
  # checkov:skip=CKV2_AWS_19: aws_eip_association.versions attaches the address to the instance
  for_each = var.versions

  domain = "vpc"
  tags   = { Name = "${var.name}-version-${each.key}" }

  # Terraform releases the address of a removed version only after the function and the distribution
  # have been updated. In the meantime, AWS could give the address to somebody else, who would get
  # viewers and the origin secret.
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_eip_association" "versions" {
  for_each = var.versions

  allocation_id = aws_eip.versions[each.key].id
  instance_id   = aws_instance.versions[each.key].id

  # AWS cannot remove the internet gateway while addresses are attached. With this dependency,
  # Terraform detaches the addresses first.
  depends_on = [aws_internet_gateway.origins]
}

resource "aws_iam_instance_profile" "versions" {
  for_each = var.versions

  name = "${var.name}-version-${each.key}"
  role = aws_iam_role.versions[each.key].name
}

resource "aws_iam_role" "versions" {
  for_each = var.versions

  name = "${var.name}-version-${each.key}"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ec2.amazonaws.com" } }]
  })
}

resource "aws_iam_role_policy" "versions" {
  # checkov:skip=CKV_AWS_290: the actions for ECR login and Session Manager cannot be limited to resources
  # checkov:skip=CKV_AWS_355: the actions for ECR login and Session Manager cannot be limited to resources
  for_each = var.versions

  name = "version"
  role = aws_iam_role.versions[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid      = "Sessions"
        Effect   = "Allow"
        Action   = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]
        Resource = aws_dynamodb_table.tables["sessions"].arn
      },
      {
        # In this table, a version may write only its own pulses. Only the operator may write plans.
        Sid       = "Pulses"
        Effect    = "Allow"
        Action    = "dynamodb:PutItem"
        Resource  = aws_dynamodb_table.tables["rollout"].arn
        Condition = { "ForAllValues:StringEquals" = { "dynamodb:LeadingKeys" = ["pulse#${each.key}", "minute#${each.key}"] } }
      },
      {
        # An instance looks up what has become of its own version.
        Sid       = "Plan"
        Effect    = "Allow"
        Action    = "dynamodb:GetItem"
        Resource  = aws_dynamodb_table.tables["rollout"].arn
        Condition = { "ForAllValues:StringEquals" = { "dynamodb:LeadingKeys" = ["rollout"] } }
      },
      {
        Sid    = "Parameters"
        Effect = "Allow"
        Action = "ssm:GetParameter"
        Resource = concat(
          [aws_ssm_parameter.settings.arn, aws_ssm_parameter.keys.arn, aws_ssm_parameter.origin_secret.arn],
          each.value.image == null ? [] : [aws_ssm_parameter.environment[each.key].arn],
          each.value.domain == null ? [] : [for name in values(var.certificate) : format(local.arn, "ssm", local.region, "parameter${name}")],
        )
      },
      {
        Sid    = "Image"
        Effect = "Allow"
        Action = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        # The image of an app may be in another repository of ECR.
        Resource = concat([aws_ecr_repository.app.arn], [
          for part in try(regexall(local.ecr_image, each.value.image), []) :
          "arn:${data.aws_partition.current.partition}:ecr:${part[1]}:${part[0]}:repository/${part[2]}"
        ])
      },
      {
        # The ECR login, and only the permissions that Session Manager needs:
        # https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-create-iam-instance-profile.html
        Sid    = "LoginAndSessionManager"
        Effect = "Allow"
        Action = [
          "ecr:GetAuthorizationToken",
          "ssm:UpdateInstanceInformation",
          "ssmmessages:CreateControlChannel",
          "ssmmessages:CreateDataChannel",
          "ssmmessages:OpenControlChannel",
          "ssmmessages:OpenDataChannel",
        ]
        Resource = "*"
      },
      ], [
      for metric in var.lease_alarm ? ["RolloutLeaseAge"] : [] : {
        Sid       = metric
        Effect    = "Allow"
        Action    = "cloudwatch:PutMetricData"
        Resource  = "*"
        Condition = { StringEquals = { "cloudwatch:namespace" = var.name } }
      }
    ])
  })
}
