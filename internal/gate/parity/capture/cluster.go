// SPDX-License-Identifier: GPL-3.0-or-later

package capture

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/gate/parity"
	"github.com/arcodange-org/sandbox/internal/gate/parity/live"
	"github.com/arcodange-org/sandbox/internal/gate/parity/readonly"
	"github.com/arcodange-org/sandbox/internal/references"
)

// Asked is a cluster to be read.
type Asked struct {
	Kubeconfig  string
	Context     string
	Engine      boundary.Checker
	Production  bool // a cluster of production may be read
	HelmSecrets bool // Helm's releases may be read from secrets
	Releases    bool // Helm's releases are required
}

// ReadCluster reads a cluster that the boundary lists, with a kubeconfig that can
// only read. It stops at the first failure of: checking the file; checking that
// the boundary lists the cluster as sandbox or, if Production is set, as
// production; checking the permissions of the credentials; reading.
func ReadCluster(ctx context.Context, a Asked) (*parity.Found, []string, error) {
	access, err := readonly.Open(readonly.Options{Kubeconfig: a.Kubeconfig, Context: a.Context, HelmSecrets: a.HelmSecrets})
	if err != nil {
		return nil, nil, err
	}
	var warnings []string
	address := ""
	found := references.System().Read(ctx, references.Sources{Kubeconfigs: []string{a.Kubeconfig}})
	if len(found) == 0 {
		return nil, nil, fmt.Errorf("the kubeconfig has no server that the boundary can check")
	}
	for _, f := range found {
		production, d, err := a.decide(ctx, f)
		if err != nil {
			return nil, nil, err
		}
		if production {
			warnings = append(warnings, fmt.Sprintf("production is read because of read_production: %s", d))
		}
		if d.Target == access.Server().String() || strings.TrimSuffix(d.Target, "/") == access.Server().String() {
			if address = d.Pinned; address == "" && len(d.Addresses) > 0 {
				address = d.Addresses[0]
			}
		}
	}
	if a.HelmSecrets {
		warnings = append(warnings, "the kubeconfig may read secrets, which can contain credentials that write; only Helm's releases are read (helm_secrets)")
	}
	access.At(address)
	if err := access.Prove(ctx); err != nil {
		return nil, warnings, err
	}
	uid, err := access.ClusterUID(ctx)
	if err != nil {
		return nil, warnings, err
	}
	// The address may belong to another cluster by now, so check the cluster's identity.
	identity := a.Engine.Decide(ctx, boundary.Target{Kind: boundary.Kube, ClusterUID: uid, From: a.Kubeconfig})
	if ofProduction(identity) && !a.Production {
		return nil, warnings, fmt.Errorf("it is a cluster of production by its UID (%s); to read it, set read_production", identity.Rule)
	}
	cluster, err := live.Through(access.Client(), access.Server()).Read(ctx, live.Wanted{Releases: a.Releases && a.HelmSecrets})
	if err != nil {
		return nil, warnings, err
	}
	slices.Sort(warnings)
	return &cluster, slices.Compact(warnings), nil
}

// decide checks the cluster against the boundary. Production is read only if
// requested; an unlisted cluster is never read.
func (a Asked) decide(ctx context.Context, f references.Finding) (production bool, d boundary.Decision, err error) {
	d = f.Decide(ctx, a.Engine)
	switch {
	case d.Allowed:
		return false, d, nil
	case f.Problem != "" || !ofProduction(d):
		return false, d, fmt.Errorf("the kubeconfig is refused before anything is sent: %s", d)
	case !a.Production:
		return false, d, fmt.Errorf("the kubeconfig refers to production, and nothing was sent: %s; to read it, set read_production", d)
	}
	return true, d, nil
}

// ofProduction reports whether an entry under production decided.
func ofProduction(d boundary.Decision) bool {
	return !d.Allowed && d.Rule != nil && strings.HasPrefix(d.Rule.Text, "production.")
}
