variable "name" {
  description = "Start of the name of every resource except the tables: 2 to 32 characters of a-z, 0-9 and single hyphens."
  type        = string
  default     = "stickshift"

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.name)) && length(var.name) >= 2 && length(var.name) <= 32 && !can(regex("^(aws|ssm)", var.name))
    error_message = "The name must have 2 to 32 characters of a-z, 0-9 and single hyphens. It must start with a letter, but not with aws or ssm."
  }
}

variable "versions" {
  description = <<-EOT
    The versions, by VERSION_CODE. A version is one of two things:
    - the themed app: `image_tag` is the tag of its image in the repository that Terraform makes;
    - your own app: `image` is its image in any registry, and `port` is the port on which the app
      listens in its container. `environment` has the app's variables. `sidecar_tag` is the tag of the
      sidecar's image in the repository that Terraform makes.

    `weight` is the version's share of new sessions in the first plan, in percent with at most two
    decimals; a version with weight 0 is staged. Terraform uses the weights only once. After that, change
    the plan in the rollout table. `instance_type` is the type of the EC2 instance, of any generation
    since t3. `domain` is a name of your own for the version's origin: with it, CloudFront reaches the
    origin by HTTPS, with the certificate in `certificate`. Give a domain to new versions only: the
    origins of the versions in use are in the plan, and would no longer answer.
  EOT
  type = map(object({
    image_tag     = optional(string)
    image         = optional(string)
    port          = optional(number)
    environment   = optional(map(string), {})
    sidecar_tag   = optional(string, "sidecar")
    weight        = optional(number, 0)
    instance_type = optional(string, "t4g.nano")
    domain        = optional(string)
  }))
  default = {
    "1" = { image_tag = "version1", weight = 90 }
    "2" = { image_tag = "version2", weight = 10 }
  }

  validation {
    condition     = alltrue([for code in keys(var.versions) : can(regex("^[A-Za-z0-9_-]{1,16}$", code))])
    error_message = "A VERSION_CODE must have 1 to 16 characters of A-Z, a-z, 0-9, _ and -."
  }

  # IAM compares the names of roles without regard to case.
  validation {
    condition     = length(distinct([for code in keys(var.versions) : lower(code)])) == length(var.versions)
    error_message = "Two VERSION_CODEs must not differ only in case."
  }

  validation {
    condition     = alltrue([for version in var.versions : (version.image_tag == null) != (version.image == null)])
    error_message = "Each version must have either `image_tag` (the themed app) or `image` (your own app)."
  }

  validation {
    condition     = alltrue([for version in var.versions : (version.image == null) == (version.port == null)])
    error_message = "A version with `image` needs `port`, the port on which the app listens in its container. A version with `image_tag` has none."
  }

  # The sidecar listens on 8000 and answers monitors on 9464. Port 22 of an instance is taken, too.
  validation {
    condition     = alltrue([for version in var.versions : version.port == null ? true : version.port == floor(version.port) && version.port >= 1 && version.port <= 65535 && !contains([22, 8000, 9464], version.port)])
    error_message = "A port must be a number from 1 to 65535, but not 22, 8000 or 9464, which are in use on the instance."
  }

  validation {
    condition     = alltrue([for version in var.versions : version.image == null ? true : can(regex("^[A-Za-z0-9][A-Za-z0-9._:/@-]*$", version.image))])
    error_message = "An image must be the name of an image, for example 123456789012.dkr.ecr.us-east-1.amazonaws.com/shop:2.0."
  }

  validation {
    condition = alltrue(flatten([
      for version in var.versions : [
        for name, value in version.environment : can(regex("^[A-Za-z_][A-Za-z0-9_]*$", name)) && can(regex("^[^\n\r]*$", value)) && !strcontains(value, "{{")
      ]
    ]))
    error_message = "The names in `environment` must have characters of A-Z, a-z, 0-9 and _. A value must have one line, and no {{, which Parameter Store refuses."
  }

  # User data and the output `push` put tags into commands.
  validation {
    condition     = alltrue([for version in var.versions : can(regex("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,100}$", coalesce(version.image_tag, version.sidecar_tag)))])
    error_message = "A tag must have 1 to 101 characters of A-Z, a-z, 0-9, _, . and -, and must not start with . or -."
  }

  validation {
    condition     = length(distinct([for version in var.versions : version.image_tag if version.image_tag != null])) == length([for version in var.versions : version if version.image_tag != null])
    error_message = "Each version of the themed app needs an `image_tag` of its own."
  }

  validation {
    condition     = alltrue([for version in var.versions : version.domain == null ? true : can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?[.])+[a-z]+$", version.domain))])
    error_message = "A domain must be a name in lower case, for example v2.origin.example.com."
  }

  validation {
    condition     = alltrue([for version in var.versions : can(regex("^[0-9]{1,3}([.][0-9]{1,2})?$", tostring(version.weight)))])
    error_message = "A weight must be 0 to 100 percent, with at most two decimals."
  }

  validation {
    condition     = floor(sum(concat([0], [for version in var.versions : version.weight])) * 100 + 0.5) == 10000
    error_message = "The weights must add up to 100 percent."
  }
}

variable "stable" {
  description = "The version that a request goes to when nothing better is known. Its weight must be above 0."
  type        = string
  default     = "1"

  validation {
    condition     = try(var.versions[var.stable].weight > 0, false)
    error_message = "`stable` must be one of `versions`, and its weight must be above 0."
  }
}

variable "certificate" {
  description = <<-EOT
    The certificate for the domains of the origins: the names of two parameters in Parameter Store in
    us-east-1. The first contains the certificate and its chain as PEM, the second, a SecureString, its
    key as PEM. Versions that have a `domain` need it. See docs/https-to-the-origin.md.
  EOT
  type        = object({ certificate_parameter = string, key_parameter = string })
  default     = null

  validation {
    condition     = var.certificate == null ? alltrue([for version in var.versions : version.domain == null]) : true
    error_message = "A version with a `domain` needs `certificate`."
  }

  validation {
    condition     = var.certificate == null ? true : alltrue([for name in values(var.certificate) : can(regex("^/[A-Za-z0-9_./-]+$", name))])
    error_message = "The names of the parameters must start with a slash and have characters of A-Z, a-z, 0-9, _, ., / and -."
  }
}

variable "replicas" {
  description = "Regions that hold replicas of the tables, in addition to us-east-1. The function asks the two regions nearest to the viewer."
  type        = set(string)
  default     = ["eu-west-1", "ap-southeast-1"]

  validation {
    condition     = !contains(var.replicas, "us-east-1")
    error_message = "Do not list us-east-1: the tables themselves are there."
  }
}

variable "tables" {
  description = "Names of the tables. They are the same in every region."
  type = object({
    sessions = optional(string, "SessionsTable")
    rollout  = optional(string, "RolloutTable")
  })
  default = {}
}

variable "point_in_time_recovery" {
  description = "Whether you can restore the tables and their replicas to any second of the last 35 days."
  type        = bool
  default     = true
}

variable "deletion_protection" {
  description = "Whether DynamoDB refuses to delete the tables in us-east-1. Replicas in other regions are not protected."
  type        = bool
  default     = true
}

variable "settings" {
  description = "Settings of the versions and the function (see docs/settings.md). The last three are for the function only (see docs/lambda-at-edge.md)."
  type = object({
    session_seconds          = optional(number, 600)
    session_max_seconds      = optional(number, 0)
    touch_interval_seconds   = optional(number, 60)
    trust_window_seconds     = optional(number, 60)
    clock_allowance_seconds  = optional(number, 60)
    accept_bare_tokens       = optional(bool, false)
    accept_unprefixed_cookie = optional(bool, false)
    same_site                = optional(string, "lax")
    plan_ttl_seconds         = optional(number, 5)
    hedge_delay_milliseconds = optional(number, 60)
    deadline_milliseconds    = optional(number, 250)
    keep_viewer_host         = optional(bool, false)
  })
  default = {}
}

variable "keys" {
  description = "Names of the receipt keys, which Terraform creates. The first key signs, all keys verify. To rotate them, see docs/aws.md."
  type        = list(string)
  default     = ["1"]

  validation {
    condition     = length(var.keys) > 0 && length(distinct(var.keys)) == length(var.keys)
    error_message = "List at least one name, and each name only once."
  }
}

variable "function_runtime" {
  description = "Node.js runtime of the function. nodejs24.x needs AWS provider 6.19 or later."
  type        = string
  default     = "nodejs24.x"

  validation {
    condition     = contains(["nodejs22.x", "nodejs24.x"], var.function_runtime)
    error_message = "The runtime must be nodejs22.x or nodejs24.x."
  }
}

variable "domain" {
  description = "Your own domain, and its certificate in ACM in us-east-1. The DNS record of the domain must point to the distribution."
  type        = object({ name = string, certificate_arn = string })
  default     = null
}

variable "price_class" {
  description = "The locations from which CloudFront serves: PriceClass_100 (North America, Europe, Israel), PriceClass_200 or PriceClass_All."
  type        = string
  default     = "PriceClass_All"

  validation {
    condition     = contains(["PriceClass_100", "PriceClass_200", "PriceClass_All"], var.price_class)
    error_message = "The price class must be PriceClass_100, PriceClass_200 or PriceClass_All."
  }
}

variable "rate_limit" {
  description = "How many requests CloudFront accepts from one address in five minutes; more get 403. AWS WAF does this and costs extra. Without it, there is no limit."
  type        = number
  default     = null

  validation {
    condition     = var.rate_limit == null ? true : var.rate_limit >= 10 && var.rate_limit <= 2000000000 && floor(var.rate_limit) == var.rate_limit
    error_message = "The limit must be 10 to 2,000,000,000 requests in five minutes."
  }
}

variable "write_alarm" {
  description = "How many writes a minute the table of sessions may get in us-east-1 before an alarm, on average over five minutes. Each session begins with one write. Without it, there is no such alarm."
  type        = number
  default     = null
}

variable "lease_alarm" {
  description = "Whether there is an alarm when nobody has looked at a rollout that runs by itself (`stickshift rollout run`) for some minutes. The instances report this to CloudWatch every minute."
  type        = bool
  default     = false
}

variable "log_retention_days" {
  description = "How many days CloudWatch keeps the function's logs in the regions of the tables. Without it, the function makes its log groups itself, and they are kept for ever."
  type        = number
  default     = null
}

variable "alarm_email" {
  description = "E-mail address that gets the alarms, after its owner has confirmed the subscription. Without it, nobody gets e-mail, but the alarms' topic still exists."
  type        = string
  default     = null
}
