// SPDX-License-Identifier: GPL-3.0-or-later

package parity

import (
	"context"
	"fmt"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// kubernetesDistribution is reported for another distribution; the embedded one is a deviation.
type kubernetesDistribution struct{}

func (kubernetesDistribution) Info() gate.Info {
	return gate.Info{ID: "kubernetes_distribution", Summary: "The distribution of Kubernetes is not production's"}
}

func (kubernetesDistribution) Check(_ context.Context, s subject, report *gate.Report) {
	if s.otherDistribution() {
		s.add(report, "kubernetes_distribution", string(s.manifest.Kubernetes.Distribution), fmt.Sprintf("%s (%s)", DistributionOf(s.found.Version), s.found.Version), apiVersion, "kubernetes", "distribution")
	}
}

const apiVersion = "/version of the API server"

func (s subject) otherDistribution() bool {
	found := DistributionOf(s.found.Version)
	return found != embedded && found != s.manifest.Kubernetes.Distribution
}
