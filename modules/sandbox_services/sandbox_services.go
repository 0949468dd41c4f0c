// SPDX-License-Identifier: GPL-3.0-or-later

// Package sandboxservices is the module sandbox_services, which serves names and
// time inside a sandbox. internal/driver/docker runs the servers.
package sandboxservices

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/dockercli"
	"github.com/arcodange-org/sandbox/internal/driver"
	"github.com/arcodange-org/sandbox/internal/driver/docker"
	"github.com/arcodange-org/sandbox/internal/guard/nftrules"
	"github.com/arcodange-org/sandbox/internal/run"
)

type arguments struct {
	Sandbox   string         `arg:"sandbox"`
	Network   string         `arg:"network"`
	Address   string         `arg:"address"`
	Image     string         `arg:"image"`
	Boundary  string         `arg:"boundary"`
	Hosts     map[string]any `arg:"hosts"`
	TimeNames []string       `arg:"time_names"`
	State     string         `arg:"state"`
	Driver    string         `arg:"driver"`
}

// Module describes sandbox_services.
func Module() ansible.Module {
	return ansible.Module{
		Name: "sandbox_services", CheckMode: true, Run: ensure,
		Spec: ansible.Spec{Options: options(), RequiredIf: []ansible.RequiredIf{{Option: "state", Is: "started", Then: []string{"address", "image", "boundary"}}}},
	}
}

func ensure(ctx context.Context, c *ansible.Call) error {
	var args arguments
	if err := c.Bind(&args); err != nil {
		return err
	}
	home, err := driver.HomeOf(args.Sandbox, os.Getenv)
	if err != nil {
		return err
	}
	d := docker.Driver{Engine: dockercli.Engine{Runner: run.Exec{}}, Home: home}
	c.Return("not_found", map[string]int{})
	if args.State == "absent" {
		return remove(ctx, c, d, args.Sandbox)
	}
	want, err := args.services(ctx)
	if err != nil {
		return err
	}
	differences, err := d.Services(ctx, args.Sandbox, want)
	if err != nil {
		return err
	}
	for _, difference := range differences {
		c.Differ(difference.Name, difference.Before, difference.After)
	}
	if len(differences) > 0 {
		if c.CheckMode {
			return nil
		}
		return d.StartServices(ctx, args.Sandbox, want)
	}
	counts, err := d.NamesNotFound(ctx, args.Sandbox)
	c.Return("not_found", counts)
	return err
}

func remove(ctx context.Context, c *ansible.Call, d docker.Driver, sandbox string) error {
	running, err := d.HasServices(ctx, sandbox)
	if err != nil || !running {
		return err
	}
	c.Differ("state", string(driver.Started), string(driver.Absent))
	if c.CheckMode {
		return nil
	}
	return d.RemoveServices(ctx, sandbox)
}

// hostName matches what a name server takes as a name: no comma, no blank.
var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$`)

// services returns what the arguments ask for.
func (a arguments) services(ctx context.Context) (docker.Services, error) {
	manifest, err := boundary.Load(a.Boundary)
	if err != nil {
		return docker.Services{}, err
	}
	if _, err := netip.ParseAddr(a.Address); err != nil {
		return docker.Services{}, fmt.Errorf("address %q: not an IP address", a.Address)
	}
	for _, name := range append(slices.Collect(maps.Keys(a.Hosts)), a.TimeNames...) {
		if !hostName.MatchString(name) {
			return docker.Services{}, fmt.Errorf("name %q: not a host name", name)
		}
	}
	names := nftrules.OutsideNames(ctx, manifest, nftrules.Lookup(run.Exec{}, os.Environ()))
	for name, value := range a.Hosts {
		address, err := netip.ParseAddr(fmt.Sprint(value))
		if err != nil {
			return docker.Services{}, fmt.Errorf("hosts.%s: must be an IP address (got %v)", name, value)
		}
		names[name] = []netip.Addr{address}
	}
	return docker.Services{Network: a.Network, Address: a.Address, Image: a.Image, Names: names, Time: a.TimeNames}, nil
}
