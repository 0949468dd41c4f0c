// SPDX-License-Identifier: GPL-3.0-or-later

// Package ansible is the module protocol: it turns the bare JSON that Ansible
// hands to a binary module into checked, typed arguments, and what the module
// found and did into the one JSON object that Ansible reads.
//
// It knows argument specs, AnsibleModule's coercions, check and diff mode,
// secrets, signals and the shape of a result. It refuses to know what any
// module does, and nothing in it mentions machines or sandboxes.
//
// Arguments mean what they mean to AnsibleModule of ansible-core 2.19 to 2.21;
// a twin test holds both to that. These are the deviations, each a refusal
// where Python would go on:
//
//   - a key given twice in the arguments file, where Python keeps the last;
//   - numbers that are not finite (NaN, Infinity, 1e999), because JSON cannot carry them back;
//   - half of a surrogate pair, because UTF-8 cannot carry it back;
//   - numbers in digits other than 0 to 9, which Python reads in any script;
//   - the list spelling [sign, digits, exponent] of an int, an accident of decimal.Decimal;
//   - a dict as a string of Python ({'a': True}) instead of JSON, which templates
//     of ansible-core before 2.19 could make;
//   - more than 512 levels of nesting.
//
// Two differ without refusing: an int given as true or false becomes 1 or 0
// (Python keeps the bool, which is equal to it), and a secret shorter than
// four characters is masked as a whole value or word only, because Python's
// replacement of every "a" leaves an unreadable result.
package ansible
