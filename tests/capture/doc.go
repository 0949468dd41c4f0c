// SPDX-License-Identifier: GPL-3.0-or-later

// Package capture tests the writing of the parity manifest against real
// repositories, the real ansible-inventory, a real API server and through
// Ansible. The tests carry the build tag "ansible"; ANSIBLE_PYTHON names the
// Python that has Ansible.
package capture
