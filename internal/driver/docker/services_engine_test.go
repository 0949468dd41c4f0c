// SPDX-License-Identifier: GPL-3.0-or-later

//go:build engine

package docker_test

import (
	"context"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/driver"
	"github.com/arcodange-org/sandbox/internal/driver/docker"
	"github.com/arcodange-org/sandbox/internal/run"
)

// clock asks an NTP server for the time, and prints it in seconds.
const clock = `
import socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.sendto(b"\x23" + 47 * b"\0", (sys.argv[1], 123))
print(struct.unpack("!I", s.recv(48)[40:44])[0] - 2208988800)
`

func TestMachinesAskTheSandboxesOwnServersForNamesAndTime(t *testing.T) {
	const sandbox, address = "drvtest-names", "172.31.97.2"
	home := driver.Home{Dir: filepath.Join(t.TempDir(), sandbox)}
	d := docker.Driver{Engine: cli, Home: home}
	manager := driver.Manager{Driver: d, Home: home, Runner: run.Exec{}}
	request := driver.Request{Power: driver.Started, Timeout: time.Minute, Spec: driver.Spec{
		Sandbox: sandbox, Name: "pi1", Image: nodeImage(t), User: "pi", Address: "172.31.97.11",
		Network: driver.Network{Name: sandbox, Subnet: "172.31.97.0/24", Nameserver: address},
	}}
	t.Cleanup(func() {
		request.Power = driver.Absent
		_, err := manager.Ensure(context.Background(), request)
		require.NoError(t, err)
		assert.Error(t, exec.Command("docker", "container", "inspect", sandbox+"-services").Run(), "it goes with the last machine")
	})
	_, err := manager.Ensure(t.Context(), request)
	require.NoError(t, err)

	want := docker.Services{
		Network: sandbox, Address: address, Image: builtImage(t, "services"), Time: []string{"pool.test"},
		Names: map[string][]netip.Addr{"pi1": {netip.MustParseAddr("172.31.97.11")}, "mirror.test": {netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}},
	}
	differences, err := d.Services(t.Context(), sandbox, want)
	require.NoError(t, err)
	assert.NotEmpty(t, differences)
	require.NoError(t, d.StartServices(t.Context(), sandbox, want))
	as := func() []string {
		t.Helper()
		differences, err := d.Services(t.Context(), sandbox, want)
		require.NoError(t, err)
		names := []string{}
		for _, difference := range differences {
			names = append(names, difference.Name)
		}
		return names
	}
	assert.Empty(t, as())

	lookup := func(name string) string {
		out, _ := exec.Command("docker", "exec", docker.ContainerName(sandbox, "pi1"), "getent", "ahosts", name).Output()
		return string(out)
	}
	require.Eventually(t, func() bool { return strings.Contains(lookup("mirror.test"), "192.0.2.1") }, 10*time.Second, 100*time.Millisecond)
	assert.Contains(t, lookup("pool.test"), address)
	begun := time.Now()
	assert.Empty(t, lookup("elsewhere.test"))
	assert.Less(t, time.Since(begun), 2*time.Second, "an answer, not a timeout")
	counts, err := d.NamesNotFound(t.Context(), sandbox)
	require.NoError(t, err)
	assert.Positive(t, counts["elsewhere.test"])
	assert.NotContains(t, counts, "mirror.test")

	seconds, err := strconv.ParseInt(strings.TrimSpace(do(t, "exec", docker.ContainerName(sandbox, "pi1"), "python3", "-c", clock, "pool.test")), 10, 64)
	require.NoError(t, err)
	assert.InDelta(t, time.Now().Unix(), seconds, 5)

	// A machine keeps what it was given, as it keeps what a playbook makes of it.
	do(t, "restart", docker.ContainerName(sandbox, "pi1"))
	require.Eventually(t, func() bool {
		out, _ := exec.Command("docker", "exec", docker.ContainerName(sandbox, "pi1"), "cat", "/etc/resolv.conf").Output()
		return string(out) == "nameserver "+address+"\n"
	}, 20*time.Second, 100*time.Millisecond)

	request.Spec.Network.Nameserver = ""
	outcome, err := manager.Ensure(t.Context(), request)
	require.NoError(t, err)
	assert.Empty(t, outcome.Differences, "not given is no change")

	for wrong, is := range map[string]error{"10.9.9.9": driver.ErrAddressOutside, request.Spec.Address: driver.ErrAddressTaken} {
		elsewhere := want
		elsewhere.Address = wrong
		require.ErrorIs(t, d.StartServices(t.Context(), sandbox, elsewhere), is)
	}
	assert.Empty(t, as(), "what runs stays")
	neighbour := request
	neighbour.Spec.Name, neighbour.Spec.Address, neighbour.Spec.Network.Nameserver = "pi2", "172.31.97.12", request.Spec.Address
	_, err = manager.Ensure(t.Context(), neighbour)
	require.ErrorIs(t, err, driver.ErrAddressTaken, "a machine's address is no name server's")

	do(t, "stop", sandbox+"-services")
	assert.Equal(t, []string{"state"}, as())
	want.Names["pi2"] = []netip.Addr{netip.MustParseAddr("172.31.97.12")}
	assert.Equal(t, []string{"state", "names"}, as())
	require.NoError(t, d.StartServices(t.Context(), sandbox, want))
	assert.Empty(t, as())

	// One server ends: the engine starts both again.
	_, _ = cli.Do(t.Context(), "exec", sandbox+"-services", "bash", "-c", `for stat in /proc/[0-9]*/stat; do read -r pid name _ <$stat; [ "$name" = "(chronyd)" ] && kill -9 $pid; done`)
	require.Eventually(t, func() bool { return strings.Contains(lookup("pi2"), "172.31.97.12") }, 20*time.Second, 200*time.Millisecond)
	require.Eventually(t, func() bool {
		return exec.Command("docker", "exec", docker.ContainerName(sandbox, "pi1"), "python3", "-c", clock, "pool.test").Run() == nil
	}, 20*time.Second, 200*time.Millisecond)
}

func TestAContainerOfAnotherOwnerIsNotTakenForTheServices(t *testing.T) {
	const sandbox = "drvtest-foreign"
	do(t, "create", "--name="+sandbox+"-services", "--network=none", "--entrypoint=/bin/true", nodeImage(t))
	removeAfter(t, "rm", "--force", sandbox+"-services")
	d := docker.Driver{Engine: cli, Home: driver.Home{Dir: filepath.Join(t.TempDir(), sandbox)}}
	_, err := d.Services(t.Context(), sandbox, docker.Services{})
	require.ErrorIs(t, err, driver.ErrNotOwned)
	require.ErrorIs(t, d.RemoveServices(t.Context(), sandbox), driver.ErrNotOwned)
	require.ErrorIs(t, d.StartServices(t.Context(), sandbox, docker.Services{}), driver.ErrNotOwned)
}
