// SPDX-License-Identifier: GPL-3.0-or-later

//go:build engine

package docker_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/dockercli"
	"github.com/arcodange-org/sandbox/internal/driver"
	"github.com/arcodange-org/sandbox/internal/driver/docker"
	"github.com/arcodange-org/sandbox/internal/driver/drivertest"
	"github.com/arcodange-org/sandbox/internal/image"
	"github.com/arcodange-org/sandbox/internal/run"
)

var cli = dockercli.Engine{Runner: run.Exec{}}

func newDriver(home driver.Home) driver.Driver { return docker.Driver{Engine: cli, Home: home} }

func TestMain(m *testing.M) { os.Exit(drivertest.Main(m, newDriver)) }

func do(t *testing.T, args ...string) string {
	t.Helper()
	out, err := cli.Do(t.Context(), args...)
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// nodeImage gives the image to test with: the one that SANDBOX_TEST_IMAGE
// names, or the collection's own, built when it is missing.
func nodeImage(t *testing.T) string {
	t.Helper()
	if name := os.Getenv("SANDBOX_TEST_IMAGE"); name != "" {
		return name
	}
	return builtImage(t, "node")
}

// builtImage returns the image of a recipe of the collection, built when it is missing.
func builtImage(t *testing.T, name string) string {
	t.Helper()
	recipe, err := image.Load(name)
	require.NoError(t, err)
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	built, err := image.Builder{Runner: run.Exec{}, Cache: filepath.Join(cache, "arcodange-sandbox")}.Apply(t.Context(), image.Want{Recipe: recipe})
	require.NoError(t, err)
	return built.Name
}

// occupied makes sure that a thing is what it was, by its ID.
func occupied(t *testing.T, kind, name, format string) func() bool {
	t.Helper()
	before := do(t, kind, "inspect", "--format", format, name)
	return func() bool { return do(t, kind, "inspect", "--format", format, name) == before }
}

func removeAfter(t *testing.T, args ...string) {
	t.Helper()
	t.Cleanup(func() { _, _ = cli.Do(context.Background(), args...) })
}

func leftovers(ctx context.Context, sandbox string) map[string][]string {
	found := map[string][]string{}
	filter := "label=" + docker.LabelSandbox + "=" + sandbox
	for kind, args := range map[string][]string{
		"container": {"container", "ls", "--all", "--quiet", "--filter", filter},
		"volume":    {"volume", "ls", "--quiet", "--filter", filter},
		"network":   {"network", "ls", "--quiet", "--filter", filter},
	} {
		out, err := cli.Do(ctx, args...)
		if err != nil {
			found[kind] = []string{err.Error()}
			continue
		}
		if names := strings.Fields(string(out)); len(names) > 0 {
			found[kind] = names
		}
	}
	return found
}

func TestTheDockerDriverKeepsTheContractOfDrivers(t *testing.T) {
	node := nodeImage(t)
	const other = "drvtest-other:latest"
	container := do(t, "create", "--label=drvtest", node)
	removeAfter(t, "image", "rm", "--force", other)
	do(t, "commit", "--change", "LABEL drvtest=other", container, other)
	do(t, "container", "rm", container)

	drivertest.Run(t, drivertest.Subject{
		New: newDriver, Image: node, OtherImage: other,
		Subnet: func(n int) string { return fmt.Sprintf("172.31.%d.0/24", 100+n) },
		OccupyMachine: func(t *testing.T, want driver.Spec) func() bool {
			name := docker.ContainerName(want.Sandbox, want.Name)
			removeAfter(t, "container", "rm", "--force", name)
			do(t, "run", "--detach", "--name="+name, "--network=none", "--entrypoint=/bin/sleep", node, "600")
			return occupied(t, "container", name, "{{.Id}} {{.State.StartedAt}} {{.State.Status}} {{.HostConfig.Memory}}")
		},
		OccupyNetwork: func(t *testing.T, want driver.Spec) func() bool {
			removeAfter(t, "network", "rm", want.Network.Name)
			do(t, "network", "create", "--subnet="+want.Network.Subnet, want.Network.Name)
			return occupied(t, "network", want.Network.Name, "{{.Id}}")
		},
		OccupyDisk: func(t *testing.T, want driver.Spec) func() bool {
			name := docker.ContainerName(want.Sandbox, want.Name) + "-data"
			removeAfter(t, "volume", "rm", "--force", name)
			do(t, "volume", "create", name)
			return occupied(t, "volume", name, "{{.Name}} {{.CreatedAt}} {{.Labels}}")
		},
		RemoveByHand: func(t *testing.T, want driver.Spec) {
			do(t, "container", "rm", "--force", docker.ContainerName(want.Sandbox, want.Name))
		},
		Leftovers: func(t *testing.T, sandbox string) []string {
			var all []string
			for kind, names := range leftovers(t.Context(), sandbox) {
				for _, name := range names {
					all = append(all, kind+" "+name)
				}
			}
			return all
		},
		Wipe: func(sandbox string) {
			ctx := context.Background()
			found := leftovers(ctx, sandbox)
			for _, kind := range []string{"container", "volume", "network"} {
				for _, name := range found[kind] {
					args := []string{kind, "rm", name}
					if kind == "container" {
						args = []string{kind, "rm", "--force", name}
					}
					_, _ = cli.Do(ctx, args...)
				}
			}
		},
	})
}
