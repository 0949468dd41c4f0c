// SPDX-License-Identifier: GPL-3.0-or-later

// Package sandboxvminfo is the module sandbox_vm_info, which lists the machines
// of a sandbox.
package sandboxvminfo

import (
	"context"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/internal/dockercli"
	"github.com/arcodange-org/sandbox/internal/driver/docker"
	"github.com/arcodange-org/sandbox/internal/run"
)

type arguments struct {
	Sandbox string `arg:"sandbox"`
	Driver  string `arg:"driver"`
}

// Module describes sandbox_vm_info.
func Module() ansible.Module {
	return ansible.Module{Name: "sandbox_vm_info", CheckMode: true, Spec: ansible.Spec{Options: options()}, Run: list}
}

func list(ctx context.Context, c *ansible.Call) error {
	var args arguments
	if err := c.Bind(&args); err != nil {
		return err
	}
	machines, err := docker.Driver{Engine: dockercli.Engine{Runner: run.Exec{}}}.List(ctx, args.Sandbox)
	if err != nil {
		return err
	}
	c.Return("machines", machines)
	return nil
}
