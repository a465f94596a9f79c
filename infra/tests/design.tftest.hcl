# Tests of what the app, the function and the operator rely on. No AWS account is used: AWS is
# mocked, and its answers are in mocks/.
mock_provider "aws" {
  source = "./tests/mocks"
}

mock_provider "external" {
  source = "./tests/mocks"
}

mock_provider "random" {
  source = "./tests/mocks"
}

mock_provider "time" {
  source = "./tests/mocks"
}

# These values differ from the mocked defaults. If they were equal, a test would not notice that one
# value is used in place of another.
override_resource {
  target = aws_eip.versions["2"]
  values = { public_dns = "ec2-192-0-2-2.compute-1.amazonaws.com" }
}

override_resource {
  target = random_bytes.origin_secret
  values = { hex = "0419100419100419100419100419100419100419100419100419100419100419" }
}

override_resource {
  target = aws_ssm_parameter.keys
  values = { arn = "arn:aws:ssm:us-east-1:123456789012:parameter/stickshift/keys" }
}

override_resource {
  target = aws_ssm_parameter.origin_secret
  values = { arn = "arn:aws:ssm:us-east-1:123456789012:parameter/stickshift/origin-secret" }
}

# Both versions are reached by HTTPS. The run `plain_http` has one that is not.
variables {
  certificate = { certificate_parameter = "/tls/certificate", key_parameter = "/tls/key" }
  versions = {
    "1" = { image_tag = "version1", weight = 90, domain = "v1.example.org" }
    "2" = { image_tag = "version2", weight = 10, domain = "v2.example.org" }
  }
}

run "tables" {
  assert {
    condition     = alltrue([for table in aws_dynamodb_table.tables : table.ttl[0].attribute_name == "expiration" && table.ttl[0].enabled])
    error_message = "TTL must use `expiration`, the attribute that the app and the function use."
  }
  assert {
    condition = alltrue([
      aws_dynamodb_table.tables["sessions"].name == "SessionsTable",
      aws_dynamodb_table.tables["sessions"].hash_key == "token",
      aws_dynamodb_table.tables["sessions"].range_key == null,
      aws_dynamodb_table.tables["rollout"].name == "RolloutTable",
      aws_dynamodb_table.tables["rollout"].hash_key == "pk",
      aws_dynamodb_table.tables["rollout"].range_key == "sk",
    ])
    error_message = "The tables must have the names and keys of the contract."
  }
  assert {
    condition = alltrue([
      for table in aws_dynamodb_table.tables :
      table.billing_mode == "PAY_PER_REQUEST" && table.deletion_protection_enabled && table.point_in_time_recovery[0].enabled &&
      table.stream_view_type == "NEW_AND_OLD_IMAGES" &&
      toset(table.replica[*].region_name) == toset(["eu-west-1", "ap-southeast-1"]) &&
      alltrue(table.replica[*].point_in_time_recovery) && alltrue(table.replica[*].propagate_tags)
    ])
    error_message = "The tables must be on demand, protected and replicated."
  }
}

run "first_plan" {
  assert {
    condition = { for version, planned in jsondecode(aws_dynamodb_table_item.first_plan["current"].item).versions.M :
      version => concat(
        [planned.M.weight_basis_points.N, planned.M.state.S],
        [for part in ["protocol", "domain", "port"] : one(values(planned.M.origin.M[part]))],
      )
      } == {
      "1" = ["9000", "live", "https", "v1.example.org", "8000"]
      "2" = ["1000", "live", "https", "v2.example.org", "8000"]
    }
    error_message = "The first plan must have every version, with its weight and its origin."
  }
  assert {
    condition = alltrue([
      for key, item in aws_dynamodb_table_item.first_plan :
      jsondecode(item.item).pk.S == "rollout" && jsondecode(item.item).sk.S == key && jsondecode(item.item).revision.N == "1"
    ])
    error_message = "The plan in force and its history must have the keys that the function and the operator read."
  }
  assert {
    condition = jsondecode(nonsensitive(data.external.bundle.query.config)).plan.versions == {
      "1" = { weight_basis_points = 10000, state = "live", origin = { domain = "v1.example.org", port = 8000, protocol = "https" } }
      "2" = { weight_basis_points = 0, state = "live", origin = { domain = "v2.example.org", port = 8000, protocol = "https" } }
    }
    error_message = "The plan in the function's bundle must have every origin, and no weight that an operator can change."
  }
}

