// SPDX-License-Identifier: GPL-3.0-or-later

// Package tofuplan judges plans that a real OpenTofu makes: of roots with one
// defect each, and of honest ones.
package tofuplan
