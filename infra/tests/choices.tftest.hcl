# Tests of what an operator can choose, and of what is rejected. No AWS account is used: AWS is
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

# Versions are reached by HTTPS. The run `plain_http` has one that is not.
variables {
  certificate = { certificate_parameter = "/tls/certificate", key_parameter = "/tls/key" }
  versions = {
    "1" = { image_tag = "version1", weight = 90, domain = "v1.example.org" }
    "2" = { image_tag = "version2", weight = 10, domain = "v2.example.org" }
  }
}

run "no_replicas_and_a_third_version" {
  variables {
    replicas            = []
    deletion_protection = false
    versions = {
      "1" = { image_tag = "version1", weight = 99.75, domain = "v1.example.org" }
      "2" = { image_tag = "version2", weight = 0.25, domain = "v2.example.org" }
      "3" = { image_tag = "version3", instance_type = "t3.nano", domain = "v3.example.org" }
    }
  }

  override_data {
    target = data.aws_ec2_instance_type.types["t3.nano"]
    values = { supported_architectures = ["x86_64"] }
  }
  override_data {
    target = data.aws_ec2_instance_type_offerings.zones["t3.nano"]
    values = { locations = ["us-east-1a", "us-east-1c"] }
  }

  assert {
    condition     = alltrue([for table in aws_dynamodb_table.tables : table.stream_enabled && length(table.replica) == 0 && !table.deletion_protection_enabled])
    error_message = "The stream must be on even without replicas. The variable must be able to switch deletion protection off."
  }
  assert {
    condition = { for version, planned in jsondecode(aws_dynamodb_table_item.first_plan["current"].item).versions.M :
      version => [planned.M.weight_basis_points.N, planned.M.state.S]
    } == { "1" = ["9975", "live"], "2" = ["25", "live"], "3" = ["0", "staged"] }
    error_message = "Weights with two decimals must be exact, and a version without a weight must be staged."
  }
  assert {
    condition     = aws_subnet.origins.availability_zone == "us-east-1c"
    error_message = "The subnet must be in a zone that has every instance type."
  }
  assert {
    condition     = strcontains(output.push, "--platform linux/amd64 --build-arg VERSION=version3") && strcontains(output.push, "--platform linux/arm64 --build-arg VERSION=version1")
    error_message = "Each image must be built for the architecture of its version's instance."
  }
}

run "domain" {
  override_resource {
    target = random_bytes.keys["2"]
    values = { hex = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210" }
  }

  variables {
    domain      = { name = "www.example.org", certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/12345678-1234-1234-1234-123456789012" }
    price_class = "PriceClass_100"
    alarm_email = "ops@example.org"
    keys        = ["2", "1"]
  }

  assert {
    condition = alltrue([
      aws_cloudfront_distribution.site.aliases == toset(["www.example.org"]),
      !aws_cloudfront_distribution.site.viewer_certificate[0].cloudfront_default_certificate,
      aws_cloudfront_distribution.site.viewer_certificate[0].minimum_protocol_version == "TLSv1.2_2021",
      aws_cloudfront_distribution.site.price_class == "PriceClass_100",
      output.url == "https://www.example.org",
    ])
    error_message = "The distribution must use the domain, its certificate and the price class."
  }
  assert {
    condition     = aws_sns_topic_subscription.email[0].endpoint == "ops@example.org"
    error_message = "Alarms must go to the e-mail address."
  }
  assert {
    condition = jsondecode(data.external.bundle.query.config).keys == join(",", [
      "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210", random_bytes.keys["1"].hex
    ])
    error_message = "The function must get the keys in the given order: the first key signs, all keys verify."
  }
}

run "an_app_of_your_own" {
  variables {
    versions = {
      "1" = { image_tag = "version1", weight = 100, domain = "v1.example.org" }
      "2" = {
        image       = "210987654321.dkr.ecr.eu-west-1.amazonaws.com/team/shop:2.0"
        port        = 3000
        environment = { DATABASE = "db.example.org", MODE = "a b" }
        sidecar_tag = "sidecar-7"
        domain      = "v2.example.org"
      }
      "3" = { image = "registry.example.org/shop@sha256:0123", port = 80, sidecar_tag = "sidecar-7", domain = "v3.example.org" }
    }
  }

  assert {
    condition = alltrue([
      for text in [
        "./pull 210987654321.dkr.ecr.eu-west-1.amazonaws.com/team/shop:2.0\n",
        "--publish 127.0.0.1:3000:3000 210987654321.dkr.ecr.eu-west-1.amazonaws.com/team/shop:2.0",
        "./parameter /stickshift/stickshift/versions/2/environment >>",
        "./pull 123456789012.dkr.ecr.us-east-1.amazonaws.com/stickshift:sidecar-7-arm64\n",
        "stickshift:sidecar-7-arm64 sidecar --version-code=2 --upstream http://127.0.0.1:3000 &&",
        "systemctl enable --now --no-block app.service stickshift.service stickshift-certificate.timer\n",
      ] : strcontains(aws_instance.versions["2"].user_data, text)
    ])
    error_message = "The instance must run the app on loopback, and the sidecar in front of it."
  }
  assert {
    condition     = !strcontains(aws_instance.versions["1"].user_data, "app.service")
    error_message = "An instance of the themed app must run nothing else."
  }
  assert {
    condition     = aws_ssm_parameter.environment["2"].value == "# Version 2\nDATABASE=db.example.org\nMODE=a b" && aws_ssm_parameter.environment["3"].value == "# Version 3"
    error_message = "The app must find its variables in Parameter Store."
  }
  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.versions["2"].policy).Statement : statement.Sid => statement }["Image"].Resource == [
      aws_ecr_repository.app.arn, "arn:aws:ecr:eu-west-1:210987654321:repository/team/shop",
    ]
    error_message = "The instance must be able to pull both images."
  }
  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.versions["3"].policy).Statement : statement.Sid => statement }["Image"].Resource == [
      aws_ecr_repository.app.arn,
    ]
    error_message = "An image outside ECR needs no permission."
  }
  assert {
    condition     = length(regexall("docker build .*--target sidecar .*:sidecar-7-arm64 [.]\n", output.push)) == 1
    error_message = "The sidecar's image must be built once, however many versions run it."
  }
}

