# The keys and the attribute of the TTL are the contract with app and function: contract/src/session.rs, src/rollout.rs.
locals {
  tables = {
    sessions = { name = var.tables.sessions, hash_key = "token", range_key = null }
    rollout  = { name = var.tables.rollout, hash_key = "pk", range_key = "sk" }
  }

  # Where they are.
  regions = concat([local.region], sort(var.replicas))
}

resource "aws_dynamodb_table" "tables" {
  # checkov:skip=CKV_AWS_119: encrypted with the key that AWS owns; a key of one's own would be needed in every region
  # checkov:skip=CKV_AWS_28: on by default, see var.point_in_time_recovery
  # checkov:skip=CKV2_AWS_16: on-demand tables scale by themselves
  for_each = local.tables

  name         = each.value.name
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = each.value.hash_key
  range_key    = each.value.range_key

  deletion_protection_enabled = var.deletion_protection

  # Replicas are fed by it.
  stream_enabled   = length(var.replicas) > 0
  stream_view_type = length(var.replicas) > 0 ? "NEW_AND_OLD_IMAGES" : null

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
    }
  }
}

locals {
  # Where each version is, and what it gets at first: in the table, and in the function until the table answers.
  first_plan = {
    for code, version in var.versions : code => {
      domain       = aws_eip.versions[code].public_dns
      basis_points = floor(version.weight * 100 + 0.5)
      state        = version.weight > 0 ? "live" : "staged"
    }
  }
}

resource "time_static" "first_plan" {}

# The plan in force, and the same in its history. Put there once: later plans are made by whoever steers the rollout.
resource "aws_dynamodb_table_item" "first_plan" {
  for_each = toset(["current", "0000000001"])

  table_name = aws_dynamodb_table.tables["rollout"].name
  hash_key   = aws_dynamodb_table.tables["rollout"].hash_key
  range_key  = aws_dynamodb_table.tables["rollout"].range_key

  item = jsonencode({
    pk         = { S = "rollout" }
    sk         = { S = each.key }
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
              M = { domain = { S = version.domain }, port = { N = tostring(local.port) }, protocol = { S = "http" } }
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

    precondition {
      condition     = try(var.versions[var.stable].weight > 0, false)
      error_message = "`stable` must be one of `versions`, with a weight above 0."
    }
  }
}
