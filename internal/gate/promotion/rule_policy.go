// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// policyRule reads the policy, and is reported if it cannot be read or may not be used.
type policyRule struct{}

func (policyRule) Info() gate.Info {
	return gate.Info{ID: "policy", Summary: "The promotion policy cannot be read, may not be used, or does not list the repository", NeverWaive: noWaiver}
}

func (policyRule) Check(ctx context.Context, ev *evaluation, _ *gate.Report) {
	ev.checkAuthority(ctx)
	ev.readPolicies(ctx)
}

// readPolicies reads the versions of the policy that apply.
func (ev *evaluation) readPolicies(ctx context.Context) {
	found := ev.versions(ctx, ev.request.Policy, func(of string, err error) {
		ev.addFor("policy", of, "the promotion policy cannot be read: %v", err)
	})
	for _, of := range slices.Sorted(maps.Keys(found)) {
		name := ev.request.Policy
		if of != "file" {
			name, _ = Within(ev.top, ev.request.Policy)
			name = of + ":" + name
		}
		policy, err := parsePolicy(name, found[of])
		if err != nil {
			ev.addFor("policy", of, "%v", err)
			continue
		}
		if of == "head" && len(ev.policies) == 1 && ev.policies[0].SHA256 == policy.SHA256 {
			continue // unchanged in the range
		}
		ev.report.Policies = append(ev.report.Policies, policyVersion{Of: of, SHA256: policy.SHA256})
		if _, ok := policy.Repositories[ev.request.Repository]; !ok {
			ev.addFor("policy", of, "the policy %s does not list the repository %q (got %s)",
				name, ev.request.Repository, strings.Join(slices.Sorted(maps.Keys(policy.Repositories)), ", "))
			continue
		}
		ev.policies = append(ev.policies, version{promotionPolicy: policy, of: of, touched: map[string]bool{}})
	}
}
