terraform {
  # A validation of a variable may refer to another variable since 1.9.
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source = "hashicorp/aws"
      # Since 6.19 it knows both runtimes of the function.
      version = ">= 6.19, < 7.0"
    }
    external = {
      source  = "hashicorp/external"
      version = "~> 2.3"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.6"
    }
    time = {
      source  = "hashicorp/time"
      version = "~> 0.11"
    }
  }
}

locals {
  # CloudFront accepts functions and certificates only from this region, and has its metrics here.
  region = "us-east-1"
}

provider "aws" {
  region = local.region

  default_tags {
    tags = { Application = var.name }
  }
}

check "limits" {
  assert {
    condition     = length(var.versions) <= 5
    error_message = "An account may have 5 Elastic IPs in a region, and each version needs one. For more versions, have this quota raised: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/elastic-ip-addresses-eip.html"
  }
}

check "https" {
  assert {
    condition     = alltrue([for version in var.versions : version.domain != null])
    error_message = "CloudFront reaches these versions by plain HTTP: ${join(", ", [for code, version in var.versions : code if version.domain == null])}. The network between can read cookies and the origin secret. Give the next version a domain: see docs/https-to-the-origin.md."
  }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}
