# SPDX-License-Identifier: GPL-3.0-or-later
#
# What applications are called in every system, from their names and envs. The
# table of systems is systems.json, which is made of the one table that the
# collection's modules use as well; only how a pattern is filled stands here.

locals {
  table   = var.table != null ? var.table : jsondecode(file("${path.module}/systems.json"))
  systems = local.table.systems

  # Lower-case kebab-case, beginning with a letter.
  word = "^[a-z][a-z0-9]*(-[a-z0-9]+)*$"

  pairs = flatten([for app in var.apps : [for env in app.envs : {
    app = app.name
    env = env
    # One word for the instance. In production it is the app's, so that addresses stay what they were without envs.
    key = env == "prod" ? app.name : "${app.name}-${env}"
  }]])

  # Patterns have no two placeholders side by side and words have no < or >, so that one after the other is safe.
  names = [for pair in local.pairs : {
    for id, system in local.systems : id => replace(
      replace(pair.env == "prod" || system.scope == "app" ? system.prod : system.other, "<app>", pair.app),
      "<env>", pair.env
    )
  }]

  bad_apps = distinct([for app in var.apps : app.name if(
    !can(regex(local.word, app.name)) || length(app.name) > 63 ||
    app.name == "prod" || endswith(app.name, "-prod") || contains(local.table.reserved.apps, app.name)
  )])
  bad_envs = distinct([for pair in local.pairs : pair.env if pair.env != "prod" && (
    !can(regex(local.word, pair.env)) || length(pair.env) > 63 ||
    endswith(pair.env, "-prod") || contains(local.table.reserved.envs, pair.env)
  )])
  apps_twice = length(distinct(var.apps[*].name)) < length(var.apps)
  envs_twice = [for app in var.apps : app.name if length(distinct(app.envs)) < length(app.envs)]
  no_envs    = [for app in var.apps : app.name if length(app.envs) == 0]

  refused = distinct(flatten([for n, pair in local.pairs : [
    for id, system in local.systems : "${id} ${local.names[n][id]} (${length(local.names[n][id])} bytes): ${system.says}"
    if(
      length(local.names[n][id]) > system.max_bytes ||
      system.parts != 0 && length(split(system.split == "" ? "\n" : system.split, local.names[n][id])) != system.parts ||
      anytrue([for part in split(system.split == "" ? "\n" : system.split, local.names[n][id]) :
        system.part_max_bytes != 0 && length(part) > system.part_max_bytes ||
        !can(regex(system.pattern, part)) ||
        contains(system.reserved, part) ||
        anytrue([for prefix in system.reserved_prefixes : startswith(part, prefix)])
      ])
    )
  ]]))

  # Everyone who wants a name, under the name and the space it must be unique in.
  wanted = merge([for id, system in local.systems : { for n, pair in local.pairs : "${id}|${n}" => {
    name  = "${system.space}|${system.scope == "within_app" ? pair.app : ""}|${local.names[n][id]}"
    party = system.scope == "app" ? "${id} of ${pair.app}" : "${id} of ${pair.app} in ${pair.env}"
  } }]...)
  parties    = { for one in values(local.wanted) : one.name => one.party... }
  collisions = [for name, who in local.parties : "${split("|", name)[2]} (${join(", ", distinct(who))})" if length(distinct(who)) > 1]
}
