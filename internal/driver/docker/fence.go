// SPDX-License-Identifier: GPL-3.0-or-later

package docker

import (
	"context"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/arcodange-org/sandbox/internal/dockercli"
	"github.com/arcodange-org/sandbox/internal/driver"
	"github.com/arcodange-org/sandbox/internal/guard/nftrules"
)

// The fence of a sandbox is a table of nftables on the host of the engine, where
// root on a node cannot change it. It is read and written by a container in the
// host's network namespace, so that it works alike on an engine in a virtual
// machine. The host forgets it when it restarts, unlike its machines; the next
// run loads it again, and the nodes' own rules hold until then.

// Fence is the state of a fence.
type Fence struct {
	Rules   string // the rules, as nft lists them; empty for none
	Refused int64  // packets since the rules were loaded
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
		bridge := n.Options["com.docker.network.bridge.name"]
		if bridge == "" {
			bridge = "br-" + n.ID[:12]
		}
		return nftrules.Network{Table: table(sandbox), Bridge: bridge}, owned("network", name, sandbox, n.Labels)
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
	return fence, nil
}

// Listed returns the rules as nft lists them once they are loaded.
func (d Driver) Listed(ctx context.Context, sandbox, image, rules string) (string, error) {
	out, err := d.nft(ctx, image, "none", "nft --file -; nft --stateless list table inet "+table(sandbox), rules)
	if err != nil {
		return "", fmt.Errorf("load the rules of sandbox %s into a network namespace of their own: %w", sandbox, err)
	}
	return out, nil
}

// LoadFence puts the rules in force.
func (d Driver) LoadFence(ctx context.Context, sandbox, image, rules string) error {
	if _, err := d.nft(ctx, image, "host", "nft --file -", rules); err != nil {
		return fmt.Errorf("load the fence of sandbox %s: %w", sandbox, err)
	}
	return nil
}

// RemoveFence removes the rules.
func (d Driver) RemoveFence(ctx context.Context, sandbox, image string) error {
	if _, err := d.nft(ctx, image, "host", "nft delete table inet "+table(sandbox), ""); err != nil {
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
