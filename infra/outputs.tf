locals {
  url = "https://${var.domain == null ? aws_cloudfront_distribution.site.domain_name : var.domain.name}"
}

output "url" {
  description = "URL of the site."
  value       = local.url
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
  description = "Commands that build and push the image of every version, which for an app of your own is the sidecar's. Run them in the root of the source tree: terraform output -raw push | bash"
  value = join("\n", concat(
    ["set -e", "aws ecr get-login-password --region ${local.region} | docker login --username AWS --password-stdin ${local.registry}"],
    flatten([
      for image, builds in local.builds : [
        "docker build ${builds[0]} --build-arg REVISION=$(git rev-parse HEAD) --tag ${image} .",
        "docker push ${image}",
      ]
    ]),
    [""],
  ))
}

output "origins" {
  description = "Origin of each version, to use in: stickshift rollout add VERSION --origin ORIGIN"
  value       = { for code, origin in local.origins : code => "${origin.protocol}://${origin.domain}:${origin.port}" }
}

output "addresses" {
  description = "IP address of each version. The DNS record of a version's `domain` must point to it."
  value       = { for code, address in aws_eip.versions : code => address.public_ip }
}

output "policies" {
  description = "ARNs of the IAM policies for whoever uses `stickshift rollout`: `operator` may do everything, `viewer` may only look."
  value       = { for role, policy in aws_iam_policy.people : role => policy.arn }
}

output "instances" {
  description = "Instance id of each version, to use as ID in: aws ssm start-session --region us-east-1 --target ID"
  value       = { for code, instance in aws_instance.versions : code => instance.id }
}

output "function" {
  description = "Name of the function. You need it to delete the function some hours after everything else."
  value       = aws_lambda_function.edge.function_name
}
