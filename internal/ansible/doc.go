// SPDX-License-Identifier: GPL-3.0-or-later

// Package ansible implements the protocol of binary modules: it checks and
// converts the JSON arguments that Ansible passes, and writes the JSON object
// that Ansible reads. It handles argument specs, AnsibleModule's coercions, check
// and diff mode, secrets and signals. It does not depend on any module.
//
// Arguments have the same meaning as in AnsibleModule of ansible-core 2.19 to
// 2.21; tests/protocol compares both. These deviations are refused here and
// accepted by Python:
//
//   - a duplicate key in the arguments file, where Python keeps the last;
//   - numbers that are not finite (NaN, Infinity, 1e999), because JSON cannot represent them in the result;
//   - half of a surrogate pair, because UTF-8 cannot represent it in the result;
//   - numbers in digits other than 0 to 9, which Python reads in any script;
//   - the list spelling [sign, digits, exponent] of an int, which decimal.Decimal accepts;
//   - a dict as a Python literal ({'a': True}) instead of JSON, which templates
//     of ansible-core before 2.19 could make;
//   - more than 512 levels of nesting.
//
// Two deviations change results: an int given as true or false becomes 1 or 0
// (Python keeps the bool, which is equal to it), and a secret shorter than
// four characters is masked only as a whole value or word, because Python's
// replacement of every "a" makes a result unreadable.
package ansible
