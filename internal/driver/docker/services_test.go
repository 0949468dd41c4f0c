// SPDX-License-Identifier: GPL-3.0-or-later

package docker

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNamesThatAreNotServedAreCountedFromTheLog(t *testing.T) {
	t.Parallel()
	assert.Equal(t, map[string]int{"github.example": 2, "pi1.home": 1}, namesNotFound([]byte(`dnsmasq[8]: started, version 2.91 cachesize 150
dnsmasq[8]: query[A] github.example from 172.30.0.11
dnsmasq[8]: config github.example is NXDOMAIN
dnsmasq[8]: query[AAAA] github.example from 172.30.0.11
dnsmasq[8]: config github.example is NXDOMAIN
dnsmasq[8]: query[HINFO] 18.55 from 172.30.0.11
dnsmasq[8]: config 18.55 is NXDOMAIN
dnsmasq[8]: query[A] pi1.home from 172.30.0.12
dnsmasq[8]: config pi1.home is NXDOMAIN
dnsmasq[8]: query[A] pi2 from 172.30.0.12
dnsmasq[8]: config pi2 is 172.30.0.12
dnsmasq[8]: query[AAAA] pi2 from 172.30.0.12
dnsmasq[8]: config pi2 is NODATA-IPv6
`)))
}

func TestServedNamesAreInAFixedOrder(t *testing.T) {
	t.Parallel()
	services := Services{
		Address: "172.30.0.2", Time: []string{"pool.test"},
		Names: map[string][]netip.Addr{"b": {netip.MustParseAddr("192.0.2.2")}, "a": {netip.MustParseAddr("::ffff:192.0.2.1"), netip.MustParseAddr("2001:db8::1")}},
	}
	assert.Equal(t, []string{"--host-record=a,192.0.2.1,2001:db8::1", "--host-record=b,192.0.2.2", "--host-record=pool.test,172.30.0.2"}, records(services.arguments()))
}
