// SPDX-License-Identifier: GPL-3.0-or-later

// Package parityassert is the module parity_assert: arguments in, a verdict or
// a manifest out. What is compared, and how, is told in internal/gate/parity.
package parityassert

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/gate/keeping"
	"github.com/arcodange-org/sandbox/internal/gate/parity"
	"github.com/arcodange-org/sandbox/internal/gate/parity/live"
	"github.com/arcodange-org/sandbox/internal/gate/reports"
	"github.com/arcodange-org/sandbox/internal/run"
)

type arguments struct {
	State      string            `arg:"state"`
	Manifest   string            `arg:"manifest"`
	Waivers    string            `arg:"waivers"`
	Kubeconfig string            `arg:"kubeconfig"`
	Context    string            `arg:"context"`
	Boundary   string            `arg:"boundary"`
	Hosts      map[string]any    `arg:"hosts"`
	Timeout    int               `arg:"timeout"`
	Report     string            `arg:"report"`
	Evidence   *keeping.Evidence `arg:"evidence"`
}

// Module describes parity_assert.
func Module() ansible.Module {
	return ansible.Module{
		Name:      "parity_assert",
		CheckMode: true,
		Spec: ansible.Spec{
			Options:    options(),
			RequiredIf: []ansible.RequiredIf{{Option: "state", Is: "asserted", Then: []string{"kubeconfig", "boundary"}}},
		},
		Run: func(ctx context.Context, c *ansible.Call) error {
			var args arguments
			if err := c.Bind(&args); err != nil {
				return err
			}
			if args.Timeout < 1 {
				return fmt.Errorf("timeout is %d s and must be at least 1 s", args.Timeout)
			}
			if args.State == "captured" {
				return captured(ctx, c)
			}
			return asserted(ctx, c, args, time.Now())
		},
	}
}

// Report is what a run leaves for people, a JSON file.
type Report struct {
	Verdict      string            `json:"verdict"`
	Time         time.Time         `json:"time"`
	Manifest     string            `json:"manifest"`
	Distribution string            `json:"distribution"`
	Version      string            `json:"version"`
	Versions     map[string]string `json:"versions"` // as they were measured, by name; for evidence
	Drifts       []parity.Drift    `json:"drifts"`
	Waived       []parity.Waived   `json:"waived"`
	Unused       []parity.Waiver   `json:"unused_waivers"`
	Deviations   []string          `json:"deviations"`
	Seconds      float64           `json:"seconds"`
	waivers      []string          // that were needed, as evidence has them
}

// asserted compares what stands with the manifest.
func asserted(ctx context.Context, c *ansible.Call, args arguments, now time.Time) error {
	where, err := reports.Path(args.Report, "parity", os.Getenv)
	if err != nil {
		return err
	}
	about, _, err := args.Evidence.On(ctx, run.Exec{}, keeping.Used{Boundary: args.Boundary, Manifest: args.Manifest})
	if err != nil {
		return err
	}
	var report Report
	err = keeping.Run(ctx, c, run.Exec{}, about, "parity_assert", func(ctx context.Context) (keeping.Outcome, error) {
		limited, stop := context.WithTimeout(ctx, time.Duration(args.Timeout)*time.Second)
		defer stop()
		var err error
		if report, err = compare(limited, args, now); err != nil {
			return keeping.Outcome{}, err
		}
		if err := reports.Write(where, report); err != nil {
			return keeping.Outcome{}, err
		}
		tell(c, report, where)
		return keeping.Outcome{
			Verdict: evidence.Verdict(report.Verdict), Summary: report.summary(), Report: where,
			Waivers: report.waivers, Deviations: report.Deviations, Distribution: report.Distribution, Versions: report.Versions,
		}, nil
	})
	if err != nil {
		return err
	}
	if report.Verdict != "green" {
		return fmt.Errorf("%s", report.summary())
	}
	return nil
}

func compare(ctx context.Context, args arguments, now time.Time) (Report, error) {
	began := time.Now()
	manifest, err := parity.Load(args.Manifest)
	if err != nil {
		return Report{}, err
	}
	var waivers []parity.Waiver
	if args.Waivers != "" {
		if waivers, err = parity.LoadWaivers(args.Waivers, now); err != nil {
			return Report{}, err
		}
	}
	hosts, err := parity.ReadHosts(args.Hosts)
	if err != nil {
		return Report{}, err
	}
	limits, err := boundary.Load(args.Boundary)
	if err != nil {
		return Report{}, err
	}
	client, err := live.Connect(ctx, args.Kubeconfig, args.Context, live.Within(boundary.Checker{Manifest: limits}))
	if err != nil {
		return Report{}, err
	}
	found, err := client.Read(ctx, live.Of(manifest))
	if err != nil {
		return Report{}, err
	}
	found.Hosts = hosts
	drifts, deviations := parity.Compare(manifest, found)
	report := Report{
		Verdict: "green", Time: now.UTC(), Manifest: args.Manifest,
		Distribution: string(parity.DistributionOf(found.Version)), Version: found.Version, Versions: parity.Versions(manifest, found), Deviations: deviations,
	}
	report.Drifts, report.Waived, report.Unused = parity.Waive(drifts, waivers, now)
	if len(report.Drifts) > 0 {
		report.Verdict = "red"
	}
	needed := map[string]bool{}
	for _, w := range report.Waived {
		if text := w.Path + " until " + w.Expires + ": " + w.Reason; !needed[text] {
			needed[text] = true
			report.waivers = append(report.waivers, text)
		}
	}
	report.Seconds = time.Since(began).Seconds()
	return report, nil
}

func (r Report) summary() string {
	switch n := len(r.Drifts); n {
	case 0:
		return fmt.Sprintf("no drift from production; %d waived, %d deviations", len(r.Waived), len(r.Deviations))
	case 1:
		return r.Drifts[0].String()
	default:
		return fmt.Sprintf("%s (and %d more)", r.Drifts[0], n-1)
	}
}

// tell returns what was found, and shows each drift as a difference.
func tell(c *ansible.Call, report Report, where string) {
	for _, w := range report.Unused {
		c.Warn(fmt.Sprintf("the waiver of %s (%s) was not needed: take it out", w.Path, w.Place))
	}
	for _, drift := range report.Drifts {
		c.Contrast(drift.Path, drift.Expected, drift.Found)
	}
	c.Return("verdict", report.Verdict)
	c.Return("drifts", report.Drifts)
	c.Return("deviations", report.Deviations)
	c.Return("waived", report.Waived)
	c.Return("unused_waivers", report.Unused)
	c.Return("distribution", report.Distribution)
	c.Return("version", report.Version)
	c.Return("report", where)
	c.Return("seconds", report.Seconds)
}
