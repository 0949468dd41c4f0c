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

// Inside hands the process over to the fence if it is the fence's second stage; it must be called first.
func Inside() { netns.Inside(os.Args) }

func (p Process) fence(ctx context.Context, args []string) int {
	set := flags("fence [flags] -- COMMAND...")
	file := set.String("boundary", "", "the boundary manifest")
	if status, done := p.parse(set, args); done {
		return status
	}
	if set.NArg() == 0 {
		return p.wrong("fence: there is no command; write it behind --")
	}
	engine, err := p.load(*file)
	if err != nil {
		return p.failed(fmt.Errorf("fence: %w", err))
	}
	f := netns.Fence{
		Prefixes: prefixes(engine.Manifest.Sandbox),
		Log:      p.Stderr,
		Allow: func(ctx context.Context, to netip.AddrPort) error {
			d := engine.Decide(ctx, boundary.Target{Kind: boundary.Endpoint, Value: to.String()})
			if d.Allowed {
				return nil
			}
			return errors.New(d.Reason)
		},
	}
	code, err := f.Run(ctx, netns.Command{Args: set.Args(), Env: sshexec.Keep(p.Env)})
	if errors.Is(err, netns.ErrUnavailable) {
		fmt.Fprintf(p.Stderr, "prod-ip-guard: fence: %v; the command was not started\n", err)
		return Absent
	}
	if err != nil {
		return p.failed(fmt.Errorf("fence: %w", err))
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
