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
  target = aws_ssm_parameter.origin_secret
  values = { arn = "arn:aws:ssm:us-east-1:123456789012:parameter/stickshift/origin-secret" }
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
      toset(table.replica[*].region_name) == toset(["eu-west-1", "ap-southeast-1"]) && alltrue(table.replica[*].point_in_time_recovery)
    ])
    error_message = "The tables must be on demand, protected and replicated."
  }
}

run "first_plan" {
  assert {
    condition = { for version, planned in jsondecode(aws_dynamodb_table_item.first_plan["current"].item).versions.M :
      version => [planned.M.weight_basis_points.N, planned.M.state.S, planned.M.origin.M.domain.S, planned.M.origin.M.port.N]
      } == {
      "1" = ["9000", "live", "ec2-192-0-2-1.compute-1.amazonaws.com", "8000"]
      "2" = ["1000", "live", "ec2-192-0-2-2.compute-1.amazonaws.com", "8000"]
    }
    error_message = "The first plan must have every version, with its weight and the name of its Elastic IP."
  }
  assert {
    condition = alltrue([
      for key, item in aws_dynamodb_table_item.first_plan :
      jsondecode(item.item).pk.S == "rollout" && jsondecode(item.item).sk.S == key && jsondecode(item.item).revision.N == "1"
    ])
    error_message = "The plan in force and its history must have the keys that the function and the operator read."
  }
  assert {
    condition = jsondecode(nonsensitive(data.external.bundle.query.config)).plan.versions["2"] == {
      weight_basis_points = 1000
      state               = "live"
      origin              = { domain = "ec2-192-0-2-2.compute-1.amazonaws.com", port = 8000, protocol = "http" }
    }
    error_message = "The plan in the function's bundle must be the first plan."
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
      strcontains(instance.user_data, "123456789012.dkr.ecr.us-east-1.amazonaws.com/stickshift:version${code}") &&
      strcontains(instance.user_data, "--env AWS_REGION=us-east-1") &&
      strcontains(instance.user_data, "--env STICKSHIFT_SESSIONS_TABLE=SessionsTable") &&
      strcontains(instance.user_data, "STICKSHIFT_KEYS=$(retry secret /stickshift/keys)") &&
      strcontains(instance.user_data, "STICKSHIFT_ORIGIN_SECRET=$(retry secret /stickshift/origin-secret)")
    ])
    error_message = "User data must start the version's image, set its tables and read the secrets."
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
      toset({ for statement in jsondecode(role.policy).Statement : statement.Sid => statement }["Secrets"].Resource) == toset([
        aws_ssm_parameter.keys.arn, aws_ssm_parameter.origin_secret.arn
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
    condition = alltrue([
      aws_cloudfront_distribution.site.default_cache_behavior[0].cache_policy_id == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
      length(aws_cloudfront_distribution.site.default_cache_behavior[0].allowed_methods) == 7,
    ])
    error_message = "Pages must not be cached, and must accept every method."
  }
  assert {
    condition = alltrue([
      aws_cloudfront_distribution.site.default_cache_behavior[0].origin_request_policy_id == aws_cloudfront_origin_request_policy.pages.id,
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
      origin.domain_name == "ec2-192-0-2-1.compute-1.amazonaws.com" && origin.custom_origin_config[0].http_port == 8000
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

run "a_third_version_later" {
  variables {
    versions = {
      "1" = { image_tag = "version1", weight = 90 }
      "2" = { image_tag = "version2", weight = 10 }
      "3" = { image_tag = "version3" }
    }
  }

  assert {
    condition     = keys(jsondecode(aws_dynamodb_table_item.first_plan["current"].item).versions.M) == ["1", "2"]
    error_message = "Terraform must not change the plan in force after it has written it."
  }
  assert {
    condition     = jsondecode(data.external.bundle.query.config).plan.versions["3"].state == "staged" && contains(keys(output.instances), "3")
    error_message = "The third version must have an instance, and the function must know the version."
  }
}
