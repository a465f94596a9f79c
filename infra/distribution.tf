locals {
  # Managed-CachingDisabled:
  # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html
  caching_disabled = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
}

# Forwards everything that the function and the app read. The function sets the header Host. Without
# CloudFront-Forwarded-Proto, no cookie would have the attribute Secure.
resource "aws_cloudfront_origin_request_policy" "pages" {
  name = "${var.name}-pages"

  cookies_config {
    cookie_behavior = "all"
  }

  headers_config {
    header_behavior = "allViewerAndWhitelistCloudFront"

    headers {
      items = ["CloudFront-Forwarded-Proto"]
    }
  }

  query_strings_config {
    query_string_behavior = "all"
  }
}

# An asset is the same for every viewer and never changes: its path identifies its version and its
# content.
resource "aws_cloudfront_cache_policy" "assets" {
  name        = "${var.name}-assets"
  min_ttl     = 0
  default_ttl = 86400
  max_ttl     = 31536000

  parameters_in_cache_key_and_forwarded_to_origin {
    enable_accept_encoding_brotli = true
    enable_accept_encoding_gzip   = true

    cookies_config {
      cookie_behavior = "none"
    }

    headers_config {
      header_behavior = "none"
    }

    query_strings_config {
      query_string_behavior = "none"
    }
  }
}

# A header that the app itself sends takes precedence where `override` is false.
resource "aws_cloudfront_response_headers_policy" "security" {
  # checkov:skip=CKV_AWS_259: HTTPS is required for a year, but this site must not decide for its subdomains
  name = "${var.name}-security"

  security_headers_config {
    content_type_options {
      override = true
    }

    # With `same_site = "none"`, the app is for frames of other sites.
    dynamic "frame_options" {
      for_each = var.settings.same_site == "lax" ? ["DENY"] : []

      content {
        frame_option = frame_options.value
        override     = false
      }
    }

    referrer_policy {
      referrer_policy = "strict-origin-when-cross-origin"
      override        = false
    }

    strict_transport_security {
      access_control_max_age_sec = 31536000
      override                   = false
    }
  }
}

resource "aws_cloudfront_distribution" "site" {
  # checkov:skip=CKV_AWS_68: a firewall costs extra, so it is optional, see var.rate_limit
  # checkov:skip=CKV2_AWS_47: this firewall limits rates and nothing else
  # checkov:skip=CKV_AWS_86: access logs need a bucket and a retention time, which the operator must choose
  # checkov:skip=CKV_AWS_174: CloudFront's own domain allows no choice of TLS version; your own domain requires TLS 1.2 or later
  # checkov:skip=CKV_AWS_305: the app itself serves the path /
  # checkov:skip=CKV_AWS_310: another version is not a fallback, because sessions must not move
  # checkov:skip=CKV_AWS_374: the site is for viewers in every country
  # checkov:skip=CKV2_AWS_42: a certificate of your own is optional, see var.domain
  enabled         = true
  comment         = "${var.name}: sticky canary releases"
  is_ipv6_enabled = true
  http_version    = "http2and3"
  price_class     = var.price_class
  web_acl_id      = one(aws_wafv2_web_acl.rate[*].arn)
  aliases         = var.domain == null ? [] : [var.domain.name]

  # The function replaces this origin in each request. When the function fails, requests go to this
  # origin.
  origin {
    origin_id   = "stable"
    domain_name = local.origins[var.stable].domain

    custom_origin_config {
      http_port                = local.port
      https_port               = local.port
      origin_protocol_policy   = "${local.origins[var.stable].protocol}-only"
      origin_ssl_protocols     = ["TLSv1.2"]
      origin_keepalive_timeout = 60
    }

    custom_header {
      name  = "x-origin-verify"
      value = local.origin_secret
    }
  }

  default_cache_behavior {
    target_origin_id           = "stable"
    allowed_methods            = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]
    cached_methods             = ["GET", "HEAD"]
    viewer_protocol_policy     = "redirect-to-https"
    cache_policy_id            = local.caching_disabled
    origin_request_policy_id   = aws_cloudfront_origin_request_policy.pages.id
    response_headers_policy_id = aws_cloudfront_response_headers_policy.security.id

    lambda_function_association {
      event_type = "origin-request"
      lambda_arn = aws_lambda_function.edge.qualified_arn
    }
  }

  ordered_cache_behavior {
    path_pattern               = "/_v/*"
    target_origin_id           = "stable"
    allowed_methods            = ["GET", "HEAD"]
    cached_methods             = ["GET", "HEAD"]
    compress                   = true
    viewer_protocol_policy     = "redirect-to-https"
    cache_policy_id            = aws_cloudfront_cache_policy.assets.id
    response_headers_policy_id = aws_cloudfront_response_headers_policy.security.id

    lambda_function_association {
      event_type = "origin-request"
      lambda_arn = aws_lambda_function.edge.qualified_arn
    }
  }

  # By default, CloudFront keeps an error for ten seconds, whatever its Cache-Control header says, and
  # returns it to viewers of every version.
  # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/custom-error-pages-expiration.html
  dynamic "custom_error_response" {
    for_each = [400, 403, 404, 405, 414, 500, 501, 502, 503, 504]

    content {
      error_code            = custom_error_response.value
      error_caching_min_ttl = 0
    }
  }

  # The function makes a log group that does not exist, and then Terraform could not make it.
  depends_on = [aws_cloudwatch_log_group.edge]

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  viewer_certificate {
    cloudfront_default_certificate = var.domain == null
    acm_certificate_arn            = one(var.domain[*].certificate_arn)
    ssl_support_method             = var.domain == null ? null : "sni-only"
    minimum_protocol_version       = var.domain == null ? "TLSv1" : "TLSv1.2_2021"
  }
}

# A firewall that refuses addresses with too many requests. Each new viewer costs a write, so this also
# limits what somebody can make the table of sessions cost.
resource "aws_wafv2_web_acl" "rate" {
  # checkov:skip=CKV_AWS_175: the rule is in rule_json, which checkov does not read
  # checkov:skip=CKV_AWS_192: this firewall limits rates and nothing else
  # checkov:skip=CKV2_AWS_31: logs of a firewall need a stream of their own, which the operator may add
  count = var.rate_limit == null ? 0 : 1

  name  = "${var.name}-rate"
  scope = "CLOUDFRONT"

  default_action {
    allow {}
  }

  rule_json = jsonencode([{
    Name     = "rate"
    Priority = 0
    Action   = { Block = {} }
    Statement = {
      RateBasedStatement = { Limit = var.rate_limit, EvaluationWindowSec = 300, AggregateKeyType = "IP" }
    }
    VisibilityConfig = {
      CloudWatchMetricsEnabled = true, MetricName = "${var.name}-rate", SampledRequestsEnabled = false
    }
  }])

  visibility_config {
    cloudwatch_metrics_enabled = true
    metric_name                = var.name
    sampled_requests_enabled   = false
  }

  # AWS does not delete a firewall that the distribution still uses. With this, Terraform updates the
  # distribution first.
  lifecycle {
    create_before_destroy = true
  }
}