run "instances" {
  assert {
    condition = alltrue([
      for instance in aws_instance.versions :
      instance.metadata_options[0].http_tokens == "required" && instance.root_block_device[0].encrypted &&
      instance.user_data_replace_on_change && instance.instance_type == "t4g.nano"
    ])
    error_message = "Instances must require IMDSv2 and have an encrypted disk."
  }
  assert {
    condition = alltrue([
      for code, instance in aws_instance.versions :
      strcontains(instance.user_data, "--restart always") &&
      strcontains(instance.user_data, "./pull 123456789012.dkr.ecr.us-east-1.amazonaws.com/stickshift:version${code}\n") &&
      strcontains(instance.user_data, "./parameter /stickshift/stickshift/settings ") &&
      strcontains(instance.user_data, "value=$(./parameter /stickshift/stickshift/keys)\necho \"STICKSHIFT_KEYS=$value\"") &&
      strcontains(instance.user_data, "value=$(./parameter /stickshift/stickshift/origin-secret)\necho \"STICKSHIFT_ORIGIN_SECRET=$value\"") &&
      strcontains(instance.user_data, "parameter /tls/certificate >") && strcontains(instance.user_data, "parameter /tls/key >") &&
      !strcontains(instance.user_data, "put-metric-data")
    ])
    error_message = "User data must start the version's image, and read the settings, the secrets and the certificate."
  }
  assert {
    condition = toset(split("\n", aws_ssm_parameter.settings.insecure_value)) == toset([
      "AWS_REGION=us-east-1", "STICKSHIFT_SESSIONS_TABLE=SessionsTable", "STICKSHIFT_ROLLOUT_TABLE=RolloutTable",
      "STICKSHIFT_SESSION_SECONDS=600", "STICKSHIFT_SESSION_MAX_SECONDS=0", "STICKSHIFT_TOUCH_INTERVAL_SECONDS=60",
      "STICKSHIFT_TRUST_WINDOW_SECONDS=60", "STICKSHIFT_CLOCK_ALLOWANCE_SECONDS=60", "STICKSHIFT_SAME_SITE=lax",
      "STICKSHIFT_ACCEPT_BARE_TOKENS=false", "STICKSHIFT_ACCEPT_UNPREFIXED_COOKIE=false",
    ])
    error_message = "The versions must find the settings that they share with the function in Parameter Store."
  }
  assert {
    condition = !anytrue([
      for pair in setproduct(values(aws_instance.versions)[*].user_data, nonsensitive([random_bytes.keys["1"].hex, random_bytes.origin_secret.hex])) :
      strcontains(pair[0], pair[1])
    ])
    error_message = "User data must not contain a secret."
  }
  assert {
    condition = alltrue([
      aws_vpc_security_group_ingress_rule.cloudfront.prefix_list_id == "pl-3b927c52",
      data.aws_ec2_managed_prefix_list.cloudfront.name == "com.amazonaws.global.cloudfront.origin-facing",
      aws_vpc_security_group_ingress_rule.cloudfront.cidr_ipv4 == null,
      aws_vpc_security_group_ingress_rule.cloudfront.from_port == 8000,
      aws_vpc_security_group_ingress_rule.cloudfront.to_port == 8000,
      alltrue([for instance in aws_instance.versions : instance.vpc_security_group_ids == toset([aws_security_group.origins.id])]),
    ])
    error_message = "Only CloudFront must be able to reach the instances, on one port."
  }
  assert {
    condition = alltrue([
      for code, role in aws_iam_role_policy.versions :
      { for statement in jsondecode(role.policy).Statement : statement.Sid => statement }["Sessions"] == {
        Sid    = "Sessions", Effect = "Allow", Resource = aws_dynamodb_table.tables["sessions"].arn
        Action = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]
      } &&
      { for statement in jsondecode(role.policy).Statement : statement.Sid => statement }["Pulses"] == {
        Sid       = "Pulses", Effect = "Allow", Resource = aws_dynamodb_table.tables["rollout"].arn, Action = "dynamodb:PutItem"
        Condition = { "ForAllValues:StringEquals" = { "dynamodb:LeadingKeys" = ["pulse#${code}", "minute#${code}"] } }
      } &&
      toset({ for statement in jsondecode(role.policy).Statement : statement.Sid => statement }["Parameters"].Resource) == toset([
        aws_ssm_parameter.settings.arn, aws_ssm_parameter.keys.arn, aws_ssm_parameter.origin_secret.arn,
        "arn:aws:ssm:us-east-1:123456789012:parameter/tls/certificate", "arn:aws:ssm:us-east-1:123456789012:parameter/tls/key"
      ]) && aws_ssm_parameter.keys.arn != aws_ssm_parameter.origin_secret.arn &&
      length([for statement in jsondecode(role.policy).Statement : statement if strcontains(jsonencode(statement.Action), "dynamodb:")]) == 3
    ])
    error_message = "A version must be able to write sessions and its own pulses, but no plan."
  }
}

