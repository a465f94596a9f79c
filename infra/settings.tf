locals {
  # Settings that must be the same in the versions and the function. A version reads them from its
  # environment (STICKSHIFT_…). The function reads them from its config.json.
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
    plan_ttl_seconds         = var.settings.plan_ttl_seconds
  }
}
