// SPDX-License-Identifier: GPL-3.0-or-later

// Package limitedread reads a boundary manifest for everything that does, and imports
// little, as what becomes ssh has to.
package limitedread

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// ManifestMost is how many bytes a boundary manifest may have. One of a lab has
// two thousand; comparing its two sides takes time by the square.
const ManifestMost = 256 << 10

// Manifest reads a boundary manifest, and no more than it may have. It is a file,
// or a link to one: a pipe may never be written to, a device never end, and each
// who reads them read something else.
func Manifest(file string) ([]byte, error) {
	// Before it is opened, as that alone does something to a device.
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if err := regular(file, info); err != nil {
		return nil, err
	}
	// What has taken its place since then is not waited for.
	in, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	if info, err = in.Stat(); err != nil {
		return nil, err
	}
	if err := regular(file, info); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(in, ManifestMost+1))
	if err == nil && len(data) > ManifestMost {
		return nil, fmt.Errorf("%s has more than %d bytes", file, ManifestMost)
	}
	return data, err
}

func regular(file string, info fs.FileInfo) error {
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		return fmt.Errorf("%s is a directory, and no file", file)
	case mode&fs.ModeNamedPipe != 0:
		return fmt.Errorf("%s is a pipe, and no file", file)
	default:
		return fmt.Errorf("%s is a device or a socket, and no file", file)
	}
}
