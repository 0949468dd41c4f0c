// SPDX-License-Identifier: GPL-3.0-or-later

// Package limitedread reads files that others name: regular ones of limited
// size, without waiting for a pipe and without opening a device. It imports
// little, since the guard reads the boundary manifest at the start of every ssh.
package limitedread

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// MaxManifest is how many bytes a boundary manifest may have. That of a lab has
// two thousand, and comparing its two sides takes time by the square.
const MaxManifest = 256 << 10

// File reads a regular file, or a link to one, of at most limit bytes. Its errors are [*fs.PathError].
func File(path string, limit int64) ([]byte, error) {
	failed := func(err error) ([]byte, error) { return nil, &fs.PathError{Op: "read", Path: path, Err: err} }
	// Before it is opened: opening alone has effects on a device.
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return failed(errNotRegular)
	}
	// Something else may have its name by now, so that the open must not block.
	in, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	if info, err = in.Stat(); err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return failed(errNotRegular)
	}
	data, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return failed(fmt.Errorf("larger than %d bytes", limit))
	}
	return data, nil
}

var errNotRegular = errors.New("not a regular file")
