// SPDX-License-Identifier: GPL-3.0-or-later

// Package docs holds the documentation to what it is about: modules to their
// specs and results, roles to their variables, links to files. It knows no
// rule of its own about what a text should say.
package docs
