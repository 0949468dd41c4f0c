// SPDX-License-Identifier: GPL-3.0-or-later

// Package gates runs the gates over real playbooks, each with one defect, and
// over honest ones.
package gates
