// SPDX-License-Identifier: GPL-3.0-or-later

// Package parityassert is the module parity_assert: it binds arguments and calls
// internal/gate/parity.
package parityassert

import (
	"context"
	"fmt"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/evidence/record"
	"github.com/arcodange-org/sandbox/internal/gate"
	"github.com/arcodange-org/sandbox/internal/gate/parity"
	"github.com/arcodange-org/sandbox/internal/gate/parity/live"
)

type arguments struct {
	gate.Arguments
	State      string         `arg:"state"`
	Manifest   string         `arg:"manifest"`
	Kubeconfig string         `arg:"kubeconfig"`
	Context    string         `arg:"context"`
	Boundary   string         `arg:"boundary"`
	Hosts      map[string]any `arg:"hosts"`
	Fence      string         `arg:"fence"`
	Timeout    int            `arg:"timeout"`
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
				return fmt.Errorf("timeout: must be at least 1 s (got %d)", args.Timeout)
			}
			if args.State == "captured" {
				return captured(ctx, c)
			}
			return asserted(ctx, c, args)
		},
	}
}

// report is the report of a comparison.
type report struct {
	*gate.Report
	Distribution string            `json:"distribution"`
	Version      string            `json:"version"`
	Versions     map[string]string `json:"versions"` // measured, by name
	Deviations   []string          `json:"deviations"`
}

// asserted compares the live sandbox with the manifest.
func asserted(ctx context.Context, c *ansible.Call, args arguments) error {
	task := gate.Task{
		Call: c, Name: "parity", What: "parity_assert", Arguments: args.Arguments,
		Subject: record.Subject{Boundary: args.Boundary, Manifest: args.Manifest},
	}
	return gate.Run(ctx, task, func(ctx context.Context, outcome *record.Outcome) (report, error) {
		limited, stop := gate.Limit(ctx, args.Timeout)
		defer stop()
		r, err := compare(limited, args)
		outcome.Deviations, outcome.Distribution, outcome.Versions = r.Deviations, r.Distribution, r.Versions
		return r, err
	}, func(r report) {
		for _, f := range r.Findings {
			c.Contrast(f.Path, f.Expected, f.Found)
		}
		c.Return("deviations", r.Deviations)
		c.Return("distribution", r.Distribution)
		c.Return("version", r.Version)
	})
}

func compare(ctx context.Context, args arguments) (report, error) {
	manifest, err := parity.Load(args.Manifest)
	if err != nil {
		return report{}, err
	}
	waivers, err := args.WaiversFor("parity")
	if err != nil {
		return report{}, err
	}
	hosts, err := parity.ReadHosts(args.Hosts)
	if err != nil {
		return report{}, err
	}
	limits, err := boundary.Load(args.Boundary)
	if err != nil {
		return report{}, err
	}
	client, err := live.Connect(ctx, args.Kubeconfig, args.Context, live.Within(boundary.Checker{Manifest: limits}))
	if err != nil {
		return report{}, err
	}
	found, err := client.Read(ctx, live.Of(manifest))
	if err != nil {
		return report{}, err
	}
	found.Hosts, found.Fence = hosts, parity.Fence(args.Fence)
	common, deviations, err := parity.Evaluate(args.Manifest, manifest, found, waivers)
	return report{
		Report: common, Distribution: string(parity.DistributionOf(found.Version)), Version: found.Version,
		Versions: parity.Versions(manifest, found), Deviations: deviations,
	}, err
}
