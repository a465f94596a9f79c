locals {
  # The versions listen on this port, by HTTP or HTTPS.
  port           = 8000
  instance_types = toset([for version in var.versions : version.instance_type])
}

# Not every availability zone has every instance type.
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
  # checkov:skip=CKV2_AWS_11: flow logs cost more than the instances, and the app's metrics show which requests reach it
  cidr_block = "10.0.0.0/24"
  # Elastic IPs have public names only if this is true.
  enable_dns_hostnames = true

  tags = { Name = var.name }
}

# Nothing uses the default security group, so it allows no traffic.
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
    # AWS may list other zones later. The subnet must stay in its zone.
    ignore_changes = [availability_zone]

    precondition {
      condition     = length(local.zones) > 0
      error_message = "No availability zone of ${local.region} has all of these instance types: ${join(", ", local.instance_types)}. Choose other instance types."
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

# The prefix list counts as 55 of the 60 rules that a security group may have.
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
  description       = "DynamoDB, registries of images, Systems Manager and Amazon Linux packages"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}
