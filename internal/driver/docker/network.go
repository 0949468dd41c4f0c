// SPDX-License-Identifier: GPL-3.0-or-later

package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/arcodange-org/sandbox/internal/dockercli"
	"github.com/arcodange-org/sandbox/internal/driver"
	"github.com/arcodange-org/sandbox/internal/route"
)

// locked runs f while no other process makes or removes what the machines share.
func (d Driver) locked(ctx context.Context, what string, f func() error) error {
	held, err := d.Home.Lock(ctx, what, lockWait)
	if err != nil {
		return err
	}
	defer held.Release()
	return f()
}

// checkNetwork finds why the wanted network or address cannot be had.
func (d Driver) checkNetwork(ctx context.Context, s scene, want driver.Spec) error {
	for _, o := range s.others {
		if o.address == want.Network.Nameserver && o.address != "" {
			return fmt.Errorf("%w: %s is machine %s's; choose another address for the name server", driver.ErrAddressTaken, o.address, o.machine)
		}
		if o.address == want.Address {
			return fmt.Errorf("%w: %s is machine %s's; give every machine its own, or remove that one if it left the inventory (-e sandbox_nodes_remove=true)", driver.ErrAddressTaken, want.Address, o.machine)
		}
	}
	if s.network == nil {
		return d.checkOverlap(ctx, want)
	}
	if subnet := s.network.subnet(); subnet != want.Network.Subnet {
		return fmt.Errorf("%w: network %s of sandbox %s is %s, and %s is wanted; remove the sandbox first (destroy.yml, or state=absent for each machine), or keep the subnet",
			driver.ErrNetworkConflict, want.Network.Name, want.Sandbox, subnet, want.Network.Subnet)
	}
	if holder := s.network.holder(want.Address); holder != "" && holder != ContainerName(want.Sandbox, want.Name) {
		return fmt.Errorf("%w: %s is container %s's: choose another", driver.ErrAddressTaken, want.Address, holder)
	}
	return nil
}

// holder is the container with the address; empty if none has it.
func (n network) holder(address string) string {
	for _, attached := range n.Containers {
		if ip, _, _ := strings.Cut(attached.IPv4Address, "/"); ip == address {
			return attached.Name
		}
	}
	return ""
}

// checkOverlap names the network that is in the way; the engine only says that there is one.
func (d Driver) checkOverlap(ctx context.Context, want driver.Spec) error {
	wanted, err := netip.ParsePrefix(want.Network.Subnet)
	if err != nil {
		return fmt.Errorf("%w: subnet %q", driver.ErrInvalid, want.Network.Subnet)
	}
	out, err := d.Engine.Do(ctx, "network", "ls", "--quiet", "--no-trunc")
	if err != nil {
		return fmt.Errorf("list networks: %w", err)
	}
	networks, err := dockercli.Inspect[network](ctx, d.Engine, "network", strings.Fields(string(out))...)
	if err != nil {
		return err
	}
	for _, n := range networks {
		for _, config := range n.IPAM.Config {
			// A network of that very name appeared meanwhile: not in the way.
			if prefix, err := netip.ParsePrefix(config.Subnet); err == nil && prefix.Overlaps(wanted) && n.Name != want.Network.Name {
				return fmt.Errorf("%w: %s overlaps network %s (%s): choose another subnet, or remove that network", driver.ErrNetworkConflict, wanted, n.Name, prefix)
			}
		}
	}
	for _, n := range networks {
		if _, err := net.InterfaceByName(n.bridge()); err == nil { // the engine's networks are this computer's
			if by := route.Claimed(wanted); by != "" {
				return fmt.Errorf("%w: %s is routed by %s: choose another subnet, or switch off that route of the VPN", driver.ErrNetworkConflict, wanted, by)
			}
		}
	}
	return nil
}

