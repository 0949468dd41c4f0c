// SPDX-License-Identifier: GPL-3.0-or-later

package sshguard

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/arcodange-org/sandbox/internal/run"
)

// effective is what `ssh -G` says that a command line means: keys in lower
// case, in the order of their values.
type effective map[string][]string

// ask runs `ssh -G`, which connects to nothing.
func ask(ctx context.Context, runner run.Runner, program string, env []string, options []option, destination string, command ...string) (effective, error) {
	args := []string{"-G"}
	for _, o := range options {
		args = append(args, o.words(SSH.grammar())...)
	}
	args = append(append(args, "--", destination), command...)
	result, err := runner.Run(ctx, run.Cmd{Name: program, Args: args, Env: env})
	if err != nil {
		// What it says is enough: the command line is this program's, and long.
		if why := run.LastLine(result.Stderr); why != "" && ctx.Err() == nil {
			return nil, fmt.Errorf("asking ssh what %q means: it says: %s", destination, why)
		}
		return nil, fmt.Errorf("asking ssh what %q means: %w", destination, err)
	}
	said := effective{}
	for line := range strings.Lines(string(result.Stdout)) {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		said[strings.ToLower(key)] = append(said[strings.ToLower(key)], value)
	}
	if said.one("hostname") == "" {
		return nil, fmt.Errorf("asking ssh what %q means: `ssh -G` named no hostname; is %s OpenSSH's ssh?", destination, program)
	}
	return said, nil
}

func (e effective) one(key string) string {
	if len(e[key]) == 0 {
		return ""
	}
	return e[key][0]
}

// set is the value of a key that may be spelled "none", "no" or "false" for nothing.
func (e effective) set(key string) string {
	switch value := e.one(key); strings.ToLower(value) {
	case "none", "no", "false":
		return ""
	default:
		return value
	}
}

func (e effective) port() (int, error) {
	port, err := strconv.Atoi(e.one("port"))
	if err != nil || port < 1 || port > 65535 {
		return 0, fmt.Errorf("asking ssh what the destination means: its port is %q", e.one("port"))
	}
	return port, nil
}
