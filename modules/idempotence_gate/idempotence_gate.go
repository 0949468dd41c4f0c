// SPDX-License-Identifier: GPL-3.0-or-later

// Package idempotencegate is the module idempotence_gate: arguments in, a
// verdict out. What is judged, and how, is told in internal/gate/idempotence.
package idempotencegate

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/gate/idempotence"
	"github.com/arcodange-org/sandbox/internal/gate/keeping"
	"github.com/arcodange-org/sandbox/internal/gate/reports"
	"github.com/arcodange-org/sandbox/internal/run"
)

type arguments struct {
	Playbook  string               `arg:"playbook"`
	Inventory []string             `arg:"inventory"`
	Limit     string               `arg:"limit"`
	Variables map[string]any       `arg:"variables"`
	Tags      []string             `arg:"tags"`
	SkipTags  []string             `arg:"skip_tags"`
	Dir       string               `arg:"chdir"`
	Hosts     []string             `arg:"expected_hosts"`
	Skips     []idempotence.Skip   `arg:"skips"`
	Prove     bool                 `arg:"prove"`
	Watch     []string             `arg:"watch"`
	Snapshot  []string             `arg:"snapshot"`
	Become    bool                 `arg:"snapshot_become"`
	Sandbox   string               `arg:"sandbox"`
	Ignore    []idempotence.Ignore `arg:"ignore"`
	Config    string               `arg:"kubeconfig"`
	Report    string               `arg:"report"`
	Timeout   int                  `arg:"timeout"`
	Program   string               `arg:"ansible_playbook"`
	Evidence  *keeping.Evidence    `arg:"evidence"`
}

// Module describes idempotence_gate.
func Module() ansible.Module {
	return ansible.Module{
		Name:      "idempotence_gate",
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
	if args.Timeout < 1 {
		return fmt.Errorf("the timeout is %d s and must be at least 1 s", args.Timeout)
	}
	if args.Prove && c.CheckMode {
		c.Warn("prove converges for real, which check mode forbids: only the check was run, and nothing is proved")
		args.Prove = false
	}
	playbook := args.Playbook
	if args.Dir != "" && !filepath.IsAbs(playbook) {
		playbook = filepath.Join(args.Dir, playbook)
	}
	playbook, err := filepath.Abs(playbook)
	if err != nil {
		return fmt.Errorf("finding the playbook %s: %w", args.Playbook, err)
	}
	where, err := reports.Path(args.Report, "idempotence", os.Getenv)
	if err != nil {
		return err
	}
	sources := slices.Clone(args.Inventory)
	for i, source := range sources {
		if args.Dir != "" && !filepath.IsAbs(source) && !strings.HasPrefix(source, "~") && !strings.Contains(source, ",") {
			sources[i] = filepath.Join(args.Dir, source)
		}
	}
	about, in, err := args.Evidence.On(ctx, run.Exec{}, keeping.Used{Runs: true, Inventory: sources, What: "the playbook", Path: playbook})
	if err != nil {
		return err
	}
	gate := idempotence.Gate{Runner: run.Exec{}, Program: args.Program, Env: os.Environ()}
	if args.Prove && args.Config != "" {
		gate.Objects = idempotence.Cluster{Runner: run.Exec{}, Kubectl: "kubectl", Kubeconfig: args.Config}.Objects
	}
	var report idempotence.Report
	err = keeping.Run(ctx, c, run.Exec{}, about, "idempotence_gate", func(ctx context.Context) (keeping.Outcome, error) {
		limited, stop := context.WithTimeout(ctx, time.Duration(args.Timeout)*time.Second)
		defer stop()
		var err error
		report, err = gate.Judge(limited, idempotence.Options{
			Playbook: playbook, Inventory: args.Inventory, Limit: args.Limit, Vars: args.Variables, Tags: args.Tags, SkipTags: args.SkipTags,
			Dir: args.Dir, Hosts: args.Hosts, Skips: args.Skips, Prove: args.Prove, Watch: args.Watch, Snapshot: args.Snapshot,
			Become: args.Become, Sandbox: args.Sandbox, Ignore: args.Ignore,
		})
		if err != nil {
			return keeping.Outcome{}, err
		}
		report.In = in
		if err := reports.Write(where, report); err != nil {
			return keeping.Outcome{}, err
		}
		tell(c, report, where)
		return keeping.Outcome{
			Verdict: evidence.Verdict(report.Verdict), Summary: report.Summary(), Report: where, Waivers: report.Waivers(),
			Versions: map[string]string{"ansible-core": report.Core},
		}, nil
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
func tell(c *ansible.Call, report idempotence.Report, where string) {
	for _, task := range report.Unused {
		c.Warn(fmt.Sprintf("the skip of the task %q was not needed: take it out of skips", task))
	}
	c.Return("verdict", report.Verdict)
	c.Return("findings", report.Findings)
	c.Return("report", where)
	c.Return("proved", report.Proved)
	c.Return("narrowed", append([]string{}, report.Narrowed...))
	c.Return("hosts", report.Hosts)
	c.Return("seconds", report.Seconds)
}
