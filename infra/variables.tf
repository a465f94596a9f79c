variable "name" {
  description = "What everything but the tables is called, and the start of every name: 2 to 32 of a-z, 0-9 and single -."
  type        = string
  default     = "stickshift"

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.name)) && length(var.name) >= 2 && length(var.name) <= 32 && !can(regex("^(aws|ssm)", var.name))
    error_message = "It takes 2 to 32 of a-z, 0-9 and single -, a letter first, and no aws or ssm at the start."
  }
}

variable "versions" {
  description = <<-EOT
    The versions of the app by their VERSION_CODE: the tag of each one's image, its share of new sessions in the first
    plan, in percent with two decimals (0: staged), and its EC2 instance's type, of any generation since t3. Shares count
    once only: from then on the plan is changed in the rollout table.
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
    error_message = "A VERSION_CODE takes 1 to 16 of A-Z, a-z, 0-9, _ and -."
  }

  validation {
    condition     = alltrue([for version in var.versions : can(regex("^[0-9]{1,3}([.][0-9]{1,2})?$", tostring(version.weight)))])
    error_message = "A weight takes 0 to 100 percent with at most two decimals."
  }

  validation {
    condition     = floor(sum(concat([0], [for version in var.versions : version.weight])) * 100 + 0.5) == 10000
    error_message = "The weights must add up to 100 percent."
  }
}

variable "stable" {
  description = "The version that a request goes to when nothing better is known; one with a weight."
  type        = string
  default     = "1"
}

variable "replicas" {
  description = "Regions that hold replicas of the tables, beside us-east-1. The function asks the two nearest to the viewer."
  type        = set(string)
  default     = ["eu-west-1", "ap-southeast-1"]

  validation {
    condition     = !contains(var.replicas, "us-east-1")
    error_message = "The tables themselves are in us-east-1."
  }
}

variable "tables" {
  description = "The tables' names, the same in every region."
  type = object({
    sessions = optional(string, "SessionsTable")
    rollout  = optional(string, "RolloutTable")
  })
  default = {}
}

variable "point_in_time_recovery" {
  description = "Whether the tables and their replicas can be restored to any second of the last 35 days."
  type        = bool
  default     = true
}

variable "deletion_protection" {
  description = "Whether DynamoDB refuses to delete the tables in us-east-1. Their replicas it deletes."
  type        = bool
  default     = true
}

variable "settings" {
  description = "What the versions and the function go by alike: docs/settings.md. The last three are the function's: docs/lambda-at-edge.md."
  type = object({
    session_seconds          = optional(number, 600)
    touch_interval_seconds   = optional(number, 60)
    trust_window_seconds     = optional(number, 60)
    clock_allowance_seconds  = optional(number, 60)
    accept_bare_tokens       = optional(bool, false)
    plan_ttl_seconds         = optional(number, 5)
    hedge_delay_milliseconds = optional(number, 60)
    deadline_milliseconds    = optional(number, 250)
    keep_viewer_host         = optional(bool, false)
  })
  default = {}
}

variable "keys" {
  description = "Names of the receipts' keys, which Terraform makes: the first signs, all verify. How to rotate them: docs/aws.md."
  type        = list(string)
  default     = ["1"]

  validation {
    condition     = length(var.keys) > 0 && length(distinct(var.keys)) == length(var.keys)
    error_message = "It takes at least one name, each once."
  }
}

variable "function_runtime" {
  description = "Node.js for the function. nodejs24.x takes AWS provider 6.19 or later."
  type        = string
  default     = "nodejs24.x"

  validation {
    condition     = contains(["nodejs22.x", "nodejs24.x"], var.function_runtime)
    error_message = "It takes nodejs22.x or nodejs24.x."
  }
}

variable "domain" {
  description = "A domain of your own, and its certificate in ACM in us-east-1. Its DNS record must point to the distribution."
  type        = object({ name = string, certificate_arn = string })
  default     = null
}

variable "price_class" {
  description = "Where CloudFront serves from: PriceClass_100 (North America, Europe, Israel), PriceClass_200 or PriceClass_All."
  type        = string
  default     = "PriceClass_All"

  validation {
    condition     = contains(["PriceClass_100", "PriceClass_200", "PriceClass_All"], var.price_class)
    error_message = "It takes PriceClass_100, PriceClass_200 or PriceClass_All."
  }
}

variable "alarm_email" {
  description = "Who gets the alarms by e-mail, once the subscription is confirmed. Unless set, nobody; their topic is there all the same."
  type        = string
  default     = null
}
