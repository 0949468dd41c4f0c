// SPDX-License-Identifier: GPL-3.0-or-later

// Package controller is the module prod_ip_guard with a reader of external references,
// for the controller's kit. A target's kit stays small without it.
package controller

import (
	"context"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/references"
	"github.com/arcodange-org/sandbox/modules/prod_ip_guard"
)

// Module describes prod_ip_guard.
func Module() ansible.Module { return prodipguard.With(read) }

func read(ctx context.Context, checker boundary.Checker, asked prodipguard.References) []boundary.Decision {
	sources := references.Sources{
		Kubeconfigs: asked.Kubeconfigs, Environment: asked.Environment, ArgoCD: asked.ArgoCD, Git: asked.Git, Keys: asked.Keys,
	}
	for _, root := range asked.Tofu {
		sources.Tofu = append(sources.Tofu, references.Root(root))
	}
	var decisions []boundary.Decision
	for _, result := range references.Decide(ctx, checker, references.System().Read(ctx, sources)) {
		decisions = append(decisions, result.Decision)
	}
	return decisions
}
