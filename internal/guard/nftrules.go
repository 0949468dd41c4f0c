// SPDX-License-Identifier: GPL-3.0-or-later

package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/guard/nftrules"
	"github.com/arcodange-org/sandbox/internal/run"
)

// nftRules prints what the role node_fence installs on a node, as one JSON object.
func (p Process) nftRules(ctx context.Context, args []string) int {
	set := flags("nft-rules [flags]")
	file := set.String("boundary", "", "the boundary manifest")
	further := set.StringArray("address", nil, "a further address, range or block to block")
	networks := set.StringArray("network", nil, "a private network of the cluster that is not blocked")
	if status, done := p.parse(set, args); done {
		return status
	}
	checker, err := p.load(*file)
	if err != nil {
		return p.failed(err)
	}
	node, err := nftrules.Render(ctx, nftrules.Request{Manifest: checker.Manifest, Further: *further, Networks: *networks, Lookup: p.lookup})
	if err != nil {
		return p.failed(fmt.Errorf("nft-rules: --address or --network: %w", err))
	}
	if err := json.NewEncoder(p.Stdout).Encode(node); err != nil {
		return p.failed(fmt.Errorf("nft-rules: %w", err))
	}
	return statusOK
}

// lookupTimeout is how long one name may take to resolve.
const lookupTimeout = 10 * time.Second

// lookup returns the addresses of a name as the system's programs resolve it;
// none if it has no answer. getent uses every service of nsswitch.conf, such as
// mDNS, which Go's own resolver does not.
func (p Process) lookup(ctx context.Context, name string) []netip.Addr {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	result, err := run.Exec{}.Run(ctx, run.Cmd{Name: "getent", Args: []string{"ahosts", name}, Env: p.Env})
	if run.NotFound(err) {
		addresses, _ := boundary.System{}.LookupNetIP(ctx, "ip", name)
		return addresses
	}
	var addresses []netip.Addr
	for line := range strings.Lines(string(result.Stdout)) {
		if fields := strings.Fields(line); len(fields) > 0 {
			if address, err := netip.ParseAddr(fields[0]); err == nil {
				addresses = append(addresses, address)
			}
		}
	}
	return addresses
}
