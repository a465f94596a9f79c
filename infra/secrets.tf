# random_id is not suitable: Terraform prints the ids of resources, and the id of a random_id is the
# secret itself.
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

# A version reads the parameters whenever it starts, so user data contains no secret.
resource "aws_ssm_parameter" "keys" {
  # checkov:skip=CKV_AWS_337: the account's own key for parameters encrypts the value
  name        = "${local.parameters}/keys"
  description = "Receipt keys: the first key signs, all keys verify"
  type        = "SecureString"
  value       = local.keys
}

resource "aws_ssm_parameter" "origin_secret" {
  # checkov:skip=CKV_AWS_337: the account's own key for parameters encrypts the value
  name        = "${local.parameters}/origin-secret"
  description = "The secret that CloudFront sends to the origins in the header x-origin-verify"
  type        = "SecureString"
  value       = local.origin_secret
}

resource "aws_ssm_parameter" "pass_key" {
  # checkov:skip=CKV_AWS_337: the account's own key for parameters encrypts the value
  name        = "${local.parameters}/pass-key"
  description = "The key that signs previews. It is made from the first receipt key and can sign no receipt."
  type        = "SecureString"
  value       = sensitive(data.external.bundle.result.pass_key)
}
