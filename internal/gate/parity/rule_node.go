// SPDX-License-Identifier: GPL-3.0-or-later

package parity

import (
	"context"
	"maps"
	"slices"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// node is reported for each difference of a node.
type node struct{}

func (node) Info() gate.Info {
	return gate.Info{ID: "node", Summary: "A node is missing, or differs in roles, architecture, version or readiness"}
}

func (node) Check(_ context.Context, s subject, report *gate.Report) {
	const source = "nodes of the API server"
	found := map[string]FoundNode{}
	for _, node := range s.found.Nodes {
		found[node.Name] = node
	}
	for _, expected := range s.manifest.Nodes {
		node, ok := found[expected.Name]
		delete(found, expected.Name)
		if !ok {
			s.add(report, "node", roles(expected.Roles), absent, source, "nodes", expected.Name)
			continue
		}
		if !node.Ready {
			s.add(report, "node", "ready", "not ready: "+node.Why, source, "nodes", expected.Name, "ready")
		}
		if roles(node.Roles) != roles(expected.Roles) {
			s.add(report, "node", roles(expected.Roles), roles(node.Roles), source, "nodes", expected.Name, "roles")
		}
		if node.Architecture != expected.Architecture {
			s.add(report, "node", expected.Architecture, node.Architecture, source, "nodes", expected.Name, "architecture")
		}
		// A node with the version of a differing API server is not a second difference.
		if !meets(node.Version, s.manifest.Kubernetes.Version) && node.Version != s.found.Version {
			s.add(report, "node", s.manifest.Kubernetes.Version, node.Version, source, "nodes", expected.Name, "version")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		s.add(report, "node", absent, roles(found[name].Roles), source, "nodes", name)
	}
}
