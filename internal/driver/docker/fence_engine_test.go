// SPDX-License-Identifier: GPL-3.0-or-later

//go:build engine

package docker_test

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/driver"
	"github.com/arcodange-org/sandbox/internal/driver/docker"
	"github.com/arcodange-org/sandbox/internal/guard/nftrules"
	"github.com/arcodange-org/sandbox/internal/run"
)

// outside makes a network namespace of this computer, with a route to it and a
// web server on two of its ports. Nothing sent there leaves the computer.
func outside(t *testing.T) (address string) {
	t.Helper()
	const space, near, far = "sandbox-outside", "sbx-near", "sbx-far"
	ip := func(args ...string) {
		out, err := exec.Command("ip", args...).CombinedOutput()
		require.NoError(t, err, "ip %s: %s", strings.Join(args, " "), out)
	}
	_ = exec.Command("ip", "netns", "del", space).Run()
	ip("netns", "add", space)
	t.Cleanup(func() { ip("netns", "del", space) })
	ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", space)
	ip("address", "add", "198.51.100.1/30", "dev", near)
	ip("link", "set", near, "up")
	ip("-n", space, "address", "add", "198.51.100.2/30", "dev", far)
	ip("-n", space, "link", "set", far, "up")
	for _, port := range []string{"8001", "8002"} {
		server := exec.CommandContext(t.Context(), "ip", "netns", "exec", space, "python3", "-m", "http.server", "--bind", "198.51.100.2", "--directory", t.TempDir(), port)
		require.NoError(t, server.Start())
		t.Cleanup(func() { _ = server.Wait() })
	}
	return "198.51.100.2"
}

func TestAFenceOnTheEnginesHostHolds(t *testing.T) {
	image, address := nodeImage(t), outside(t)
	const sandbox = "drvtest-fence"
	home := driver.Home{Dir: filepath.Join(t.TempDir(), sandbox)}
	d := docker.Driver{Engine: cli, Home: home}
	manager := driver.Manager{Driver: d, Home: home, Runner: run.Exec{}}
	want := driver.Spec{
		Sandbox: sandbox, Name: "pi1", Image: image, User: "pi", Address: "172.31.99.11",
		Network: driver.Network{Name: sandbox, Subnet: "172.31.99.0/24"},
	}
	request := driver.Request{Spec: want, Power: driver.Started, Timeout: time.Minute}
	t.Cleanup(func() {
		request.Power = driver.Absent
		_, err := manager.Ensure(context.Background(), request)
		assert.NoError(t, err)
	})
	_, err := manager.Ensure(t.Context(), request)
	require.NoError(t, err)

	// On the host itself, a service that listens everywhere.
	host := exec.CommandContext(t.Context(), "python3", "-m", "http.server", "--bind", "172.31.99.1", "--directory", t.TempDir(), "8003")
	require.NoError(t, host.Start())
	t.Cleanup(func() { _ = host.Wait() })
	reaches := func(target string) bool {
		return exec.Command("docker", "exec", docker.ContainerName(sandbox, "pi1"), "curl", "--silent", "--output", "/dev/null", "--max-time", "3", "http://"+target+"/").Run() == nil
	}
	listed, other, service := address+":8001", address+":8002", "172.31.99.1:8003"
	for _, target := range []string{listed, other, service} {
		require.Eventually(t, func() bool { return reaches(target) }, 20*time.Second, 200*time.Millisecond, "without a fence %s is reached", target)
	}

	manifest, err := boundary.Parse("boundary.yml", fmt.Appendf(nil, "production: {addresses: [192.0.2.1]}\nsandbox: {addresses: [172.31.99.0/24], outside: [%q]}\n", listed))
	require.NoError(t, err)
	network, err := d.FenceNetwork(t.Context(), sandbox, sandbox)
	require.NoError(t, err)
	rules := nftrules.Outside(t.Context(), manifest, network, func(context.Context, string) []netip.Addr { return nil })
	t.Cleanup(func() { _ = d.RemoveFence(context.Background(), sandbox, image) })
	require.NoError(t, d.LoadFence(t.Context(), sandbox, image, rules))

	assert.True(t, reaches(listed))
	assert.False(t, reaches(other), "the same machine, another port")
	assert.False(t, reaches(service), "the host itself")
	// Root on a node has no hold of it.
	do(t, "exec", docker.ContainerName(sandbox, "pi1"), "nft", "flush", "ruleset")
	assert.False(t, reaches(other))

	fence, err := d.Fence(t.Context(), sandbox, image)
	require.NoError(t, err)
	assert.Positive(t, fence.Refused)
	expected, err := d.Listed(t.Context(), sandbox, image, rules)
	require.NoError(t, err)
	assert.Equal(t, expected, fence.Rules)

	assert.Equal(t, rules, fence.Kept)

	// As after a restart of the host: the rules are gone, and the engine starts what it had.
	do(t, "run", "--rm", "--network=host", "--cap-add=NET_ADMIN", "--entrypoint=nft", image, "delete", "table", "inet", network.Table)
	assert.True(t, reaches(other))
	do(t, "restart", sandbox+"-fence")
	require.Eventually(t, func() bool { return !reaches(other) }, 10*time.Second, 100*time.Millisecond)
	do(t, "stop", sandbox+"-fence")
	fence, err = d.Fence(t.Context(), sandbox, image)
	require.NoError(t, err)
	assert.Empty(t, fence.Kept, "nothing would load them")

	require.NoError(t, d.RemoveFence(t.Context(), sandbox, image))
	assert.True(t, reaches(other))
	fence, err = d.Fence(t.Context(), sandbox, image)
	require.NoError(t, err)
	assert.Empty(t, fence.Rules)
}

func TestANetworkThatAVPNAlreadyLeadsToIsNotMade(t *testing.T) {
	const near, far = "sbx-vpn0", "sbx-vpn1"
	ip := func(args ...string) {
		out, err := exec.Command("ip", args...).CombinedOutput()
		require.NoError(t, err, "ip %s: %s", strings.Join(args, " "), out)
	}
	ip("link", "add", near, "type", "veth", "peer", "name", far)
	t.Cleanup(func() { ip("link", "del", near) })
	ip("link", "set", far, "up")
	ip("link", "set", near, "up")
	d := docker.Driver{Engine: cli, Home: driver.Home{Dir: t.TempDir()}}
	plan := func() error {
		_, err := d.Plan(t.Context(), driver.Spec{
			Sandbox: "drvtest-vpn", Name: "pi1", Image: "any", User: "pi", Address: "172.31.95.11",
			Network: driver.Network{Name: "drvtest-vpn", Subnet: "172.31.95.0/24"},
		}, driver.Started)
		return err
	}
	require.NoError(t, plan())
	ip("address", "add", "100.90.7.1/32", "dev", near) // without one it would be reached by the address of another
	ip("route", "add", "172.31.95.0/24", "dev", near)
	require.ErrorIs(t, plan(), driver.ErrNetworkConflict)
	require.ErrorContains(t, plan(), "172.31.95.0/24 is routed by "+near)
	ip("route", "del", "172.31.95.0/24", "dev", near)
	ip("address", "add", "172.31.90.1/20", "dev", near)
	require.ErrorContains(t, plan(), "172.31.95.0/24 is routed by "+near)
}
