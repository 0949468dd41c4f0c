# SPDX-License-Identifier: GPL-3.0-or-later

variable "namespace" { type = string }
variable "policy" { type = string }
variable "ci_policy" { type = string }
variable "config" { type = string }
variable "creds" { type = string }
variable "state_prefix" { type = string }
variable "host" { type = string }

resource "terraform_data" "policy" {
  for_each = { run = var.policy, ci = var.ci_policy }
  input    = { name = each.value, paths = [var.config, var.creds] }
}

resource "terraform_data" "kubernetes" {
  input            = { namespace = var.namespace, host = var.host, state = var.state_prefix }
  triggers_replace = [var.namespace]
}
