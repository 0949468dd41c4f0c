// SPDX-License-Identifier: GPL-3.0-or-later

// Package sandboxvm is the module sandbox_vm: it converts a task's arguments to
// a machine spec, calls driver.Manager, and converts the outcome to a module
// result. Machines are defined and made in internal/driver and below.
package sandboxvm

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/internal/dockercli"
	"github.com/arcodange-org/sandbox/internal/driver"
	"github.com/arcodange-org/sandbox/internal/driver/docker"
	"github.com/arcodange-org/sandbox/internal/run"
)

type arguments struct {
	Name    string  `arg:"name"`
	Sandbox string  `arg:"sandbox"`
	Driver  string  `arg:"driver"`
	State   string  `arg:"state"`
	Image   string  `arg:"image"`
	CPUs    float64 `arg:"cpus"`
	Memory  int64   `arg:"memory"`
	Disk    int64   `arg:"disk"`
	Model   string  `arg:"model"`
	Disks   []struct {
		Name string `arg:"name"`
		Path string `arg:"path"`
		Size int64  `arg:"size"`
	} `arg:"disks"`
	Network struct {
		Name       string `arg:"name"`
		Subnet     string `arg:"subnet"`
		Nameserver string `arg:"nameserver"`
	} `arg:"network"`
	Address string `arg:"address"`
	Publish []struct {
		Port     int `arg:"port"`
		HostPort int `arg:"host_port"`
	} `arg:"publish"`
	SSHUser      string              `arg:"ssh_user"`
	SSHPublicKey string              `arg:"ssh_public_key"`
	Requires     []driver.Capability `arg:"requires"`
	Keep         bool                `arg:"keep"`
	Timeout      int                 `arg:"timeout"`
}

// Module describes sandbox_vm.
func Module() ansible.Module {
	return ansible.Module{
		Name:      "sandbox_vm",
		CheckMode: true,
		Spec: ansible.Spec{
			Options: options(),
			RequiredIf: []ansible.RequiredIf{
				{Option: "state", Is: "present", Then: []string{"image", "address"}},
				{Option: "state", Is: "started", Then: []string{"image", "address"}},
				{Option: "state", Is: "stopped", Then: []string{"image", "address"}},
			},
		},
		Run: ensure,
	}
}

const defaultSubnet = "172.30.0.0/24"

func (a arguments) spec() driver.Spec {
	spec := driver.Spec{
		Sandbox: a.Sandbox, Name: a.Name, Image: a.Image, CPUs: a.CPUs, Memory: a.Memory, DiskSize: a.Disk,
		Model: a.Model, Requires: a.Requires,
		Network: driver.Network(a.Network),
		Address: a.Address, User: a.SSHUser,
	}
	if spec.Network.Name == "" {
		spec.Network.Name = a.Sandbox
	}
	if spec.Network.Subnet == "" {
		spec.Network.Subnet = defaultSubnet
	}
	for _, disk := range a.Disks {
		spec.Disks = append(spec.Disks, driver.Disk(disk))
	}
	for _, port := range a.Publish {
		spec.Ports = append(spec.Ports, driver.Port(port))
	}
	for line := range strings.Lines(a.SSHPublicKey) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			spec.AuthorizedKeys = append(spec.AuthorizedKeys, line)
		}
	}
	return spec
}

// access are the differences with which the controller cannot log in.
var access = []string{"authorized_keys", "user", "host_key", "known_hosts", "keys"}

func ensure(ctx context.Context, c *ansible.Call) error {
	var args arguments
	if err := c.Bind(&args); err != nil {
		return err
	}
	if args.Timeout < 1 {
		return fmt.Errorf("argument timeout is %d: use a number of seconds, at least 1", args.Timeout)
	}
	home, err := driver.HomeOf(args.Sandbox, os.Getenv)
	if err != nil {
		return err
	}
	manager := driver.Manager{
		Driver: docker.Driver{Engine: dockercli.Engine{Runner: run.Exec{}}, Home: home},
		Home:   home, Runner: run.Exec{},
	}
	out, err := manager.Ensure(ctx, driver.Request{
		Spec: args.spec(), Power: driver.Power(args.State), Check: c.CheckMode, Keep: args.Keep,
		Timeout: time.Duration(args.Timeout) * time.Second,
	})
	if err != nil {
		return fmt.Errorf("machine %s of sandbox %s: %w", args.Name, args.Sandbox, err)
	}
	changes := []string{}
	for _, d := range out.Differences {
		c.Differ(d.Name, d.Before, d.After)
		if !slices.Contains(changes, d.Name) {
			changes = append(changes, d.Name)
		}
	}
	if len(changes) > 0 && out.Machine != nil {
		for _, note := range append(slices.Clone(out.Notes), out.Machine.Notes...) {
			c.Warn(note)
		}
	}
	machine := show(out, args)
	machine["lacks"] = slices.Sorted(maps.Keys(manager.Driver.Lacks()))
	// In check mode a changed key or user is still to be repaired.
	machine["reachable"] = machine["state"] == string(driver.Started) &&
		!(c.CheckMode && slices.ContainsFunc(changes, func(name string) bool { return slices.Contains(access, name) }))
	c.Return("changes", changes)
	c.Return("machine", machine)
	return nil
}

// show returns the machine for the result. It has all keys in every state,
// so that a template needs no default.
func show(out driver.Outcome, args arguments) map[string]any {
	spec := args.spec()
	shown := map[string]any{
		"name": args.Name, "sandbox": args.Sandbox, "driver": args.Driver, "state": string(driver.Absent),
		"id": "", "image": "", "cpus": 0.0, "memory": int64(0), "disk": int64(0), "model": "", "network": spec.Network.Name,
		"address": spec.Address, "gateway": "", "ssh_host": spec.Address, "ssh_port": 22, "ssh_user": args.SSHUser,
		"ssh_key_file": out.KeyFile, "host_keys": []any{}, "known_hosts": []string{}, "known_hosts_file": out.KnownHostsFile,
		"disks": []any{}, "ports": []any{}, "notes": []string{}, "reachable": false,
	}
	if m := out.Machine; m != nil {
		shown["state"], shown["id"], shown["image"] = string(m.State), m.ID, m.Image
		shown["cpus"], shown["memory"], shown["disk"], shown["model"] = m.CPUs, m.Memory, m.DiskSize, m.Model
		shown["network"], shown["address"], shown["gateway"] = m.Network.Name, m.Address, m.Gateway
		shown["ssh_host"], shown["ssh_port"], shown["ssh_user"] = m.SSHHost, m.SSHPort, m.User
		shown["notes"] = append(append([]string{}, out.Notes...), m.Notes...)
		disks, ports, keys := []any{}, []any{}, []any{}
		for _, d := range m.Disks {
			disks = append(disks, map[string]any{"name": d.Name, "path": d.Path})
		}
		for _, p := range m.Ports {
			ports = append(ports, map[string]any{"port": p.Port, "host": "127.0.0.1", "host_port": p.HostPort})
		}
		for _, k := range m.HostKeys {
			keys = append(keys, map[string]any{"type": k.Type, "key": k.Key, "fingerprint": k.Fingerprint})
		}
		shown["disks"], shown["ports"], shown["host_keys"] = disks, ports, keys
		shown["known_hosts"] = append([]string{}, out.KnownHosts...)
	}
	return shown
}
