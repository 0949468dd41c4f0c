# SPDX-License-Identifier: GPL-3.0-or-later

output "instances" {
  description = "Every app in every env by its key (the app in production, app-env elsewhere): app, env, key and names by system. Made for for_each."
  value       = { for n, pair in local.pairs : pair.key => merge(pair, { names = local.names[n] }) }

  precondition {
    condition     = length(local.bad_apps) == 0
    error_message = "These cannot be the names of apps: ${join(", ", local.bad_apps)}. A name has lower-case letters, digits and single hyphens, at most 63, begins with a letter, does not end in prod and is not reserved."
  }
  precondition {
    condition     = length(local.bad_envs) == 0
    error_message = "These cannot be envs: ${join(", ", local.bad_envs)}. An env is prod, or has lower-case letters, digits and single hyphens, at most 63, begins with a letter, does not end in prod and is not reserved."
  }
  precondition {
    condition     = !local.apps_twice
    error_message = "An app is listed twice; merge its envs."
  }
  precondition {
    condition     = length(local.envs_twice) == 0
    error_message = "These apps have an env twice: ${join(", ", local.envs_twice)}."
  }
  precondition {
    condition     = length(local.no_envs) == 0
    error_message = "These apps have no env: ${join(", ", local.no_envs)}. Leave envs out for production alone, or leave the app out."
  }
  precondition {
    condition     = length(local.refused) == 0
    error_message = "These names would be refused: ${join("; ", local.refused)}."
  }
  precondition {
    condition     = length(local.collisions) == 0
    error_message = "No two may share a name, and these would be shared: ${join("; ", local.collisions)}."
  }
}
