// SPDX-License-Identifier: GPL-3.0-or-later

package pki

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/embedded/internal/config"
)

func TestSecondStartKeepsTheCAAndMendsWhatIsHalfThere(t *testing.T) {
	t.Parallel()
	cfg := &config.Config{DataDir: t.TempDir(), NodeIP: "10.0.0.1", AdvertiseAddress: "10.0.0.1", NodeName: "node",
		ServiceCIDR: "10.43.0.0/16", Cluster: config.Cluster{CIDR: "10.42.0.0/16", Domain: "cluster.local"}}
	require.NoError(t, os.MkdirAll(cfg.DataDir+"/server/tls.new", 0o700), "left by a start that was cut short")
	f, err := Ensure(cfg)
	require.NoError(t, err)
	text := func(path string) string {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(data)
	}
	ca, sa, leaf := text(f.Cert("ca.crt")), text(f.Cert("sa.pub")), text(f.Cert("apiserver.crt"))
	_, err = Ensure(cfg)
	require.NoError(t, err)
	assert.Equal(t, leaf, text(f.Cert("apiserver.crt")), "a good certificate is kept")

	require.NoError(t, os.Remove(f.Cert("apiserver.crt")))
	require.NoError(t, os.Truncate(f.Cert("front-proxy-client.key"), 0))
	require.NoError(t, os.Truncate(f.Cert("sa.pub"), 0))
	require.NoError(t, os.Truncate(f.Conf("super-admin.conf"), 10))
	_, err = Ensure(cfg)
	require.NoError(t, err)
	assert.Equal(t, ca, text(f.Cert("ca.crt")))
	assert.Equal(t, sa, text(f.Cert("sa.pub")))
	assert.NotEqual(t, leaf, text(f.Cert("apiserver.crt")))
	_, err = clientUntil(f.Conf("super-admin.conf"))
	require.NoError(t, err)
}
