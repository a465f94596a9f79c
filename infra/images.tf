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

  # An image in ECR: its account, its region and its repository.
  ecr_image = "^([0-9]{12})[.]dkr[.]ecr[.]([a-z0-9-]+)[.]amazonaws[.]com(?:[.]cn)?/([^:@]+)"

  platforms = { for type, architecture in local.architectures : type => architecture == "arm64" ? "arm64" : "amd64" }

  # The image of Stickshift that each version runs: its themed app, or the sidecar.
  images = {
    for code, version in var.versions : code => join(":", [
      aws_ecr_repository.app.repository_url,
      version.image == null ? version.image_tag : "${version.sidecar_tag}-${local.platforms[version.instance_type]}",
    ])
  }

  # What each of these images is built from. Several versions may run the same sidecar.
  builds = {
    for code, version in var.versions : local.images[code] => join(" ", [
      "--platform linux/${local.platforms[version.instance_type]}",
      version.image == null ? "--build-arg VERSION=version${code}" : "--target sidecar",
    ])...
  }
}