run "function" {
  assert {
    condition = alltrue([
      aws_lambda_function.edge.publish, aws_lambda_function.edge.skip_destroy, aws_lambda_function.edge.architectures == tolist(["x86_64"]),
      aws_lambda_function.edge.handler == "index.handler", aws_lambda_function.edge.memory_size == 128,
      aws_lambda_function.edge.timeout == 5, aws_lambda_function.edge.environment == null || length(aws_lambda_function.edge.environment) == 0,
    ])
    error_message = "The function must meet the limits of Lambda@Edge, be published, and stay when Terraform destroys the rest."
  }
  assert {
    condition     = toset(jsondecode(aws_iam_role.edge.assume_role_policy).Statement[0].Principal.Service) == toset(["lambda.amazonaws.com", "edgelambda.amazonaws.com"])
    error_message = "Both Lambda and Lambda@Edge must be able to assume the role."
  }
  assert {
    condition = toset(jsondecode(aws_iam_role_policy.edge.policy).Statement[0].Resource) == toset([
      for pair in setproduct(["us-east-1", "eu-west-1", "ap-southeast-1"], ["SessionsTable", "RolloutTable"]) :
      "arn:aws:dynamodb:${pair[0]}:123456789012:table/${pair[1]}"
    ])
    error_message = "The function must be able to read both tables in every region."
  }
  assert {
    condition     = toset(jsondecode(aws_iam_role_policy.edge.policy).Statement[0].Action) == toset(["dynamodb:BatchGetItem"])
    error_message = "The function must only read the tables."
  }
  assert {
    condition     = jsondecode(data.external.bundle.query.config).keys == random_bytes.keys["1"].hex && nonsensitive(aws_ssm_parameter.keys.value) == random_bytes.keys["1"].hex
    error_message = "The function and the versions must have the same keys."
  }
  assert {
    condition     = jsondecode(data.external.bundle.query.config).replicas == [{ region = "us-east-1" }, { region = "ap-southeast-1" }, { region = "eu-west-1" }]
    error_message = "The function must know every replica."
  }
}

