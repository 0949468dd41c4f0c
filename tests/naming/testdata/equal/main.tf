# SPDX-License-Identifier: GPL-3.0-or-later

variable "apps" {
  type = list(object({ name = string, envs = optional(list(string), ["prod"]) }))
}

variable "table" {
  type    = any
  default = null
}

module "naming" {
  source = "../../../../tofu/naming"
  apps   = var.apps
  table  = var.table
}

output "instances" {
  value = module.naming.instances
}
