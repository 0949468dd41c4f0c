// SPDX-License-Identifier: GPL-3.0-or-later

package parity

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestVersionsAreTheMeasuredOnesNotTheExpectedOnes(t *testing.T) {
	t.Parallel()
	m, found := stand(t)
	assert.Equal(t, map[string]string{
		"kubernetes": "v1.34.3+k3s1", "vault": "1.19", "longhorn": "v1.10.1", "traefik": "37.1.1", "cert-manager": "v1", "postgresql": "16.3",
	}, Versions(m, found))

	found.Version, found.Hosts["pi2"].Containers[0].Image = "v1.34.3+k3s1.embedded", "postgres:17.1"
	found.Images = append(found.Images, FoundImage{Namespace: "tools", Workload: "Pod x", Reference: "hashicorp/vault:2"})
	found.Releases, found.Groups = nil, nil
	m.Components = append(m.Components, Component{Name: "kubernetes", FoundBy: FoundBy{Image: &Image{Repository: "hashicorp/vault"}}})
	assert.Equal(t, map[string]string{"kubernetes": "v1.34.3+k3s1.embedded", "vault": "1.19, 2", "postgresql": "17.1"}, Versions(m, found))

	found.Hosts, found.Images = nil, nil
	assert.Equal(t, map[string]string{"kubernetes": "v1.34.3+k3s1.embedded"}, Versions(m, found))
}
