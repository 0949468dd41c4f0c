// SPDX-License-Identifier: GPL-3.0-or-later

package sshexec

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/arcodange-org/sandbox/internal/guard/sshguard"
)

// Ansible starts ssh several times for a task, nearly always on a connection
// that is open and was checked when it was opened. Half of what the
// guard adds to such a call is the initialisation of packages that only other
// commands need (`make bench` measures both). A program's packages are
// initialised by the order of their import paths, each as soon as those that it
// imports are (go.dev/ref/spec#Program_initialization), and this one imports
// little: it is among the first, and execs ssh before the rest.
//
// It is never more permissive: a call of any other form, one that fails, and one
// that needs a decision are left to main.
func init() {
	if call, ok := parsePlain(os.Args); ok {
		call.Env = os.Environ()
		call.execShared()
	}
}

// parsePlain reads a command line as the connection plugin writes it: ssh, flags
// of this program and their values as separate words, two dashes.
func parsePlain(words []string) (Call, bool) {
	// Under the name of ssh, all words are ssh's own.
	if len(words) < 3 || filepath.Base(words[0]) != "prod-ip-guard" || words[1] != string(sshguard.SSH) {
		return Call{}, false
	}
	call := Call{Program: sshguard.SSH}
	flags := map[string]*string{"--boundary": &call.Boundary, "--digest": &call.Digest, "--agent": &call.Agent, "--programs": &call.Programs}
	for words = words[2:]; len(words) > 0 && words[0] != "--"; words = words[2:] {
		value, ok := flags[words[0]]
		if !ok || *value != "" || len(words) < 2 || words[1] == "" || strings.HasPrefix(words[1], "-") {
			return Call{}, false
		}
		*value = words[1]
	}
	if len(words) == 0 || call.Boundary == "" {
		return Call{}, false
	}
	call.Args = words[1:]
	return call, true
}

// execShared execs ssh if the connection is open already. Otherwise it returns without an effect.
func (c Call) execShared() {
	manifest, err := c.Manifest()
	if err != nil {
		return
	}
	s, err := c.Wrapper(manifest.Digest)
	if err != nil {
		return
	}
	args, err := s.Prepare(context.Background(), c.Program, c.Args) // without a Decider, what is undecided is an error
	if err != nil {
		return
	}
	_ = c.Exec(args) // main reports why it cannot be started
}
