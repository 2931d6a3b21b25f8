variable "name" {
  description = "What everything made here is called."
  type        = string
  default     = "tocsin"
  validation {
    condition     = can(regex("^[a-z]([-a-z0-9]{0,30}[a-z0-9])?$", var.name))
    error_message = "Lower-case letters, digits and hyphens, 32 characters at the most."
  }
}

variable "namespace" {
  description = "The namespace of the cluster; it is made."
  type        = string
  default     = "tocsin"
}

variable "public_url" {
  description = "How people reach it, such as https://tocsin.example.com; links in messages lead there."
  type        = string
  validation {
    condition     = can(regex("^https://[^/ ]+$", var.public_url))
    error_message = "An https address without a path."
  }
}

variable "image" {
  description = "The image: its repository, and a tag or a digest."
  type = object({
    repository = string
    tag        = optional(string, "")
    digest     = optional(string, "")
  })
}

variable "database_url" {
  description = "A PostgreSQL that is there already. Empty: a managed one is made."
  type        = string
  default     = ""
  sensitive   = true
}

variable "database" {
  description = "The managed PostgreSQL: where, how large, how many nodes (2 or more stand in for each other)."
  type = object({
    region  = optional(string, "fra1")
    size    = optional(string, "db-s-2vcpu-4gb")
    nodes   = optional(number, 2)
    version = optional(string, "16")
    network = optional(string, null)
  })
  default = {}
}

variable "cluster_id" {
  description = "The Kubernetes cluster that may reach the managed PostgreSQL. Empty: rules of the database are somebody else's."
  type        = string
  default     = ""
}

variable "secrets" {
  description = "More settings that are secret, such as SLACK_BOT_TOKEN or SENDGRID_API_KEY."
  type        = map(string)
  default     = {}
  sensitive   = true
}

variable "values" {
  description = "Values of the chart (deploy/helm/tocsin/values.yaml) over those that follow from the rest."
  type        = any
  default     = {}
}
