// SPDX-License-Identifier: GPL-3.0-or-later

package parity

import (
	"context"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// kubernetesVersion is reported for another version of the API server.
type kubernetesVersion struct{}

func (kubernetesVersion) Info() gate.Info {
	return gate.Info{ID: "kubernetes_version", Summary: "The version of Kubernetes is not production's"}
}

func (kubernetesVersion) Check(_ context.Context, s subject, report *gate.Report) {
	expected, found := s.manifest.Kubernetes.Version, s.found.Version
	if !meets(found, expected) && !(s.otherDistribution() && base(found) == base(expected)) {
		s.add(report, "kubernetes_version", expected, found, apiVersion, "kubernetes", "version")
	}
}
