output "url" {
  description = "Where the site is."
  value       = "https://${var.domain == null ? aws_cloudfront_distribution.site.domain_name : var.domain.name}"
}

output "distribution" {
  description = "The distribution's id, and the name that a domain of one's own must point to."
  value       = { id = aws_cloudfront_distribution.site.id, domain_name = aws_cloudfront_distribution.site.domain_name }
}

output "tables" {
  description = "The tables' names."
  value       = { for key, table in aws_dynamodb_table.tables : key => table.name }
}

output "repository" {
  description = "Where instances get their images."
  value       = aws_ecr_repository.app.repository_url
}

output "push" {
  description = "Makes and pushes the image of every version, in the repository's root: terraform output -raw push | bash"
  value = join("\n", concat(
    ["set -e", "aws ecr get-login-password --region ${local.region} | docker login --username AWS --password-stdin ${local.registry}"],
    flatten([
      for code, version in var.versions : [
        "docker build --platform linux/${local.architectures[version.instance_type] == "arm64" ? "arm64" : "amd64"} --build-arg VERSION=version${code} --build-arg REVISION=$(git rev-parse HEAD) --tag ${aws_ecr_repository.app.repository_url}:${version.image_tag} .",
        "docker push ${aws_ecr_repository.app.repository_url}:${version.image_tag}",
      ]
    ]),
    [""],
  ))
}

output "origins" {
  description = "Where each version is, for the plan."
  value       = { for code, version in local.first_plan : code => "${version.domain}:${local.port}" }
}

output "instances" {
  description = "The instances by version, for: aws ssm start-session --region us-east-1 --target ID"
  value       = { for code, instance in aws_instance.versions : code => instance.id }
}

output "function" {
  description = "The function's name, to delete it hours after all else."
  value       = aws_lambda_function.edge.function_name
}
