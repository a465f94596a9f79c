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
    The versions of the app, by VERSION_CODE. Each has the tag of its image, its weight in the first
    plan, and the type of its EC2 instance. The weight is its share of new sessions, in percent with at
    most two decimals; a version with weight 0 is staged. The type can be of any generation since t3.
    Terraform uses the weights only once, for the first plan. After that, change the plan in the
    rollout table.
  EOT
  type = map(object({
    image_tag     = string
    weight        = optional(number, 0)
    instance_type = optional(string, "t4g.nano")
  }))
  default = {
    "1" = { image_tag = "version1", weight = 90 }
    "2" = { image_tag = "version2", weight = 10 }
  }

  validation {
    condition     = alltrue([for code in keys(var.versions) : can(regex("^[A-Za-z0-9_-]{1,16}$", code))])
    error_message = "A VERSION_CODE must have 1 to 16 characters of A-Z, a-z, 0-9, _ and -."
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

variable "alarm_email" {
  description = "E-mail address that gets the alarms, after its owner has confirmed the subscription. Without it, nobody gets e-mail, but the alarms' topic still exists."
  type        = string
  default     = null
}
