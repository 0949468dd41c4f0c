// SPDX-License-Identifier: GPL-3.0-or-later

// Package bounded reads a boundary manifest for everything that does, and imports
// little, as what becomes ssh has to.
package bounded

import (
	"fmt"
	"io"
	"os"
)

// ManifestMost is how many bytes a boundary manifest may have. One of a lab has
// two thousand; comparing its two sides takes time by the square.
const ManifestMost = 256 << 10

// Manifest reads a boundary manifest, and no more than it may have: a device never ends.
func Manifest(file string) ([]byte, error) {
	in, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, ManifestMost+1))
	if err == nil && len(data) > ManifestMost {
		return nil, fmt.Errorf("%s has more than %d bytes", file, ManifestMost)
	}
	return data, err
}
