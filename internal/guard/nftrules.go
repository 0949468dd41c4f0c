// SPDX-License-Identifier: GPL-3.0-or-later

package guard

import (
	"context"
	"encoding/json"
	"fmt"

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
	node, err := nftrules.Render(ctx, nftrules.Request{Manifest: checker.Manifest, Further: *further, Networks: *networks, Lookup: nftrules.Lookup(run.Exec{}, p.Env)})
	if err != nil {
		return p.failed(fmt.Errorf("nft-rules: --address or --network: %w", err))
	}
	if err := json.NewEncoder(p.Stdout).Encode(node); err != nil {
		return p.failed(fmt.Errorf("nft-rules: %w", err))
	}
	return statusOK
}
