// SPDX-License-Identifier: GPL-3.0-or-later

// Package protocol holds internal/ansible to its claim that arguments mean what
// they mean to AnsibleModule: the same argument sets go through both, and must
// give the same values or fail in both. It needs a Python with ansible-core, so
// it is built with the tag `ansible` and finds that Python in ANSIBLE_PYTHON.
package protocol
