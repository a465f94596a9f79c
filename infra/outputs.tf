output "url" {
  description = "URL of the site."
  value       = "https://${var.domain == null ? aws_cloudfront_distribution.site.domain_name : var.domain.name}"
}

output "distribution" {
  description = "Id and domain name of the distribution. The DNS record of your own domain must point to this domain name."
  value       = { id = aws_cloudfront_distribution.site.id, domain_name = aws_cloudfront_distribution.site.domain_name }
}

output "tables" {
  description = "Names of the tables."
  value       = { for key, table in aws_dynamodb_table.tables : key => table.name }
}

output "repository" {
  description = "URL of the image repository from which the instances pull their images."
  value       = aws_ecr_repository.app.repository_url
}

output "push" {
  description = "Commands that build and push the image of every version. Run them in the root of the source tree: terraform output -raw push | bash"
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
  description = "Origin of each version (domain:port), to use in the plan."
  value       = { for code, version in local.first_plan : code => "${version.domain}:${local.port}" }
}

output "instances" {
  description = "Instance id of each version, to use as ID in: aws ssm start-session --region us-east-1 --target ID"
  value       = { for code, instance in aws_instance.versions : code => instance.id }
}

output "function" {
  description = "Name of the function. You need it to delete the function some hours after everything else."
  value       = aws_lambda_function.edge.function_name
}
