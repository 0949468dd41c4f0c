# SPDX-License-Identifier: GPL-3.0-or-later

variable "apps" {
  description = "The applications, each with the envs it exists in. Names in `prod` do not contain the env."
  type = list(object({
    name = string
    envs = optional(list(string), ["prod"])
  }))
  nullable = false
}

variable "table" {
  description = "The table of names. Null is the shipped one; for a table of one's own, the JSON that docs/naming.md tells how to write."
  type = object({
    reserved = object({ apps = list(string), envs = list(string) })
    systems = map(object({
      scope             = string
      space             = string
      prod              = string
      other             = string
      says              = string
      max_bytes         = number
      split             = string
      parts             = number
      part_max_bytes    = number
      pattern           = string
      reserved          = list(string)
      reserved_prefixes = list(string)
    }))
  })
  default = null
}
