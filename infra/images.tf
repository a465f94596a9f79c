resource "aws_ecr_repository" "app" {
  # checkov:skip=CKV_AWS_136: encrypted with AES-256; there is nothing secret in an image
  name                 = var.name
  image_tag_mutability = "IMMUTABLE"
  # Images are made again from the sources.
  force_delete = true

  image_scanning_configuration {
    scan_on_push = true
  }
}

locals {
  registry = split("/", aws_ecr_repository.app.repository_url)[0]
}
