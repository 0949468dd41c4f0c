// SPDX-License-Identifier: GPL-3.0-or-later

// Package ansibletest runs Ansible on a copy of the collection whose binaries
// are a test's own. ANSIBLE_PYTHON names the Python that has Ansible.
package ansibletest

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/run"
)

// startedAs is set by the script of Self to the name that it was started by.
const startedAs = "ANSIBLETEST_STARTED_AS"

// StartedAs is the name of the collection's binary that this process is started
// as, such as controller_linux_amd64, or empty if it is a test. TestMain asks.
func StartedAs() string { return os.Getenv(startedAs) }

// Self is a binary of the collection that starts this test's executable.
func Self(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	return fmt.Sprintf("#!/bin/sh\n%s=$(basename \"$0\") exec %s \"$@\"\n", startedAs, run.Quote(self))
}

// Python is the Python that has Ansible.
func Python(t *testing.T) string {
	t.Helper()
	python := os.Getenv("ANSIBLE_PYTHON")
	require.NotEmpty(t, python, "set ANSIBLE_PYTHON to the Python that has Ansible; `make unit` does")
	return python
}

// Program is the path of one of Ansible's programs, such as ansible-playbook.
func Program(t *testing.T, name string) string {
	t.Helper()
	return filepath.Join(filepath.Dir(Python(t)), name)
}

// Site is a folder with the collection, an empty ansible.cfg, and what a test writes to it.
type Site struct {
	Root       string // working directory of Ansible
	Collection string // below Root
}

// Install copies the collection with these scripts as its binaries: controller
// runs beside Ansible, target on hosts. An empty one is left out.
func Install(t *testing.T, controller, target string) Site {
	t.Helper()
	root := t.TempDir()
	s := Site{root, filepath.Join(root, "ansible_collections", "arcodange", "sandbox")}
	top := filepath.Join("..", "..")
	for _, part := range []string{"plugins", "playbooks", "roles", "promotion", "meta", "galaxy.yml"} {
		require.NoError(t, filepath.WalkDir(filepath.Join(top, part), func(path string, entry fs.DirEntry, err error) error {
			name, _ := filepath.Rel(top, path)
			switch {
			case err != nil:
				return err
			case entry.Name() == "__pycache__" || name == "plugins/bin":
				return fs.SkipDir
			case entry.IsDir():
				return os.MkdirAll(filepath.Join(s.Collection, name), 0o755)
			case strings.HasPrefix(entry.Name(), "__target_"):
				return nil
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(s.Collection, name), data, 0o755) //nolint:gosec // some are executed
		}))
	}
	platform := runtime.GOOS + "_" + runtime.GOARCH
	var sums strings.Builder
	if controller != "" {
		s.binary(t, &sums, "plugins/bin/controller_"+platform, controller)
		_, err := run.Exec{}.Run(t.Context(), run.Cmd{Name: "xz", Args: []string{filepath.Join(s.Collection, "plugins/bin/controller_"+platform)}})
		require.NoError(t, err)
	}
	if target != "" {
		s.binary(t, &sums, "plugins/modules/__target_"+platform, target)
	}
	s.Write(t, filepath.Join(s.Collection, "plugins/bin/SHA256SUMS"), sums.String())
	s.Write(t, "ansible.cfg", "[defaults]\n")
	return s
}

func (s Site) binary(t *testing.T, sums *strings.Builder, name, script string) {
	t.Helper()
	path := filepath.Join(s.Collection, name)
	s.Write(t, path, script)
	require.NoError(t, os.Chmod(path, 0o755))
	fmt.Fprintf(sums, "%x  %s\n", sha256.Sum256([]byte(script)), strings.TrimPrefix(filepath.Base(name), "__"))
}

// Write writes a file and makes its folder; name is relative to Root or absolute.
func (s Site) Write(t *testing.T, name, text string) {
	t.Helper()
	if !filepath.IsAbs(name) {
		name = filepath.Join(s.Root, name)
	}
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name, []byte(text), 0o644))
}

// Run runs one of Ansible's programs in Root, away from the user's own settings and folders.
func (s Site) Run(t *testing.T, program string, args ...string) (run.Result, error) {
	t.Helper()
	return run.Exec{}.Run(t.Context(), run.Cmd{Name: Program(t, program), Args: args, Dir: s.Root, Env: append(os.Environ(),
		"ANSIBLE_COLLECTIONS_PATH="+s.Root, "ANSIBLE_CONFIG="+filepath.Join(s.Root, "ansible.cfg"), "ANSIBLE_HOME="+s.Root, "ANSIBLE_LOCAL_TEMP="+s.Root,
		"XDG_CACHE_HOME="+filepath.Join(s.Root, "cache"), "XDG_STATE_HOME="+filepath.Join(s.Root, "state"),
		"ANSIBLE_LOCALHOST_WARNING=False", "ANSIBLE_INVENTORY_UNPARSED_WARNING=False", "ANSIBLE_NOCOLOR=1", "LC_ALL=C.UTF-8")})
}

// Play runs ansible-playbook and returns what it printed.
func (s Site) Play(t *testing.T, args ...string) (string, error) {
	t.Helper()
	res, err := s.Run(t, "ansible-playbook", args...)
	return string(res.Stdout) + string(res.Stderr), err
}
