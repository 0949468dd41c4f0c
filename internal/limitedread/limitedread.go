// SPDX-License-Identifier: GPL-3.0-or-later

// Package limitedread reads regular files up to a size limit. It never blocks on a
// pipe or opens a device, so it is safe for paths from users. It imports
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

// MaxManifest is the maximal size of a boundary manifest in bytes. A lab's has
// two thousand, and comparing its two sides takes quadratic time.
const MaxManifest = 256 << 10

// File reads a regular file, or a link to one, of at most limit bytes. Its errors are [*fs.PathError].
func File(path string, limit int64) ([]byte, error) {
	failed := func(err error) ([]byte, error) { return nil, &fs.PathError{Op: "read", Path: path, Err: err} }
	// Check before opening: opening a device has side effects.
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return failed(errNotRegular)
	}
	// The path may be another file by now, so the open must not block.
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
