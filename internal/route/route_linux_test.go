// SPDX-License-Identifier: GPL-3.0-or-later

package route

import (
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// interfaces are those of a computer with a sandbox's bridge and a VPN.
const interfaces = `
ip link set lo up
ip link add br0 type bridge && ip address add 172.30.0.1/24 dev br0 && ip link set br0 up
ip link add mesh0 type veth peer name mesh1 && ip link set mesh1 up && ip address add 100.90.1.1/24 dev mesh0 && ip link set mesh0 up
`

func TestPacketsThatLeaveByAnotherInterfaceAreSeen(t *testing.T) {
	t.Parallel()
	if os.Getenv("ROUTE_TEST_INSIDE") != "" {
		leaves, belongs := Detour(netip.MustParseAddr(os.Getenv("ROUTE_TEST_INSIDE")))
		by, err := Interface(netip.MustParseAddr("172.30.0.11"))
		claimed := Claimed(netip.MustParsePrefix("172.31.0.0/24"))
		_, printed := os.Stdout.WriteString("answer: " + strings.Join([]string{leaves, belongs, by, Default(), claimed}, " ") + "\n")
		require.NoError(t, printed)
		require.NoError(t, err)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	for _, c := range []struct{ name, setup, to, want string }{
		{"the network of the bridge", "", "172.30.0.11", "  br0  "},
		{"an address of no interface", "", "198.51.100.1", "  br0  "},
		{"the exit node of a VPN", "ip rule add from all lookup 52 priority 5270; ip route add default dev mesh0 table 52", "172.30.0.11", "mesh0 br0 mesh0 mesh0 "},
		{"a route of a VPN for half of the network", "ip route add 172.30.0.0/25 dev mesh0", "172.30.0.11", "mesh0 br0 mesh0  "},
		{"the computer's own address", "ip rule add from all lookup 52 priority 5270; ip route add default dev mesh0 table 52", "172.30.0.1", "  mesh0 mesh0 "},
		{"a default route that leads elsewhere", "ip route add default dev mesh0", "172.30.0.11", "  br0 mesh0 "},
		{"a VPN's route for another network", "ip route add 172.31.0.0/16 dev mesh0", "172.30.0.11", "  br0  mesh0"},
		{"a VPN's address in another network", "ip address add 172.31.0.9/16 dev mesh0", "172.30.0.11", "  br0  mesh0"},
		{"another interface in the same network", "ip address add 172.30.0.9/24 dev mesh0", "172.30.0.11", "  br0  "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			command := exec.CommandContext(t.Context(), "unshare", "--net", "sh", "-ec", interfaces+c.setup+`
exec "$0" -test.run='^TestPacketsThatLeave'`, os.Args[0])
			command.Env = append(os.Environ(), "ROUTE_TEST_INSIDE="+c.to)
			out, err := command.CombinedOutput()
			require.NoError(t, err, "%s", out)
			_, answer, _ := strings.Cut(string(out), "answer: ")
			answer, _, _ = strings.Cut(answer, "\n")
			assert.Equal(t, c.want, answer)
		})
	}
}
