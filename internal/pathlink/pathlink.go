// SPDX-License-Identifier: GPL-3.0-or-later

// Package pathlink resolves symbolic links in paths whose end need not exist.
package pathlink

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// maxLinks is the number of links that Linux follows in one path (path_resolution(7)).
const maxLinks = 40

// Resolve follows the links in an absolute path as the kernel does: `..` is the
// parent of a link's target, and dangling links are followed too. The part
// that does not exist is kept. More than 40 links are an error.
func Resolve(path string) (string, error) {
	at := "/"
	left := strings.Split(path, "/")
	for links := 0; len(left) > 0; {
		step := left[0]
		left = left[1:]
		switch step {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		next := filepath.Join(at, step)
		info, err := os.Lstat(next)
		if err != nil && !os.IsNotExist(err) {
			return "", err
		}
		if err != nil || info.Mode()&os.ModeSymlink == 0 {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("%s: too many links", path)
		}
		target, err := os.Readlink(next)
		if err != nil {
			return "", err
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		left = append(strings.Split(target, "/"), left...)
	}
	return at, nil
}

// Canonical returns the absolute path with links resolved, or unresolved if that
// fails. Equal results mean the same file; different results may be the same file.
func Canonical(path string) string {
	if !filepath.IsAbs(path) {
		here, err := os.Getwd()
		if err != nil {
			return filepath.Clean(path)
		}
		path = here + "/" + path // filepath.Join would remove `..` before links are resolved
	}
	if resolved, err := Resolve(path); err == nil {
		return resolved
	}
	return filepath.Clean(path)
}
