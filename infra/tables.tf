# The keys and the TTL attribute are those of contract/src/tables.rs. A test compares them.
locals {
  tables = {
    sessions = { name = var.tables.sessions, hash_key = "token", range_key = null }
    rollout  = { name = var.tables.rollout, hash_key = "pk", range_key = "sk" }
  }

  # The regions that hold the tables.
  regions = concat([local.region], sort(var.replicas))
}

resource "aws_dynamodb_table" "tables" {
  # checkov:skip=CKV_AWS_119: a key that AWS owns encrypts the tables; a key of your own would be needed in every region
  # checkov:skip=CKV_AWS_28: point-in-time recovery is on by default, see var.point_in_time_recovery
  # checkov:skip=CKV2_AWS_16: on-demand tables scale automatically
  for_each = local.tables

  name         = each.value.name
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = each.value.hash_key
  range_key    = each.value.range_key

  deletion_protection_enabled = var.deletion_protection

  # The replicas receive the writes through the stream. It is on even without replicas, and costs
  # nothing then: the provider would switch it off before it deletes the last replica, and AWS refuses
  # that (https://github.com/hashicorp/terraform-provider-aws/issues/34450).
  stream_enabled   = true
  stream_view_type = "NEW_AND_OLD_IMAGES"

  dynamic "attribute" {
    for_each = compact([each.value.hash_key, each.value.range_key])

    content {
      name = attribute.value
      type = "S"
    }
  }

  ttl {
    attribute_name = "expiration"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = var.point_in_time_recovery
  }

  dynamic "replica" {
    for_each = var.replicas

    content {
      region_name            = replica.value
      point_in_time_recovery = var.point_in_time_recovery
      propagate_tags         = true
    }
  }
}

locals {
  # Where each version is served, as plans have it.
  origins = {
    for code, version in var.versions : code => {
      domain   = coalesce(version.domain, aws_eip.versions[code].public_dns)
      port     = local.port
      protocol = version.domain == null ? "http" : "https"
    }
  }

  # Weight and state of each version in the first plan.
  first_plan = {
    for code, version in var.versions : code => {
      basis_points = floor(version.weight * 100 + 0.5)
      state        = version.weight > 0 ? "live" : "staged"
    }
  }
}

resource "time_static" "first_plan" {}

# The first plan: one item is the plan in force, the other item is its copy in the history.
# Terraform writes both items only once. The operator of the rollout writes the later plans.
resource "aws_dynamodb_table_item" "first_plan" {
  for_each = toset(["current", "0000000001"])

  table_name = aws_dynamodb_table.tables["rollout"].name
  hash_key   = aws_dynamodb_table.tables["rollout"].hash_key
  range_key  = aws_dynamodb_table.tables["rollout"].range_key

  item = jsonencode({
    pk         = { S = "rollout" }
    sk         = { S = each.key }
    format     = { N = "1" }
    revision   = { N = "1" }
    stable     = { S = var.stable }
    changed_at = { N = tostring(time_static.first_plan.unix) }
    changed_by = { S = "Terraform" }
    why        = { S = "the first plan" }
    versions = {
      M = {
        for code, version in local.first_plan : code => {
          M = {
            origin = {
              M = {
                domain   = { S = local.origins[code].domain }
                port     = { N = tostring(local.origins[code].port) }
                protocol = { S = local.origins[code].protocol }
              }
            }
            weight_basis_points = { N = tostring(version.basis_points) }
            state               = { S = version.state }
          }
        }
      }
    }
  })

  lifecycle {
    ignore_changes = [item]
    # The plan in force is the operator's. Without this, `terraform destroy` would delete it, and all
    # else, before DynamoDB refuses to delete the tables. To delete everything, see docs/aws.md.
    prevent_destroy = true
  }
}
