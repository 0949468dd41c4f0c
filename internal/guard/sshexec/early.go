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
// that is open already, about which nothing is left to decide. What that costs
// is the start of this program: two thirds of it are spent on initialising
// packages that only its other tasks need. A program's packages are initialised
// by the order of their import paths, each as soon as those that it imports are
// (go.dev/ref/spec#Program_initialization), and this one imports little: it is
// among the first, and leaves before the rest.
//
// It can only be faster, never more permissive: whatever is not exactly such a
// call, or fails, or would have to be decided, is left to main.
func init() {
	if call, ok := plainly(os.Args); ok {
		call.Env = os.Environ()
		call.open()
	}
}

// plainly reads a command line of the shape that the connection plugin writes:
// ssh, flags of this program with their values behind a blank, two dashes.
func plainly(words []string) (Call, bool) {
	// By the name of ssh, the words are ssh's own, and a host may be called so.
	if len(words) < 3 || filepath.Base(words[0]) != "prod-ip-guard" || words[1] != string(sshguard.SSH) {
		return Call{}, false
	}
	call := Call{Program: sshguard.SSH}
	flags := map[string]*string{"--boundary": &call.Boundary, "--digest": &call.Digest, "--agent": &call.Agent, "--programs": &call.Programs}
	for words = words[2:]; len(words) > 0 && words[0] != "--"; words = words[2:] {
		value, known := flags[words[0]]
		if !known || *value != "" || len(words) < 2 || words[1] == "" || strings.HasPrefix(words[1], "-") {
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

// open becomes ssh if the connection is open already. It returns if not, and nothing has happened.
func (c Call) open() {
	manifest, err := c.Manifest()
	if err != nil {
		return
	}
	s, err := c.Standin(manifest.Digest)
	if err != nil {
		return
	}
	args, err := s.Prepare(context.Background(), c.Program, c.Args) // without anybody who decides, what is undecided is an error
	if err != nil {
		return
	}
	_ = c.Exec(args) // main says why it cannot be started
}
