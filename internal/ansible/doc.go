// SPDX-License-Identifier: GPL-3.0-or-later

// Package ansible is the protocol between Ansible and a module that is a
// program of its own: arguments in, one JSON object out. It knows how Ansible's
// own AnsibleModule reads arguments (types, both spellings of every scalar,
// defaults, choices, aliases, relations between options, secrets) and how a
// result must look. It knows nothing of sandboxes.
//
// Ansible hands such a program a file of bare JSON and checks nothing in it:
// no type, no default, no required option (ANSIBLE: lib/ansible/executor/
// module_common.py passes binaries through untouched). So everything that a
// Python module gets for free happens here.
//
// Coercion follows ansible-core 2.19 to 2.21 (module_utils/common/
// parameters.py and validation.py); tests/protocol runs the same arguments
// through both. Where the two differ on purpose this package is the stricter:
//
//   - an integer must fit in 64 bits, and numbers must be finite;
//   - digits are ASCII: Python's int and float also take other scripts' digits;
//   - a duplicate key in an object of the arguments is refused, since no one
//     can tell which of the two was meant;
//   - strings must be valid UTF-8.
package ansible
