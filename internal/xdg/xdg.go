// SPDX-License-Identifier: GPL-3.0-or-later

// Package xdg returns the project's folders on the controller according to
// the XDG Base Directory Specification.
package xdg

import (
	"errors"
	"path/filepath"
)

// name is this project's folder in each of the user's.
const name = "arcodange-sandbox"

// State returns the folder for persistent files: $XDG_STATE_HOME, or
// ~/.local/state, and the project's name.
func State(getenv func(string) string) (string, error) {
	return below(getenv, "XDG_STATE_HOME", filepath.Join(".local", "state"))
}

// Cache returns the folder for files that can be recreated: $XDG_CACHE_HOME, or
// ~/.cache, and the project's name.
func Cache(getenv func(string) string) (string, error) {
	return below(getenv, "XDG_CACHE_HOME", ".cache")
}

func below(getenv func(string) string, variable, usual string) (string, error) {
	base := getenv(variable)
	if !filepath.IsAbs(base) { // the specification requires that relative paths are ignored
		home := getenv("HOME")
		if !filepath.IsAbs(home) {
			return "", errors.New("finding the user's folders: neither " + variable + " nor HOME is an absolute path: set one")
		}
		base = filepath.Join(home, usual)
	}
	return filepath.Join(base, name), nil
}
