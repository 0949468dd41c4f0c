// SPDX-License-Identifier: GPL-3.0-or-later

package parity

import (
	"context"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// fence is reported where machines can leave the sandbox: what is tried in it then reaches other networks.
type fence struct{}

func (fence) Info() gate.Info {
	return gate.Info{ID: "fence", Summary: "The rules that keep machines inside the sandbox are not in force"}
}

func (fence) Check(_ context.Context, s subject, report *gate.Report) {
	if s.found.Fence == FenceMissing {
		s.add(report, "fence", string(FenceInForce), string(FenceMissing), "nftables on the host of the engine", "fence")
	}
}
