// SPDX-License-Identifier: GPL-3.0-or-later

// Package inventory holds the static reader of inventories to Ansible: what it
// finds, `ansible-inventory` finds too.
package inventory
