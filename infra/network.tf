locals {
  # Where the app listens, and its image's health check asks.
  port           = 8000
  instance_types = toset([for version in var.versions : version.instance_type])
}

# Not every zone has every kind of instance.
data "aws_ec2_instance_type_offerings" "zones" {
  for_each = local.instance_types

  location_type = "availability-zone"

  filter {
    name   = "instance-type"
    values = [each.key]
  }
}

locals {
  zones = sort(setintersection([for zones in data.aws_ec2_instance_type_offerings.zones : zones.locations]...))
}

data "aws_ec2_managed_prefix_list" "cloudfront" {
  name = "com.amazonaws.global.cloudfront.origin-facing"
}

resource "aws_vpc" "origins" {
  # checkov:skip=CKV2_AWS_11: flow logs cost more than the instances; what reaches the app is in its metrics
  cidr_block = "10.0.0.0/24"
  # Elastic IPs have public names only with it.
  enable_dns_hostnames = true

  tags = { Name = var.name }
}

# Nothing uses it, so nothing may pass it.
resource "aws_default_security_group" "unused" {
  vpc_id = aws_vpc.origins.id
}

resource "aws_internet_gateway" "origins" {
  vpc_id = aws_vpc.origins.id

  tags = { Name = var.name }
}

resource "aws_subnet" "origins" {
  vpc_id            = aws_vpc.origins.id
  cidr_block        = aws_vpc.origins.cidr_block
  availability_zone = try(local.zones[0], null)

  tags = { Name = var.name }

  lifecycle {
    # Zones come and go in the answer; the subnet stays.
    ignore_changes = [availability_zone]

    precondition {
      condition     = length(local.zones) > 0
      error_message = "No availability zone of ${local.region} has all of ${join(", ", local.instance_types)}: choose other instance types."
    }
  }
}

resource "aws_route_table" "origins" {
  vpc_id = aws_vpc.origins.id

  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.origins.id
  }

  tags = { Name = var.name }
}

resource "aws_route_table_association" "origins" {
  subnet_id      = aws_subnet.origins.id
  route_table_id = aws_route_table.origins.id
}

resource "aws_security_group" "origins" {
  name        = "${var.name}-origins"
  description = "Only CloudFront reaches the app"
  vpc_id      = aws_vpc.origins.id
}

# It counts as 55 rules of the 60 that a security group may have.
resource "aws_vpc_security_group_ingress_rule" "cloudfront" {
  security_group_id = aws_security_group.origins.id
  description       = "CloudFront to the app"
  prefix_list_id    = data.aws_ec2_managed_prefix_list.cloudfront.id
  ip_protocol       = "tcp"
  from_port         = local.port
  to_port           = local.port
}

resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.origins.id
  description       = "DynamoDB, ECR, Systems Manager and Amazon Linux's packages"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}
