# SPDX-License-Identifier: GPL-3.0-or-later

# The same root with envs. What every env has its own of goes over the module's
# instances, whose keys are the apps' names in production; what an app has once
# goes over the apps. No name is put together here any more.

variable "applications" {
  type = list(object({ name = string, envs = optional(list(string), ["prod"]) }))
}

module "naming" {
  source = "../../../../tofu/naming"
  apps   = var.applications
}

locals {
  instances = module.naming.instances
  # What belongs to an app in all its envs.
  apps = { for instance in local.instances : instance.app => instance.names... }
}

resource "terraform_data" "repository" {
  for_each = local.apps
  input    = each.value[0].gitea_repository
}

resource "terraform_data" "ci_role" {
  for_each = local.apps
  # An env is operated with policies of its own: the role of production's CI does not grow with it.
  input            = { name = each.value[0].ci_jwt_role, policies = [local.instances[each.key].names.vault_ci_policy] }
  triggers_replace = [terraform_data.repository[each.key].output]
}

resource "terraform_data" "role" {
  for_each = local.instances
  input    = { name = each.value.names.postgres_role, login = false }
}

resource "terraform_data" "database" {
  for_each         = local.instances
  input            = { name = each.value.names.postgres_database, owner = terraform_data.role[each.key].output.name }
  triggers_replace = [each.value.names.postgres_database]
}

module "app" {
  source       = "./app"
  for_each     = local.instances
  namespace    = each.value.names.kubernetes_namespace
  policy       = each.value.names.vault_policy
  ci_policy    = each.value.names.vault_ci_policy
  config       = each.value.names.vault_config
  creds        = each.value.names.vault_postgres_creds
  state_prefix = each.value.names.state_prefix
  host         = each.value.names.dns
}
