# SPDX-License-Identifier: GPL-3.0-or-later

# A root as platforms have it before there are envs: applications are words, and
# every name is put together where it is needed.

variable "applications" {
  type = set(string)
}

resource "terraform_data" "repository" {
  for_each = var.applications
  input    = "arcodange-org/${each.value}"
}

resource "terraform_data" "ci_role" {
  for_each         = var.applications
  input            = { name = "gitea_cicd_${each.value}", policies = ["${each.value}-ops"] }
  triggers_replace = [terraform_data.repository[each.value].output]
}

resource "terraform_data" "role" {
  for_each = var.applications
  input    = { name = "${each.value}_role", login = false }
}

resource "terraform_data" "database" {
  for_each         = var.applications
  input            = { name = each.value, owner = terraform_data.role[each.value].output.name }
  triggers_replace = [each.value]
}

module "app" {
  source       = "./app"
  for_each     = var.applications
  namespace    = each.value
  policy       = each.value
  ci_policy    = "${each.value}-ops"
  config       = "kvv2/${each.value}/config"
  creds        = "postgres/creds/${each.value}"
  state_prefix = "${each.value}/main"
  host         = "${each.value}.arcodange.lab"
}
