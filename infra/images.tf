resource "aws_ecr_repository" "app" {
  # checkov:skip=CKV_AWS_136: images contain no secrets, so encryption with AES-256 is enough
  name                 = var.name
  image_tag_mutability = "IMMUTABLE"
  # The images can be built again from the sources.
  force_delete = true

  image_scanning_configuration {
    scan_on_push = true
  }
}

locals {
  registry = split("/", aws_ecr_repository.app.repository_url)[0]
}
