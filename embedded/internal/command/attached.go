// SPDX-License-Identifier: GPL-3.0-or-later

package command

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/arcodange-org/sandbox/embedded/internal/pki"
)

// Attached returns the path of a program that build.sh attached to this binary, as a zip archive behind it. It is
// unpacked below dir the first time; key tells one build from another.
func Attached(name, dir, key string) (string, error) {
	path := filepath.Join(dir, "data", key, "bin", name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	archive, err := zip.OpenReader("/proc/self/exe")
	if errors.Is(err, zip.ErrFormat) {
		return "", fmt.Errorf("%s: not attached to this binary; build it with build.sh", name)
	}
	if err != nil {
		return "", fmt.Errorf("unpacking %s: %w", name, err)
	}
	defer archive.Close()
	file, err := archive.Open(name)
	if err != nil {
		return "", fmt.Errorf("unpacking %s: %w", name, err)
	}
	defer file.Close()
	data, err := io.ReadAll(file)
	if err == nil {
		// What earlier builds left.
		err = os.RemoveAll(filepath.Join(dir, "data"))
	}
	if err == nil {
		err = pki.WriteFile(path, data, 0o755)
	}
	if err != nil {
		return "", fmt.Errorf("unpacking %s: %w", name, err)
	}
	return path, nil
}
