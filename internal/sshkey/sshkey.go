// SPDX-License-Identifier: GPL-3.0-or-later

// Package sshkey makes SSH key pairs with ssh-keygen.
package sshkey

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/arcodange-org/sandbox/internal/atomicfile"
	"github.com/arcodange-org/sandbox/internal/run"
)

// Make makes an Ed25519 key pair at path and path.pub, without a passphrase,
// unless path exists. A pair that exists is complete.
func Make(ctx context.Context, r run.Runner, path, comment string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("SSH key %s: %w", path, err)
	}
	temp, err := os.MkdirTemp(dir, ".key-")
	if err != nil {
		return fmt.Errorf("SSH key %s: %w", path, err)
	}
	defer os.RemoveAll(temp)
	file := filepath.Join(temp, "key")
	if _, err := r.Run(ctx, run.Cmd{Name: "ssh-keygen", Args: []string{"-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", file}}); err != nil {
		if run.NotFound(err) {
			return fmt.Errorf("SSH key %s: ssh-keygen not found; install the OpenSSH client: %w", path, err)
		}
		return fmt.Errorf("SSH key %s: %w", path, err)
	}
	// The private half last: if it exists, the pair is complete.
	if err := errors.Join(atomicfile.Move(file+".pub", path+".pub"), atomicfile.Move(file, path)); err != nil {
		return fmt.Errorf("SSH key %s: %w", path, err)
	}
	return nil
}
