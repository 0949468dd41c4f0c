// SPDX-License-Identifier: GPL-3.0-or-later

package driver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/atomicfile"
	"github.com/arcodange-org/sandbox/internal/lock"
	"github.com/arcodange-org/sandbox/internal/run"
	"github.com/arcodange-org/sandbox/internal/xdg"
)

// Home is the folder on the controller with the files of one sandbox: its keys,
// its known hosts, its locks.
type Home struct{ Dir string }

// HomeOf returns the sandbox's folder in the user's state folder
// ($XDG_STATE_HOME, or ~/.local/state).
func HomeOf(sandbox string, getenv func(string) string) (Home, error) {
	state, err := xdg.State(getenv)
	if err != nil {
		return Home{}, err
	}
	return Home{Dir: filepath.Join(state, sandbox)}, nil
}

// knownHostsFile is for ssh's UserKnownHostsFile.
func (h Home) knownHostsFile() string { return filepath.Join(h.Dir, "ssh", "known_hosts") }

// keyFile is the private key with which the controller logs in to the machines.
func (h Home) keyFile() string { return filepath.Join(h.Dir, "ssh", "id_ed25519") }

// keyComment marks a generated key, as opposed to one of the user.
func (h Home) keyComment() string { return "made-by-sandbox_vm@" + filepath.Base(h.Dir) }

func (h Home) hostKeyFile(machine string) string {
	return filepath.Join(h.Dir, "nodes", machine, "ssh_host_ed25519_key")
}

// Lock takes the lock of the whole sandbox. It is held briefly, to create or
// remove objects that machines share.
func (h Home) Lock(ctx context.Context, what string, wait time.Duration) (*lock.Lock, error) {
	return lock.Acquire(ctx, filepath.Join(h.Dir, "locks", "sandbox.lock"), what, wait)
}

func (h Home) lockMachine(ctx context.Context, machine, what string, wait time.Duration) (*lock.Lock, error) {
	return lock.Acquire(ctx, filepath.Join(h.Dir, "locks", "machine-"+machine+".lock"), what, wait)
}

// publicOf computes the public half of a private key ("type base64").
func publicOf(ctx context.Context, r run.Runner, private string) (string, error) {
	res, err := r.Run(ctx, run.Cmd{Name: "ssh-keygen", Args: []string{"-y", "-f", private}})
	if err != nil {
		return "", fmt.Errorf("read SSH key %s (is it damaged? removing it makes a new one): %w", private, err)
	}
	key, err := ParsePublicKey(string(res.Stdout))
	if err != nil {
		return "", err
	}
	return key.Type + " " + key.Key, nil
}

// readPublic reads the public half beside a private key.
func readPublic(ctx context.Context, r run.Runner, private string) (string, error) {
	data, err := os.ReadFile(private + ".pub")
	if err == nil {
		if key, err := ParsePublicKey(string(data)); err == nil {
			return key.Type + " " + key.Key, nil
		}
	}
	return publicOf(ctx, r, private)
}

// knownHostsOf returns the machine's lines in known_hosts. Their comment is the
// machine's name.
func (h Home) knownHostsOf(machine string) ([]string, error) {
	data, err := os.ReadFile(h.knownHostsFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read %s: %w", h.knownHostsFile(), err)
	}
	var lines []string
	for line := range strings.Lines(string(data)) {
		words := strings.Fields(line)
		if len(words) == 4 && words[3] == machine {
			lines = append(lines, strings.Join(words, " "))
		}
	}
	return lines, nil
}

// setKnownHosts makes these the machine's lines in known_hosts; none removes
// them. The caller holds the sandbox's lock.
func (h Home) setKnownHosts(machine string, lines []string) error {
	data, err := os.ReadFile(h.knownHostsFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read %s: %w", h.knownHostsFile(), err)
	}
	var kept []string
	for line := range strings.Lines(string(data)) {
		words := strings.Fields(line)
		if len(words) == 0 || len(words) == 4 && words[3] == machine {
			continue
		}
		kept = append(kept, strings.TrimRight(line, "\n"))
	}
	kept = append(kept, lines...)
	slices.Sort(kept)
	if len(kept) == 0 {
		if err := os.Remove(h.knownHostsFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove %s: %w", h.knownHostsFile(), err)
		}
		return nil
	}
	var out bytes.Buffer
	for _, line := range kept {
		out.WriteString(line + "\n")
	}
	if err := atomicfile.Write(h.knownHostsFile(), out.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", h.knownHostsFile(), err)
	}
	return nil
}