run "plain_http" {
  variables {
    versions = {
      "1" = { image_tag = "version1", weight = 100 }
    }
  }

  expect_failures = [check.https]

  assert {
    condition = alltrue([
      jsondecode(data.external.bundle.query.config).plan.versions["1"].origin == { domain = "ec2-192-0-2-1.compute-1.amazonaws.com", port = 8000, protocol = "http" },
      one(aws_cloudfront_distribution.site.origin).custom_origin_config[0].origin_protocol_policy == "http-only",
      output.origins == { "1" = "http://ec2-192-0-2-1.compute-1.amazonaws.com:8000" },
      !strcontains(aws_instance.versions["1"].user_data, "TLS"),
    ])
    error_message = "A version without a domain must be reached by plain HTTP, with a warning."
  }
}

run "what_is_optional" {
  variables {
    rate_limit         = 2000
    write_alarm        = 600
    lease_alarm        = true
    log_retention_days = 30
  }

  assert {
    condition = jsondecode(aws_wafv2_web_acl.rate[0].rule_json)[0].Statement == {
      RateBasedStatement = { Limit = 2000, EvaluationWindowSec = 300, AggregateKeyType = "IP" }
    } && aws_cloudfront_distribution.site.web_acl_id == aws_wafv2_web_acl.rate[0].arn
    error_message = "The firewall must limit the requests of an address."
  }
  assert {
    condition = [
      aws_cloudwatch_metric_alarm.alarms["Writes"].threshold, aws_cloudwatch_metric_alarm.alarms["RolloutLeaseAge"].threshold,
      aws_cloudwatch_metric_alarm.alarms["RolloutLeaseAge"].period, aws_cloudwatch_metric_alarm.alarms["RolloutLeaseAge"].namespace,
      aws_cloudwatch_metric_alarm.alarms["RolloutLeaseAge"].treat_missing_data, aws_cloudwatch_metric_alarm.alarms["Writes"].treat_missing_data,
    ] == [3000, 120, 60, "stickshift", "breaching", "notBreaching"]
    error_message = "There must be alarms for many writes and for an old lease."
  }
  assert {
    condition = alltrue([
      for code, instance in aws_instance.versions :
      strcontains(instance.user_data, "put-metric-data --region us-east-1 --namespace stickshift --metric-name RolloutLeaseAge ") &&
      strcontains(instance.user_data, " stickshift-report.timer\n") &&
      { for statement in jsondecode(aws_iam_role_policy.versions[code].policy).Statement : statement.Sid => statement }["RolloutLeaseAge"].Action == "cloudwatch:PutMetricData"
    ])
    error_message = "Instances must report the age of a rollout's lease, and be allowed to."
  }
  assert {
    condition     = { for region, group in aws_cloudwatch_log_group.edge : region => [group.region, group.name, group.retention_in_days] } == { for region in ["ap-southeast-1", "eu-west-1", "us-east-1"] : region => [region, "/aws/lambda/us-east-1.stickshift-edge", 30] }
    error_message = "The function's logs must be kept for 30 days in every region of the tables."
  }
}

