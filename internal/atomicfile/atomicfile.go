// SPDX-License-Identifier: GPL-3.0-or-later

// Package atomicfile replaces files: a reader sees the old content or the new,
// also after a kill or a power cut.
package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Write writes data to path with this mode, and creates its folder (0700) if
// missing. It is safe for concurrent writers of one path. A killed writer may
// leave a file `.new-*` in the folder.
func Write(path string, data []byte, mode fs.FileMode) error {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(folder, ".new-*")
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Chmod(mode), file.Close()); err == nil {
		err = Move(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

// Move renames the complete file from to to, in the same file system.
func Move(from, to string) error {
	// The content before the name (rename(2) orders nothing), then the name.
	if err := syncPath(from); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncPath(filepath.Dir(to))
}

func syncPath(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