run "distribution" {
  assert {
    condition = alltrue([
      for behavior in concat(aws_cloudfront_distribution.site.default_cache_behavior, aws_cloudfront_distribution.site.ordered_cache_behavior) :
      toset(behavior.lambda_function_association[*].lambda_arn) == toset(["arn:aws:lambda:us-east-1:123456789012:function:stickshift-edge:7"]) &&
      toset(behavior.lambda_function_association[*].event_type) == toset(["origin-request"]) &&
      behavior.viewer_protocol_policy == "redirect-to-https"
    ])
    error_message = "CloudFront must call the function by its qualified ARN for pages and for assets, and serve both by HTTPS only."
  }
  assert {
    # The managed policy CachingDisabled has a minimum and a maximum TTL of 0.
    condition = alltrue([
      for behavior in concat(aws_cloudfront_distribution.site.default_cache_behavior, aws_cloudfront_distribution.site.ordered_cache_behavior) :
      behavior.cache_policy_id == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad" && length(behavior.allowed_methods) == 7
      if try(behavior.path_pattern, "") != "/_v/*"
    ])
    error_message = "Documents must not be cached, and must accept every method."
  }
  assert {
    condition = alltrue([
      alltrue([
        for behavior in concat(aws_cloudfront_distribution.site.default_cache_behavior, aws_cloudfront_distribution.site.ordered_cache_behavior) :
        behavior.origin_request_policy_id == aws_cloudfront_origin_request_policy.pages.id
        if try(behavior.path_pattern, "") != "/_v/*"
      ]),
      aws_cloudfront_origin_request_policy.pages.cookies_config[0].cookie_behavior == "all",
      aws_cloudfront_origin_request_policy.pages.query_strings_config[0].query_string_behavior == "all",
      toset(aws_cloudfront_origin_request_policy.pages.headers_config[0].headers[0].items) == toset(["CloudFront-Forwarded-Proto"]),
    ])
    error_message = "Cookies, the query and the viewer's protocol must reach the function and the app."
  }
  assert {
    condition = alltrue([
      for config in aws_cloudfront_cache_policy.assets.parameters_in_cache_key_and_forwarded_to_origin :
      config.cookies_config[0].cookie_behavior == "none" && config.headers_config[0].header_behavior == "none" && config.query_strings_config[0].query_string_behavior == "none"
    ]) && aws_cloudfront_distribution.site.ordered_cache_behavior[0].path_pattern == "/_v/*"
    error_message = "Assets must be cached by their path only."
  }
  assert {
    condition     = { for error in aws_cloudfront_distribution.site.custom_error_response : tostring(error.error_code) => error.error_caching_min_ttl if error.error_code >= 500 } == { "500" = 0, "501" = 0, "502" = 0, "503" = 0, "504" = 0 }
    error_message = "CloudFront must not cache errors, because a viewer of another version could get them."
  }
  assert {
    condition = alltrue([
      for origin in aws_cloudfront_distribution.site.origin :
      toset(origin.custom_header) == toset([{ name = "x-origin-verify", value = random_bytes.origin_secret.hex }]) &&
      origin.domain_name == "v1.example.org" && origin.custom_origin_config[0].https_port == 8000 &&
      origin.custom_origin_config[0].origin_protocol_policy == "https-only"
    ]) && nonsensitive(aws_ssm_parameter.origin_secret.value) == random_bytes.origin_secret.hex
    error_message = "CloudFront must send the origins the same secret that the versions read."
  }
  assert {
    condition     = aws_cloudfront_distribution.site.http_version == "http2and3" && aws_cloudfront_distribution.site.viewer_certificate[0].cloudfront_default_certificate
    error_message = "The distribution must offer HTTP/2 and HTTP/3, under CloudFront's own domain name."
  }
}

run "alarms" {
  assert {
    condition = toset([for alarm in aws_cloudwatch_metric_alarm.alarms : alarm.metric_name]) == toset([
      "LambdaExecutionError", "LambdaValidationError", "LambdaLimitExceededErrors", "5xxErrorRate",
      "ReplicationLatency", "ReadThrottleEvents", "WriteThrottleEvents",
    ])
    error_message = "There must be alarms for the function, the origins, replication and throttling."
  }
  assert {
    condition = toset([
      for alarm in aws_cloudwatch_metric_alarm.alarms : alarm.dimensions if alarm.metric_name == "ReplicationLatency"
      ]) == toset([
      for pair in setproduct(["SessionsTable", "RolloutTable"], ["eu-west-1", "ap-southeast-1"]) :
      tomap({ TableName = pair[0], ReceivingRegion = pair[1] })
    ])
    error_message = "There must be an alarm for the replication of each table to each region."
  }
}