run "more_versions_than_elastic_ips" {
  command = plan

  variables {
    versions = { for code in ["1", "2", "3", "4", "5", "6"] : code => { image_tag = "version${code}", weight = code == "1" ? 100 : 0, domain = "v${code}.example.org" } }
  }

  expect_failures = [check.limits]
}

run "weights_that_do_not_add_up" {
  command = plan

  variables {
    versions = {
      "1" = { image_tag = "version1", weight = 90 }
      "2" = { image_tag = "version2", weight = 20 }
    }
  }

  expect_failures = [var.versions]
}

run "a_weight_with_three_decimals" {
  command = plan

  variables {
    versions = {
      "1" = { image_tag = "version1", weight = 99.999 }
      "2" = { image_tag = "version2", weight = 0.001 }
    }
  }

  expect_failures = [var.versions]
}

run "stable_without_a_weight" {
  command = plan

  variables {
    stable = "3"
    versions = {
      "1" = { image_tag = "version1", weight = 100, domain = "v1.example.org" }
      "3" = { image_tag = "version3", domain = "v3.example.org" }
    }
  }

  expect_failures = [var.stable]
}

run "stable_that_is_no_version" {
  command = plan

  variables {
    stable = "9"
  }

  expect_failures = [var.stable]
}

run "two_names_that_differ_in_case" {
  command = plan

  variables {
    stable = "a"
    versions = {
      a = { image_tag = "version1", weight = 100, domain = "v1.example.org" }
      A = { image_tag = "version2", domain = "v2.example.org" }
    }
  }

  expect_failures = [var.versions]
}

run "an_image_and_a_tag" {
  command = plan

  variables {
    versions = { "1" = { image_tag = "version1", image = "shop:2.0", port = 3000, weight = 100 } }
  }

  expect_failures = [var.versions]
}

run "an_image_without_a_port" {
  command = plan

  variables {
    versions = { "1" = { image = "shop:2.0", weight = 100 } }
  }

  expect_failures = [var.versions]
}

run "the_port_of_the_sidecar" {
  command = plan

  variables {
    versions = { "1" = { image = "shop:2.0", port = 8000, weight = 100 } }
  }

  expect_failures = [var.versions]
}

run "an_image_that_is_a_command" {
  command = plan

  variables {
    versions = { "1" = { image = "shop;reboot", port = 3000, weight = 100 } }
  }

  expect_failures = [var.versions]
}

run "an_image_that_is_an_option" {
  command = plan

  variables {
    versions = { "1" = { image = "--privileged", port = 3000, weight = 100 } }
  }

  expect_failures = [var.versions]
}

run "a_tag_that_is_a_command" {
  command = plan

  variables {
    versions = { "1" = { image_tag = "1;reboot", weight = 100 } }
  }

  expect_failures = [var.versions]
}

run "two_versions_with_one_tag" {
  command = plan

  variables {
    versions = { "1" = { image_tag = "same", weight = 100 }, "2" = { image_tag = "same" } }
  }

  expect_failures = [var.versions]
}

run "a_variable_of_two_lines" {
  command = plan

  variables {
    versions = { "1" = { image = "shop:2.0", port = 3000, weight = 100, environment = { TEXT = "a\nb" } } }
  }

  expect_failures = [var.versions]
}

run "a_domain_without_a_certificate" {
  command = plan

  variables {
    certificate = null
  }

  expect_failures = [var.certificate]
}

run "a_rate_that_waf_refuses" {
  command = plan

  variables {
    rate_limit = 1
  }

  expect_failures = [var.rate_limit]
}

run "a_replica_where_the_tables_are" {
  command = plan

  variables {
    replicas = ["us-east-1"]
  }

  expect_failures = [var.replicas]
}

run "a_version_with_a_bad_name" {
  command = plan

  variables {
    stable   = "v 1"
    versions = { "v 1" = { image_tag = "version1", weight = 100 } }
  }

  expect_failures = [var.versions]
}

run "instance_types_that_no_zone_has" {
  command = plan

  variables {
    versions = {
      "1" = { image_tag = "version1", weight = 100, domain = "v1.example.org" }
      "2" = { image_tag = "version2", instance_type = "t3.nano", domain = "v2.example.org" }
    }
  }

  override_data {
    target = data.aws_ec2_instance_type_offerings.zones["t3.nano"]
    values = { locations = ["us-east-1a"] }
  }

  expect_failures = [aws_subnet.origins]
}

run "a_name_that_ecr_refuses" {
  command = plan

  variables {
    name = "stick--shift"
  }

  expect_failures = [var.name]
}

run "no_key" {
  command = plan

  variables {
    keys = []
  }

  expect_failures = [var.keys]
}
