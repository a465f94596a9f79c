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

run "no_replicas_and_a_third_version" {
  variables {
    replicas            = []
    deletion_protection = false
    versions = {
      "1" = { image_tag = "version1", weight = 99.75 }
      "2" = { image_tag = "version2", weight = 0.25 }
      "3" = { image_tag = "version3", instance_type = "t3.nano" }
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
    condition     = alltrue([for table in aws_dynamodb_table.tables : !table.stream_enabled && length(table.replica) == 0 && !table.deletion_protection_enabled])
    error_message = "Without replicas, the tables must have no stream. The variable must be able to switch deletion protection off."
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
      "1" = { image_tag = "version1", weight = 100 }
      "3" = { image_tag = "version3" }
    }
  }

  expect_failures = [aws_dynamodb_table_item.first_plan]
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
      "1" = { image_tag = "version1", weight = 100 }
      "2" = { image_tag = "version2", instance_type = "t3.nano" }
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
