// SPDX-License-Identifier: GPL-3.0-or-later

package docker

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"github.com/arcodange-org/sandbox/internal/dockercli"
	"github.com/arcodange-org/sandbox/internal/driver"
	"github.com/arcodange-org/sandbox/internal/guard/nftrules"
)

// The fence of a sandbox is a table of nftables on the host of the engine, where
// root on a node cannot change it. It is read and written by a container in the
// host's network namespace, so that it works alike on an engine in a virtual
// machine. The host forgets the table when it restarts, and the engine starts the
// machines again by itself: so it also starts a container that loads the table.

const labelFence = "org.arcodange.sandbox.fence"

// Fence is the state of a fence.
type Fence struct {
	Rules   string // the rules in force, as nft lists them; empty for none
	Refused int64  // packets since the rules were loaded
	Kept    string // the rules that are loaded when the host has restarted; empty for none
}

// table names a sandbox's table. Names of nftables take fewer characters than those of sandboxes.
func table(sandbox string) string {
	sum := fnv.New32a()
	fmt.Fprint(sum, sandbox)
	return "arcodange_sandbox_" + strconv.FormatUint(uint64(sum.Sum32()), 16)
}

// FenceNetwork describes the sandbox's network for nftrules.Outside. It returns
// driver.ErrNotFound if there is none.
func (d Driver) FenceNetwork(ctx context.Context, sandbox, name string) (nftrules.Network, error) {
	found, err := dockercli.Inspect[network](ctx, d.Engine, "network", name)
	if err != nil {
		return nftrules.Network{}, err
	}
	for _, n := range found {
		if n.Name != name {
			continue
		}
		return nftrules.Network{Table: table(sandbox), Bridge: n.bridge()}, owned("network", name, sandbox, n.Labels)
	}
	return nftrules.Network{}, fmt.Errorf("network %s: %w", name, driver.ErrNotFound)
}

// nft runs a shell script with nft in a container, in the host's network
// namespace or in one of its own.
func (d Driver) nft(ctx context.Context, image, network, script, stdin string) (string, error) {
	out, err := d.Engine.Feed(ctx, strings.NewReader(stdin), "run", "--rm", "--interactive", "--network="+network, "--cap-drop=ALL", "--cap-add=NET_ADMIN",
		"--pull=never", "--entrypoint=/bin/sh", image, "-ec", script)
	return strings.TrimSpace(string(out)), err
}

// Fence returns the fence that is in force.
func (d Driver) Fence(ctx context.Context, sandbox, image string) (Fence, error) {
	name := table(sandbox)
	out, err := d.nft(ctx, image, "host", fmt.Sprintf(
		"nft list tables | grep -qx 'table inet %[1]s' || exit 0; nft --stateless list table inet %[1]s; echo ---; nft list counter inet %[1]s refused || true", name), "")
	if err != nil {
		return Fence{}, fmt.Errorf("read the fence of sandbox %s: %w", sandbox, err)
	}
	rules, counter, _ := strings.Cut(out, "\n---\n")
	fence := Fence{Rules: rules}
	if _, after, ok := strings.Cut(counter, "packets "); ok {
		fence.Refused, _ = strconv.ParseInt(strings.Fields(after)[0], 10, 64)
	}
	found, err := dockercli.Inspect[fenceContainer](ctx, d.Engine, "container", fenceName(sandbox))
	if err != nil || len(found) == 0 {
		return fence, err
	}
	c := found[0]
	if err := owned("container", fenceName(sandbox), sandbox, c.Config.Labels); err != nil {
		return fence, err
	}
	if n := len(c.Args); c.State.Running && c.Config.Labels[labelFence] != "" && n > 0 && slices.Equal(c.Args, keepArguments(sandbox, c.Args[n-1])) {
		fence.Kept = c.Args[n-1]
	}
	return fence, nil
}

func fenceName(sandbox string) string { return sandbox + "-fence" }

// fenceContainer is what Fence looks at.
type fenceContainer struct {
	Args   []string
	State  struct{ Running bool }
	Config struct{ Labels map[string]string }
}

// keepArguments are those of the program of the container that loads the rules where they are missing.
func keepArguments(sandbox, rules string) []string {
	return []string{"-ec", fmt.Sprintf(`nft list table inet %s >/dev/null 2>&1 || printf %%s "$1" | nft --file -; exec sleep infinity`, table(sandbox)), "fence", rules}
}

// Listed returns the rules as nft lists them once they are loaded.
func (d Driver) Listed(ctx context.Context, sandbox, image, rules string) (string, error) {
	out, err := d.nft(ctx, image, "none", "nft --file -; nft --stateless list table inet "+table(sandbox), rules)
	if err != nil {
		return "", fmt.Errorf("load the rules of sandbox %s into a network namespace of their own: %w", sandbox, err)
	}
	return out, nil
}

// LoadFence puts the rules in force, now and whenever the engine starts.
func (d Driver) LoadFence(ctx context.Context, sandbox, image, rules string) error {
	if _, err := d.nft(ctx, image, "host", "nft --file -", rules); err != nil {
		return fmt.Errorf("load the fence of sandbox %s: %w", sandbox, err)
	}
	if err := d.removeHelper(ctx, sandbox, fenceName(sandbox)); err != nil {
		return err
	}
	_, err := d.Engine.Do(ctx, append([]string{
		"run", "--detach", "--name=" + fenceName(sandbox), "--label=" + LabelSandbox + "=" + sandbox, "--label=" + labelFence + "=true",
		"--network=host", "--restart=unless-stopped", "--stop-signal=SIGKILL", "--cap-drop=ALL", "--cap-add=NET_ADMIN", "--read-only",
		"--security-opt=no-new-privileges", "--pull=never", "--entrypoint=/bin/sh", image,
	}, keepArguments(sandbox, rules)...)...)
	return err
}

// RemoveFence removes the rules.
func (d Driver) RemoveFence(ctx context.Context, sandbox, image string) error {
	if err := d.removeHelper(ctx, sandbox, fenceName(sandbox)); err != nil {
		return err
	}
	script := fmt.Sprintf("! nft list table inet %[1]s >/dev/null 2>&1 || nft delete table inet %[1]s", table(sandbox))
	if _, err := d.nft(ctx, image, "host", script, ""); err != nil {
		return fmt.Errorf("remove the fence of sandbox %s: %w", sandbox, err)
	}
	return nil
}

// AnyImage returns the image of one of the sandbox's machines. It returns
// driver.ErrNotFound if there is no machine.
func (d Driver) AnyImage(ctx context.Context, sandbox string) (string, error) {
	out, err := d.Engine.Do(ctx, "container", "ls", "--all", "--filter", "label="+LabelSandbox+"="+sandbox, "--filter", "label="+LabelMachine, "--format", "{{.Image}}")
	if err != nil {
		return "", fmt.Errorf("list the machines of sandbox %s: %w", sandbox, err)
	}
	images := strings.Fields(string(out))
	if len(images) == 0 {
		return "", fmt.Errorf("machines of sandbox %s: %w", sandbox, driver.ErrNotFound)
	}
	return images[0], nil
}
