// SPDX-License-Identifier: GPL-3.0-or-later

package sshguard

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/arcodange-org/sandbox/internal/run"
)

// effective is the configuration that `ssh -G` prints: values in their order by key in lower case.
type effective map[string][]string

// effectiveConfig runs `ssh -G`, which does not connect.
func effectiveConfig(ctx context.Context, runner run.Runner, program string, env []string, options []option, destination string, command ...string) (effective, error) {
	args := []string{"-G"}
	for _, o := range options {
		args = append(args, o.words(SSH.grammar())...)
	}
	args = append(append(args, "--", destination), command...)
	result, err := runner.Run(ctx, run.Cmd{Name: program, Args: args, Env: env})
	if err != nil {
		// Its own message is enough; the command line is long.
		if why := run.LastLine(result.Stderr); why != "" && ctx.Err() == nil {
			return nil, fmt.Errorf("ssh -G for %q: %s", destination, why)
		}
		return nil, fmt.Errorf("ssh -G for %q: %w", destination, err)
	}
	config := effective{}
	for line := range strings.Lines(string(result.Stdout)) {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		config[strings.ToLower(key)] = append(config[strings.ToLower(key)], value)
	}
	if config.one("hostname") == "" {
		return nil, fmt.Errorf("ssh -G for %q: printed no hostname; is %s OpenSSH's ssh?", destination, program)
	}
	return config, nil
}

func (e effective) one(key string) string {
	if len(e[key]) == 0 {
		return ""
	}
	return e[key][0]
}

// set returns the value of a key; empty if it is "none", "no" or "false".
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
		return 0, fmt.Errorf("ssh -G: port %q: must be 1-65535", e.one("port"))
	}
	return port, nil
}
