// SPDX-License-Identifier: GPL-3.0-or-later

// Package xdg returns where this project keeps its files on the controller, as
// the XDG Base Directory Specification wants it. It does not know what they hold.
package xdg

import (
	"errors"
	"path/filepath"
)

// name is this project's folder in each of the user's.
const name = "arcodange-sandbox"

// State is the folder for what must outlive a run: $XDG_STATE_HOME, or
// ~/.local/state, and the project's name.
func State(getenv func(string) string) (string, error) {
	return below(getenv, "XDG_STATE_HOME", filepath.Join(".local", "state"))
}

// Cache is the folder for what can be made again: $XDG_CACHE_HOME, or ~/.cache,
// and the project's name.
func Cache(getenv func(string) string) (string, error) {
	return below(getenv, "XDG_CACHE_HOME", ".cache")
}

func below(getenv func(string) string, variable, usual string) (string, error) {
	base := getenv(variable)
	if !filepath.IsAbs(base) { // the specification tells to ignore relative ones
		home := getenv("HOME")
		if !filepath.IsAbs(home) {
			return "", errors.New("finding the user's folders: neither " + variable + " nor HOME is an absolute path: set one")
		}
		base = filepath.Join(home, usual)
	}
	return filepath.Join(base, name), nil
}
