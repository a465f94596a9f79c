# Not random_id: Terraform prints ids, and its is the secret.
resource "random_bytes" "keys" {
  for_each = toset(var.keys)

  length = 32
}

resource "random_bytes" "origin_secret" {
  length = 32
}

locals {
  keys          = join(",", [for name in var.keys : random_bytes.keys[name].hex])
  origin_secret = random_bytes.origin_secret.hex
}

# What instances read when they start, and is in no user data.
resource "aws_ssm_parameter" "keys" {
  # checkov:skip=CKV_AWS_337: encrypted with the account's own key for parameters
  name        = "/${var.name}/keys"
  description = "Keys of the receipts: the first signs, all verify"
  type        = "SecureString"
  value       = local.keys
}

resource "aws_ssm_parameter" "origin_secret" {
  # checkov:skip=CKV_AWS_337: as above
  name        = "/${var.name}/origin-secret"
  description = "What CloudFront tells the origins in x-origin-verify"
  type        = "SecureString"
  value       = local.origin_secret
}
