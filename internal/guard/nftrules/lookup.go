// SPDX-License-Identifier: GPL-3.0-or-later

package nftrules

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/run"
)

// lookupTimeout is how long one name may take to resolve.
const lookupTimeout = 10 * time.Second

// Lookup returns the addresses of a name as the system's programs resolve it;
// none if it has no answer. getent uses every service of nsswitch.conf, such as
// mDNS, which Go's own resolver does not.
//
// The addresses are sorted: name servers rotate them, and the rules must not
// differ for that.
func Lookup(runner run.Runner, env []string) func(ctx context.Context, name string) []netip.Addr {
	return func(ctx context.Context, name string) []netip.Addr {
		ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
		defer cancel()
		var addresses []netip.Addr
		result, err := runner.Run(ctx, run.Cmd{Name: "getent", Args: []string{"ahosts", name}, Env: env})
		if run.NotFound(err) {
			addresses, _ = boundary.System{}.LookupNetIP(ctx, "ip", name)
		}
		for line := range strings.Lines(string(result.Stdout)) {
			if fields := strings.Fields(line); len(fields) > 0 {
				if address, err := netip.ParseAddr(fields[0]); err == nil {
					addresses = append(addresses, address)
				}
			}
		}
		slices.SortFunc(addresses, netip.Addr.Compare)
		return slices.Compact(addresses)
	}
}
