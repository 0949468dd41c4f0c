// SPDX-License-Identifier: GPL-3.0-or-later

// Package tofuplangate is the module tofu_plan_gate: arguments in, a verdict
// out. What is judged, and how, is told in internal/gate/plan.
package tofuplangate

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/gate/keeping"
	"github.com/arcodange-org/sandbox/internal/gate/plan"
	"github.com/arcodange-org/sandbox/internal/gate/reports"
	"github.com/arcodange-org/sandbox/internal/run"
)

type arguments struct {
	Root           string            `arg:"root"`
	Base           string            `arg:"base"`
	Boundary       string            `arg:"boundary"`
	Expect         string            `arg:"expect"`
	Override       string            `arg:"backend_override"`
	BackendConfigs []string          `arg:"backend_configs"`
	VarFiles       []string          `arg:"var_files"`
	Variables      map[string]any    `arg:"variables"`
	Environment    map[string]any    `arg:"environment"`
	Allowed        []plan.Allowed    `arg:"allowed"`
	Arguments      []string          `arg:"arguments"`
	CLIConfig      string            `arg:"cli_config"`
	PluginDir      string            `arg:"plugin_dir"`
	Binary         string            `arg:"binary"`
	LockTimeout    int               `arg:"lock_timeout"`
	Timeout        int               `arg:"timeout"`
	Report         string            `arg:"report"`
	Evidence       *keeping.Evidence `arg:"evidence"`
}

// Module describes tofu_plan_gate.
func Module() ansible.Module {
	return ansible.Module{
		Name:      "tofu_plan_gate",
		CheckMode: true,
		Spec:      ansible.Spec{Options: options()},
		Run:       judge,
	}
}

func judge(ctx context.Context, c *ansible.Call) error {
	var args arguments
	if err := c.Bind(&args); err != nil {
		return err
	}
	if args.Timeout < 1 || args.LockTimeout < 0 {
		return fmt.Errorf("timeout is %d s and must be at least 1 s, lock_timeout is %d s and must be at least 0 s", args.Timeout, args.LockTimeout)
	}
	for n, a := range args.Allowed {
		if a.Reason == "" || a.Address == "" {
			return fmt.Errorf("allowed[%d] has no address or no reason: say why the loss is meant", n)
		}
	}
	manifest, err := boundary.Load(args.Boundary)
	if err != nil {
		return err
	}
	for _, path := range []*string{&args.Root, &args.Base, &args.Override, &args.CLIConfig, &args.PluginDir} {
		if err := absolute(path); err != nil {
			return err
		}
	}
	for _, paths := range [][]string{args.BackendConfigs, args.VarFiles} {
		for n := range paths {
			if err := absolute(&paths[n]); err != nil {
				return err
			}
		}
	}
	about, in, err := args.Evidence.On(ctx, run.Exec{}, keeping.Used{Boundary: args.Boundary, What: "the root module", Path: args.Root})
	if err != nil {
		return err
	}
	gates, err := reports.Folder(os.Getenv)
	if err != nil {
		return fmt.Errorf("finding the folder for private copies: %w", err)
	}
	where, err := reports.Path(args.Report, "tofu-plan", os.Getenv)
	if err != nil {
		return err
	}
	environment := map[string]string{}
	for name, value := range args.Environment {
		environment[name] = fmt.Sprint(value)
		c.Secret(environment[name])
	}
	gate := plan.Gate{Runner: run.Exec{}, Binary: args.Binary, Env: os.Environ(), Work: filepath.Join(gates, "plans")}
	options := plan.Options{
		Root: args.Root, Base: args.Base, Override: args.Override, BackendConfigs: args.BackendConfigs, VarFiles: args.VarFiles,
		Variables: args.Variables, Environment: environment, CLIConfig: args.CLIConfig, PluginDir: args.PluginDir, Arguments: args.Arguments,
		LockTimeout: args.LockTimeout,
		Rules:       plan.Rules{NoChanges: args.Expect == "no_changes", Allowed: args.Allowed, Engine: boundary.Checker{Manifest: manifest}},
	}
	var report plan.Report
	err = keeping.Run(ctx, c, run.Exec{}, about, "tofu_plan_gate", func(ctx context.Context) (keeping.Outcome, error) {
		limited, stop := context.WithTimeout(ctx, time.Duration(args.Timeout)*time.Second)
		defer stop()
		var err error
		report, err = gate.Judge(limited, options)
		if err != nil {
			return keeping.Outcome{}, err
		}
		for _, secret := range report.Secrets {
			if len(secret) >= 8 { // shorter ones stand in many a word that is none
				c.Secret(secret)
			}
		}
		report.In = in
		if err := reports.Write(where, report); err != nil {
			return keeping.Outcome{}, err
		}
		tell(c, report, where)
		out := keeping.Outcome{
			Verdict: evidence.Verdict(report.Verdict), Summary: report.Summary(), Report: where, Waivers: waivers(args.Allowed, report.Unused),
		}
		if report.Product != "" {
			out.Versions = map[string]string{strings.ToLower(report.Product): report.Version}
		}
		return out, nil
	})
	if err != nil {
		return err
	}
	if report.Verdict != "green" {
		return fmt.Errorf("%s", report.Summary())
	}
	return nil
}

// tell returns what the gate found.
func tell(c *ansible.Call, report plan.Report, where string) {
	for _, a := range report.Unused {
		c.Warn(fmt.Sprintf("that %s is allowed to %s was not needed: take it out of allowed", a.Address, a.Action))
	}
	for _, warning := range report.Warnings {
		c.Warn(warning)
	}
	c.Return("verdict", report.Verdict)
	c.Return("findings", report.Findings)
	c.Return("report", where)
	c.Return("summary", report.Text)
	c.Return("changes", report.Changes)
	c.Return("product", report.Product)
	c.Return("version", report.Version)
	c.Return("state", report.State)
	c.Return("seconds", report.Seconds)
}

// waivers are the losses that were allowed and would have been red, as a ledger keeps it.
func waivers(allowed, unused []plan.Allowed) []string {
	var out []string
	for _, a := range allowed {
		if !slices.Contains(unused, a) {
			out = append(out, "allowed to "+a.Action+" "+a.Address+": "+a.Reason)
		}
	}
	return out
}

func absolute(path *string) error {
	if *path == "" {
		return nil
	}
	full, err := filepath.Abs(*path)
	if err != nil {
		return fmt.Errorf("finding %s: %w", *path, err)
	}
	*path = full
	return nil
}
