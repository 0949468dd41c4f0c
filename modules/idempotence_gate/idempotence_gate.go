// SPDX-License-Identifier: GPL-3.0-or-later

// Package idempotencegate is the module idempotence_gate: it binds arguments and
// calls internal/gate/idempotence.
package idempotencegate

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/internal/evidence/record"
	"github.com/arcodange-org/sandbox/internal/gate"
	"github.com/arcodange-org/sandbox/internal/gate/idempotence"
	"github.com/arcodange-org/sandbox/internal/run"
)

type arguments struct {
	gate.Arguments
	Playbook   string               `arg:"playbook"`
	Inventory  []string             `arg:"inventory"`
	Limit      string               `arg:"limit"`
	Variables  map[string]any       `arg:"variables"`
	Tags       []string             `arg:"tags"`
	SkipTags   []string             `arg:"skip_tags"`
	Dir        string               `arg:"chdir"`
	Hosts      []string             `arg:"expected_hosts"`
	Converge   bool                 `arg:"converge"`
	Watch      []string             `arg:"watch"`
	Snapshot   []string             `arg:"snapshot"`
	Become     bool                 `arg:"snapshot_become"`
	Sandbox    string               `arg:"sandbox"`
	Ignore     []idempotence.Ignore `arg:"ignore"`
	Kubeconfig string               `arg:"kubeconfig"`
	Timeout    int                  `arg:"timeout"`
	Program    string               `arg:"ansible_playbook"`
}

// Module describes idempotence_gate.
func Module() ansible.Module {
	return ansible.Module{
		Name:      "idempotence_gate",
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
	if args.Timeout < 1 {
		return fmt.Errorf("timeout: must be at least 1 s (got %d)", args.Timeout)
	}
	if args.Converge && c.CheckMode {
		c.Warn("converge runs the playbook for real, which check mode forbids: only the check was run")
		args.Converge = false
	}
	waivers, err := args.WaiversFor("idempotence")
	if err != nil {
		return err
	}
	playbook := args.in(args.Playbook)
	if err := gate.Absolute(&playbook); err != nil {
		return err
	}
	sources := slices.Clone(args.Inventory)
	for i, source := range sources {
		if !strings.HasPrefix(source, "~") && !strings.Contains(source, ",") {
			sources[i] = args.in(source)
		}
	}
	g := idempotence.Gate{Runner: run.Exec{}, Program: args.Program, Env: os.Environ()}
	if args.Converge && args.Kubeconfig != "" {
		g.Objects = idempotence.Cluster{Runner: run.Exec{}, Kubectl: "kubectl", Kubeconfig: args.Kubeconfig}.Objects
	}
	task := gate.Task{
		Call: c, Name: "idempotence", What: "idempotence_gate", Arguments: args.Arguments,
		Subject: record.Subject{ReadsInventory: true, Inventory: sources, What: "the playbook", Path: playbook},
	}
	return gate.Run(ctx, task, func(ctx context.Context, outcome *record.Outcome) (idempotence.Report, error) {
		limited, stop := gate.Limit(ctx, args.Timeout)
		defer stop()
		report, err := g.Evaluate(limited, idempotence.Options{
			Playbook: playbook, Inventory: args.Inventory, Limit: args.Limit, Vars: args.Variables, Tags: args.Tags, SkipTags: args.SkipTags,
			Dir: args.Dir, Hosts: args.Hosts, Converge: args.Converge, Watch: args.Watch, Snapshot: args.Snapshot,
			Become: args.Become, Sandbox: args.Sandbox, Ignore: args.Ignore, Waivers: waivers,
		})
		outcome.Versions = map[string]string{"ansible-core": report.Core}
		return report, err
	}, func(report idempotence.Report) {
		c.Return("converged", report.Converged)
		c.Return("narrowed", append([]string{}, report.Narrowed...))
		c.Return("hosts", report.Hosts)
	})
}

// in returns a path relative to the folder in which the playbook runs.
func (a arguments) in(path string) string {
	if a.Dir == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(a.Dir, path)
}
