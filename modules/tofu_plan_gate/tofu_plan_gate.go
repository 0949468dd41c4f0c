// SPDX-License-Identifier: GPL-3.0-or-later

// Package tofuplangate is the module tofu_plan_gate: it binds arguments and
// calls internal/gate/plan.
package tofuplangate

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/evidence/record"
	"github.com/arcodange-org/sandbox/internal/gate"
	"github.com/arcodange-org/sandbox/internal/gate/plan"
	"github.com/arcodange-org/sandbox/internal/run"
)

type arguments struct {
	gate.Arguments
	Root           string         `arg:"root"`
	Base           string         `arg:"base"`
	Boundary       string         `arg:"boundary"`
	Expect         string         `arg:"expect"`
	Override       string         `arg:"backend_override"`
	BackendConfigs []string       `arg:"backend_configs"`
	VarFiles       []string       `arg:"var_files"`
	Variables      map[string]any `arg:"variables"`
	Environment    map[string]any `arg:"environment"`
	Extra          []string       `arg:"arguments"`
	CLIConfig      string         `arg:"cli_config"`
	PluginDir      string         `arg:"plugin_dir"`
	Binary         string         `arg:"binary"`
	LockTimeout    int            `arg:"lock_timeout"`
	Timeout        int            `arg:"timeout"`
}

// Module describes tofu_plan_gate.
func Module() ansible.Module {
	return ansible.Module{
		Name:      "tofu_plan_gate",
		CheckMode: true,
		Spec:      ansible.Spec{Options: options()},
		Run:       evaluate,
	}
}

func evaluate(ctx context.Context, c *ansible.Call) error {
	var args arguments
	if err := c.Bind(&args); err != nil {
		return err
	}
	if args.Timeout < 1 || args.LockTimeout < 0 {
		return fmt.Errorf("timeout: must be at least 1 s (got %d), and lock_timeout at least 0 s (got %d)", args.Timeout, args.LockTimeout)
	}
	manifest, err := boundary.Load(args.Boundary)
	if err != nil {
		return err
	}
	waivers, err := args.WaiversFor("plan")
	if err != nil {
		return err
	}
	paths := []*string{&args.Root, &args.Base, &args.Override, &args.CLIConfig, &args.PluginDir}
	for _, list := range [][]string{args.BackendConfigs, args.VarFiles} {
		for n := range list {
			paths = append(paths, &list[n])
		}
	}
	if err := gate.Absolute(paths...); err != nil {
		return err
	}
	folder, err := gate.Folder(os.Getenv)
	if err != nil {
		return fmt.Errorf("folder for private copies: %w", err)
	}
	environment := map[string]string{}
	for name, value := range args.Environment {
		environment[name] = fmt.Sprint(value)
		c.Secret(environment[name])
	}
	g := plan.Gate{Runner: run.Exec{}, Binary: args.Binary, Env: os.Environ(), Work: filepath.Join(folder, "plans")}
	options := plan.Options{
		Root: args.Root, Base: args.Base, Override: args.Override, BackendConfigs: args.BackendConfigs, VarFiles: args.VarFiles,
		Variables: args.Variables, Environment: environment, CLIConfig: args.CLIConfig, PluginDir: args.PluginDir, Arguments: args.Extra,
		LockTimeout: args.LockTimeout, NoChanges: args.Expect == "no_changes", Waivers: waivers, Boundary: boundary.Checker{Manifest: manifest},
	}
	task := gate.Task{
		Call: c, Name: "plan", What: "tofu_plan_gate", Arguments: args.Arguments,
		Subject: record.Subject{Boundary: args.Boundary, What: "the root module", Path: args.Root},
	}
	return gate.Run(ctx, task, func(ctx context.Context, outcome *record.Outcome) (plan.Report, error) {
		limited, stop := gate.Limit(ctx, args.Timeout)
		defer stop()
		report, err := g.Evaluate(limited, options)
		for _, secret := range report.Secrets {
			if len(secret) >= 8 { // shorter ones are part of other words
				c.Secret(secret)
			}
		}
		if report.Product != "" {
			outcome.Versions = map[string]string{strings.ToLower(report.Product): report.Version}
		}
		return report, err
	}, func(report plan.Report) {
		for _, warning := range report.Warnings {
			c.Warn(warning)
		}
		c.Return("changes", report.Changes)
		c.Return("product", report.Product)
		c.Return("version", report.Version)
		c.Return("state", report.State)
	})
}
