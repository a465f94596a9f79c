locals {
  # The names of all parameters start with this.
  parameters = "/stickshift/${var.name}"

  # Settings that must be the same in the versions and the function. The function reads them from its
  # config.json.
  shared_settings = {
    sessions_table           = var.tables.sessions
    rollout_table            = var.tables.rollout
    session_seconds          = var.settings.session_seconds
    session_max_seconds      = var.settings.session_max_seconds
    touch_interval_seconds   = var.settings.touch_interval_seconds
    trust_window_seconds     = var.settings.trust_window_seconds
    clock_allowance_seconds  = var.settings.clock_allowance_seconds
    accept_bare_tokens       = var.settings.accept_bare_tokens
    accept_unprefixed_cookie = var.settings.accept_unprefixed_cookie
    same_site                = var.settings.same_site
  }
}

# The versions read their settings from here whenever they start. If the settings were in user data, a
# new value would replace all instances at once.
resource "aws_ssm_parameter" "settings" {
  # checkov:skip=CKV2_AWS_34: settings are not secret
  name        = "${local.parameters}/settings"
  description = "Settings of all versions, as variables of the environment"
  type        = "String"
  insecure_value = join("\n", concat(
    ["AWS_REGION=${local.region}"],
    [for name, value in local.shared_settings : "STICKSHIFT_${upper(name)}=${value}"],
  ))
}

resource "aws_ssm_parameter" "environment" {
  # checkov:skip=CKV_AWS_337: the account's own key for parameters encrypts the value
  for_each = local.apps

  name        = "${local.parameters}/versions/${each.key}/environment"
  description = "Variables of the app of version ${each.key}"
  type        = "SecureString"
  tier        = "Intelligent-Tiering"
  # Parameter Store accepts no empty value, so the first line is a comment, which Docker skips.
  value = join("\n", concat(["# Version ${each.key}"], [for name, value in each.value.environment : "${name}=${value}"]))
}

# `stickshift rollout --site NAME` finds everything by this record: see docs/formats.md.
resource "aws_ssm_parameter" "site" {
  # checkov:skip=CKV2_AWS_34: the record contains no secret
  name        = "${local.parameters}/site"
  description = "Where the parts of this site are, for the operator's tools"
  type        = "String"
  insecure_value = jsonencode({
    format         = 1
    home_region    = local.region
    sessions_table = aws_dynamodb_table.tables["sessions"].name
    rollout_table  = aws_dynamodb_table.tables["rollout"].name
    replicas       = sort(var.replicas)
    url            = local.url
    pass_key       = aws_ssm_parameter.pass_key.name
  })
}