// ensureNetwork gives the sandbox's network, which it makes when it is not
// there. The caller holds the sandbox's lock.
//
// The network also remembers whether the host grants sysResource: that is the
// same for all machines, and is forgotten when the last one goes.
func (d Driver) ensureNetwork(ctx context.Context, want driver.Spec) (network, error) {
	find := func() (*network, error) {
		found, err := dockercli.Inspect[network](ctx, d.Engine, "network", want.Network.Name)
		if err != nil {
			return nil, err
		}
		for i := range found {
			if found[i].Name == want.Network.Name {
				return &found[i], owned("network", want.Network.Name, want.Sandbox, found[i].Labels)
			}
		}
		return nil, nil
	}
	if n, err := find(); err != nil || n != nil {
		if err != nil {
			return network{}, err
		}
		return *n, nil
	}
	granted, err := d.probe(ctx, want)
	if err != nil {
		return network{}, err
	}
	gateway := netip.MustParsePrefix(want.Network.Subnet).Addr().Next()
	_, err = d.Engine.Do(ctx, "network", "create", "--driver=bridge", "--subnet="+want.Network.Subnet, "--gateway="+gateway.String(),
		"--label="+LabelSandbox+"="+want.Sandbox, "--label="+labelSysResource+"="+strconv.FormatBool(granted), want.Network.Name)
	if err != nil && strings.Contains(err.Error(), "already exists") {
		err = nil // the command of a killed run went on without it and was first
	}
	if err != nil {
		if said := err.Error(); strings.Contains(said, "overlaps") || strings.Contains(said, "non-overlapping") {
			return network{}, fmt.Errorf("%w: %s overlaps another network of this computer: choose another subnet: %w", driver.ErrNetworkConflict, want.Network.Subnet, err)
		}
		return network{}, err
	}
	n, err := find()
	if err == nil && n == nil {
		err = fmt.Errorf("network %s is gone right after it was made: run again", want.Network.Name)
	}
	if err != nil {
		return network{}, err
	}
	return *n, nil
}

func probeName(sandbox string) string { return sandbox + "-probe" }

// probe starts a container with sysResource that ends at once, to see whether the host lets it.
func (d Driver) probe(ctx context.Context, want driver.Spec) (bool, error) {
	name := probeName(want.Sandbox)
	ask := func() error {
		if err := d.removeHelper(ctx, want.Sandbox, probeName(want.Sandbox)); err != nil {
			return err
		}
		_, err := d.Engine.Do(ctx, "run", "--rm", "--cap-add="+sysResource.name, "--network=none", "--pull=never", "--name="+name,
			"--label="+LabelSandbox+"="+want.Sandbox, "--label="+labelProbe+"=true", "--entrypoint=/bin/true", want.Image)
		return err
	}
	err := ask()
	for try := 0; try < 5 && err != nil && strings.Contains(err.Error(), "already in use by container"); try++ {
		err = ask() // the probe of a killed run had not begun when it was looked for
	}
	if err == nil {
		return true, nil
	}
	if said := strings.ToLower(err.Error()); strings.Contains(said, "apply caps") || strings.Contains(said, "operation not permitted") {
		return false, d.removeHelper(ctx, want.Sandbox, probeName(want.Sandbox))
	}
	return false, explain(err, want)
}

// removeNetwork removes the sandbox's network unless another machine is left.
func (d Driver) removeNetwork(ctx context.Context, want driver.Spec, machine string) error {
	return d.locked(ctx, "remove network "+want.Network.Name, func() error {
		others, helpers, err := d.others(ctx, want.Sandbox, machine)
		if err != nil || len(others) > 0 {
			return err
		}
		for _, name := range helpers {
			if err := d.removeHelper(ctx, want.Sandbox, name); err != nil {
				return err
			}
		}
		found, err := dockercli.Inspect[network](ctx, d.Engine, "network", want.Network.Name)
		if err != nil || len(found) == 0 {
			return err
		}
		if found[0].Labels[LabelSandbox] != want.Sandbox {
			return nil
		}
		_, err = d.Engine.Do(ctx, "network", "rm", want.Network.Name)
		if errors.Is(err, dockercli.ErrNotFound) {
			return nil
		}
		if err != nil && strings.Contains(err.Error(), "active endpoints") {
			return fmt.Errorf("network %s has guests that are not this sandbox's: disconnect them with `docker network disconnect`: %w", want.Network.Name, err)
		}
		return err
	})
}