run "operators" {
  assert {
    condition = jsondecode(aws_ssm_parameter.site.insecure_value) == {
      format         = 1
      home_region    = "us-east-1"
      sessions_table = "SessionsTable"
      rollout_table  = "RolloutTable"
      replicas       = ["ap-southeast-1", "eu-west-1"]
      url            = output.url
      pass_key       = "/stickshift/stickshift/pass-key"
    } && aws_ssm_parameter.site.name == "/stickshift/stickshift/site" && nonsensitive(aws_ssm_parameter.pass_key.value) == "9a55"
    error_message = "The operator's tools must find everything by the name of the site."
  }
  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_policy.people["operator"].policy).Statement :
      !contains(flatten([statement.Resource]), aws_ssm_parameter.keys.arn) && !contains(flatten([statement.Resource]), "*") &&
      (!contains(flatten([statement.Action]), "dynamodb:PutItem") || try(statement.Condition, null) == { "ForAllValues:StringEquals" = { "dynamodb:LeadingKeys" = ["rollout"] } })
    ])
    error_message = "An operator must be able to write plans only, and must not have the receipts' keys."
  }
  assert {
    condition = toset(flatten([for statement in jsondecode(aws_iam_policy.people["viewer"].policy).Statement : statement.Action])) == toset([
      "dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan", "ssm:GetParameter",
    ])
    error_message = "A viewer must be able to read only."
  }
  assert {
    condition     = output.policies == { for role, policy in aws_iam_policy.people : role => policy.arn }
    error_message = "The policies must be outputs."
  }
}

run "a_third_version_later" {
  variables {
    versions = {
      "1" = { image_tag = "version1", weight = 90, domain = "v1.example.org" }
      "2" = { image_tag = "version2", weight = 10, domain = "v2.example.org" }
      "3" = { image_tag = "version3", domain = "v3.example.org" }
    }
  }

  assert {
    condition     = keys(jsondecode(aws_dynamodb_table_item.first_plan["current"].item).versions.M) == ["1", "2"]
    error_message = "Terraform must not change the plan in force after it has written it."
  }
  assert {
    condition     = jsondecode(data.external.bundle.query.config).plan.versions["3"].origin.domain == "v3.example.org" && contains(keys(output.instances), "3")
    error_message = "The third version must have an instance, and the function must know the version."
  }
}

run "another_weight" {
  variables {
    versions = {
      "1" = { image_tag = "version1", weight = 40, domain = "v1.example.org" }
      "2" = { image_tag = "version2", weight = 60, domain = "v2.example.org" }
    }
  }

  assert {
    condition     = { for code, version in jsondecode(data.external.bundle.query.config).plan.versions : code => [version.weight_basis_points, version.state] } == { "1" = [10000, "live"], "2" = [0, "live"] }
    error_message = "A new weight must not publish another function."
  }
}

run "another_setting" {
  variables {
    settings = { session_seconds = 900, plan_ttl_seconds = 10 }
  }

  assert {
    condition     = alltrue([for instance in aws_instance.versions : !strcontains(instance.user_data, "SECONDS") && !strcontains(instance.user_data, "900")])
    error_message = "A new setting must not replace an instance."
  }
  assert {
    condition     = strcontains(aws_ssm_parameter.settings.insecure_value, "STICKSHIFT_SESSION_SECONDS=900\n")
    error_message = "A new setting must be in Parameter Store."
  }
  assert {
    condition     = !strcontains(aws_ssm_parameter.settings.insecure_value, "PLAN_TTL") && jsondecode(data.external.bundle.query.config).plan_ttl_seconds == 10
    error_message = "What only the function reads must not change the settings of the versions."
  }
}
