# Answers of the mocked providers, for the values whose format matters.
mock_resource "aws_eip" {
  defaults = {
    public_dns = "ec2-192-0-2-1.compute-1.amazonaws.com"
  }
}

mock_resource "aws_lambda_function" {
  defaults = {
    arn           = "arn:aws:lambda:us-east-1:123456789012:function:stickshift-edge"
    qualified_arn = "arn:aws:lambda:us-east-1:123456789012:function:stickshift-edge:7"
  }
}

mock_resource "aws_iam_role" {
  defaults = {
    arn = "arn:aws:iam::123456789012:role/a-role"
  }
}

mock_resource "aws_sns_topic" {
  defaults = {
    arn = "arn:aws:sns:us-east-1:123456789012:stickshift-alarms"
  }
}

mock_resource "aws_ecr_repository" {
  defaults = {
    arn            = "arn:aws:ecr:us-east-1:123456789012:repository/stickshift"
    repository_url = "123456789012.dkr.ecr.us-east-1.amazonaws.com/stickshift"
  }
}

mock_resource "aws_ssm_parameter" {
  defaults = {
    arn = "arn:aws:ssm:us-east-1:123456789012:parameter/stickshift/a-secret"
  }
}

mock_data "aws_caller_identity" {
  defaults = {
    account_id = "123456789012"
  }
}

mock_data "aws_partition" {
  defaults = {
    partition = "aws"
  }
}

mock_data "aws_ec2_instance_type_offerings" {
  defaults = {
    locations = ["us-east-1c", "us-east-1b"]
  }
}

mock_data "aws_ec2_instance_type" {
  defaults = {
    supported_architectures = ["arm64"]
  }
}

mock_data "aws_ssm_parameter" {
  defaults = {
    insecure_value = "ami-0123456789abcdef0"
  }
}

mock_data "aws_ec2_managed_prefix_list" {
  defaults = {
    id = "pl-3b927c52"
  }
}

mock_data "external" {
  defaults = {
    result = { zip = "build/5a.zip", sha256 = "c2hhMjU2", pass_key = "9a55" }
  }
}

mock_resource "random_bytes" {
  defaults = {
    hex = "5ec4e7005ec4e7005ec4e7005ec4e7005ec4e7005ec4e7005ec4e7005ec4e700"
  }
}

mock_resource "time_static" {
  defaults = {
    unix = 1790000000
  }
}
