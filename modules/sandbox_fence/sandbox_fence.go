// SPDX-License-Identifier: GPL-3.0-or-later

// Package sandboxfence is the module sandbox_fence, which loads a sandbox's
// rules on the host of its engine. internal/guard/nftrules renders them.
package sandboxfence

import (
	"context"
	"errors"
	"os"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/dockercli"
	"github.com/arcodange-org/sandbox/internal/driver"
	"github.com/arcodange-org/sandbox/internal/driver/docker"
	"github.com/arcodange-org/sandbox/internal/guard/nftrules"
	"github.com/arcodange-org/sandbox/internal/run"
)

type arguments struct {
	Sandbox  string `arg:"sandbox"`
	Network  string `arg:"network"`
	Boundary string `arg:"boundary"`
	State    string `arg:"state"`
	Driver   string `arg:"driver"`
}

// Module describes sandbox_fence.
func Module() ansible.Module {
	return ansible.Module{
		Name: "sandbox_fence", CheckMode: true, Run: ensure,
		Spec: ansible.Spec{Options: options(), RequiredIf: []ansible.RequiredIf{{Option: "state", Is: "present", Then: []string{"boundary"}}}},
	}
}

func ensure(ctx context.Context, c *ansible.Call) error {
	var args arguments
	if err := c.Bind(&args); err != nil {
		return err
	}
	d := docker.Driver{Engine: dockercli.Engine{Runner: run.Exec{}}}
	c.Return("rules", "")
	c.Return("refused", int64(0))
	image, err := d.AnyImage(ctx, args.Sandbox)
	if errors.Is(err, driver.ErrNotFound) && (c.CheckMode || args.State == "absent") {
		return nil // in check mode the machines may be yet to come
	}
	if err != nil {
		return err
	}
	current, err := d.Fence(ctx, args.Sandbox, image)
	if err != nil {
		return err
	}
	rules, listed := "", ""
	if args.State == "present" {
		manifest, err := boundary.Load(args.Boundary)
		if err != nil {
			return err
		}
		network, err := d.FenceNetwork(ctx, args.Sandbox, args.Network)
		if err != nil {
			return err
		}
		rules = nftrules.Outside(ctx, manifest, network, nftrules.Lookup(run.Exec{}, os.Environ()))
		if listed, err = d.Listed(ctx, args.Sandbox, image, rules); err != nil {
			return err
		}
	}
	c.Return("rules", current.Rules)
	c.Return("refused", current.Refused)
	if args.State == "present" {
		c.Return("in_force", current.Rules == listed)
	}
	if current.Rules == listed && current.Kept == rules {
		return nil
	}
	if current.Rules != listed {
		c.Differ("rules", current.Rules, listed)
	} else {
		c.Differ("rules after a restart of the host", current.Kept, rules)
	}
	if c.CheckMode {
		return nil
	}
	c.Return("rules", listed)
	if args.State == "absent" {
		return d.RemoveFence(ctx, args.Sandbox, image)
	}
	return d.LoadFence(ctx, args.Sandbox, image, rules)
}
