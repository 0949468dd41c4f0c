// SPDX-License-Identifier: GPL-3.0-or-later

// Package promotion plays promotions through Ansible, from the gate to the run
// of a playbook that stands in for production's, and pushes and checks out with
// a real git.
package promotion
