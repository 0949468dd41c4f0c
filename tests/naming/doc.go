// SPDX-License-Identifier: GPL-3.0-or-later

// Package naming tests the rule of names across rooms: the module as Ansible
// runs it, the OpenTofu module with a real OpenTofu, the chart of Applications
// with a real Helm. What needs those programs carries the build tag `tofu`.
package naming
