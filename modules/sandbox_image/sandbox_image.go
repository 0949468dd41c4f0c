// SPDX-License-Identifier: GPL-3.0-or-later

// Package sandboximage is the module sandbox_image: it binds arguments and calls
// internal/image.
package sandboximage

import (
	"context"
	"os"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/internal/image"
	"github.com/arcodange-org/sandbox/internal/run"
	"github.com/arcodange-org/sandbox/internal/xdg"
)

type arguments struct {
	Recipe   string `arg:"recipe"`
	Image    string `arg:"image"`
	Source   string `arg:"source"`
	State    string `arg:"state"`
	Archive  string `arg:"archive"`
	Mirror   string `arg:"mirror"`
	Security string `arg:"security_mirror"`
	Cache    string `arg:"cache_dir"`
}

// Module describes sandbox_image.
func Module() ansible.Module {
	return ansible.Module{
		Name:      "sandbox_image",
		CheckMode: true,
		Spec:      ansible.Spec{Options: options()},
		Run:       ensure,
	}
}

func ensure(ctx context.Context, c *ansible.Call) error {
	var args arguments
	if err := c.Bind(&args); err != nil {
		return err
	}
	recipe, err := image.Load(args.Recipe)
	if err != nil {
		return err
	}
	if args.Cache == "" {
		if args.Cache, err = xdg.Cache(os.Getenv); err != nil {
			return err
		}
	}
	builder := image.Builder{Runner: run.Exec{}, Cache: args.Cache}
	want := image.Want{
		Recipe: recipe, Name: args.Image, Source: image.Source(args.Source), Archive: args.Archive,
		Mirrors: image.Mirrors{Main: args.Mirror, Security: args.Security},
	}
	plan, img, err := builder.Plan(ctx, want)
	if err != nil {
		return err
	}
	if args.State == "absent" {
		removed, err := builder.Remove(ctx, want, c.CheckMode)
		if err != nil {
			return err
		}
		if removed {
			c.Differ("image", img.Name, nil)
		}
		result(c, img, args, plan)
		return nil
	}
	if !plan.Empty() && !c.CheckMode {
		// The plan determines `changed`: an image that another process built while this
		// one waited for the lock was missing when the task began.
		if img, err = builder.Apply(ctx, want); err != nil {
			return err
		}
	}
	if plan.Image {
		c.Differ("image", nil, img.Name)
	}
	if plan.Archive {
		c.Differ("archive", nil, args.Archive)
	}
	result(c, img, args, plan)
	return nil
}

func result(c *ansible.Call, img image.Image, args arguments, plan image.Plan) {
	source := "engine"
	switch {
	case img.Source != "":
		source = string(img.Source)
	case plan.Image && plan.Cached:
		source = "cache"
	case plan.Image:
		source = args.Source
	}
	c.Return("image", img.Name)
	c.Return("id", img.ID)
	c.Return("digest", img.Digest)
	c.Return("size", img.Size)
	c.Return("recipe", args.Recipe)
	c.Return("source", source)
	c.Return("archive", args.Archive)
}
