terraform {
  required_version = ">= 1.7"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.40, < 7.0"
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

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}
