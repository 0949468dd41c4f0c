// SPDX-License-Identifier: GPL-3.0-or-later

package guard

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/guard/netns"
	"github.com/arcodange-org/sandbox/internal/guard/sshexec"
)

// RunChild runs the child process of the command netns, if this process is it. It must be called first in main.
func RunChild() { netns.RunChild(os.Args) }

func (p Process) netns(ctx context.Context, args []string) int {
	set := flags("netns [flags] -- COMMAND...")
	file := set.String("boundary", "", "the boundary manifest")
	if status, done := p.parse(set, args); done {
		return status
	}
	if set.NArg() == 0 {
		return p.wrong("netns: no command given; write it after --")
	}
	checker, err := p.load(*file)
	if err != nil {
		return p.failed(fmt.Errorf("netns: %w", err))
	}
	network := netns.Network{
		Prefixes: prefixes(checker.Manifest.Sandbox),
		Log:      p.Stderr,
		Allow: func(ctx context.Context, to netip.AddrPort) error {
			d := checker.Decide(ctx, boundary.Target{Kind: boundary.Endpoint, Value: to.String()})
			if d.Allowed {
				return nil
			}
			return errors.New(d.Reason)
		},
	}
	code, err := network.Run(ctx, netns.Command{Args: set.Args(), Env: sshexec.CleanEnv(p.Env)})
	if errors.Is(err, netns.ErrUnavailable) {
		fmt.Fprintf(p.Stderr, "prod-ip-guard: netns: %v; the command was not started\n", err)
		return statusUnsupported
	}
	if err != nil {
		return p.failed(fmt.Errorf("netns: %w", err))
	}
	return code
}

// prefixes returns the sandbox's addresses as routes.
func prefixes(side boundary.Side) []netip.Prefix {
	var all []netip.Prefix
	for _, rule := range side.Addresses {
		all = append(all, rule.Prefixes()...)
	}
	for _, rule := range side.Endpoints {
		if rule.Name == "" {
			all = append(all, rule.Range.Prefixes()...)
		}
	}
	return all
}
