// SPDX-License-Identifier: GPL-3.0-or-later

// Package record implements the option `evidence` of modules: it runs a function
// and writes its record to the ledger, also after an error. It does not depend on
// what is run.
package record

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/oneline"
	"github.com/arcodange-org/sandbox/internal/run"
	"github.com/arcodange-org/sandbox/internal/tree"
)

// writeTimeout is the timeout of writing the record after the run was cancelled.
const writeTimeout = 15 * time.Second

// Evidence is the option `evidence` of a module. Its fields have the meaning of those of evidence.Record.
type Evidence struct {
	Ledger       string         `arg:"ledger"`
	Repositories map[string]any `arg:"repositories"` // name → path of the working tree
	SigningKey   string         `arg:"signing_key"`
	Inventory    string         `arg:"inventory"`
	Boundary     string         `arg:"boundary"`
	Manifest     string         `arg:"manifest"`
	Mode         string         `arg:"mode"`
	Driver       string         `arg:"driver"`
	Distribution string         `arg:"distribution"`
	Deviations   []string       `arg:"deviations"`
	Waivers      []string       `arg:"waivers"`
	Classes      []string       `arg:"classes"`
	Versions     map[string]any `arg:"versions"`

	sources []string // of the inventory, if the option does not name it; see Complete
}

// Outcome is how a run ended.
type Outcome struct {
	Verdict evidence.Verdict
	Summary string   // one line for people
	Report  string   // path of the report; empty for none
	Waivers []string // that were used, in addition to the option's

	Deviations   []string // from production, in addition to the option's
	Distribution string   // of Kubernetes, measured; empty if it was not

	// Versions are measured; they replace the option's.
	Versions map[string]string

	// Trees that were checked, if they are not working trees.
	Trees []tree.State
}

// reserved are the names of records that only the gate itself may write.
var reserved = [...]string{"idempotence_gate", evidence.RestartName, "parity_assert", "promotion", "promotion_gate", "tofu_plan_gate"}

// Reserved reports whether only a gate itself may write records named what: any
// other writer could claim a result that the gate never had. Names of future
// gates are recognised by their ending.
func Reserved(what string) bool {
	name := strings.ToLower(strings.TrimSpace(what))
	return slices.Contains(reserved[:], name) || strings.HasSuffix(name, "_gate") || strings.HasSuffix(name, "_assert")
}

// Run runs action and appends its record, green or red, also if action returns
// an error or is cancelled. The record is red if a tree, the inventory or
// a manifest changed meanwhile, since it is then unknown what was run. Without
// evidence (asked is nil) and in check mode nothing is written. Run returns
// action's error, or that of writing the record; a red outcome is not an error.
func Run(ctx context.Context, c *ansible.Call, runner run.Runner, asked *Evidence, what string, action func(context.Context) (Outcome, error)) error {
	if asked == nil || c.CheckMode {
		_, err := action(ctx)
		return err
	}
	began := time.Now()
	before, err := asked.describe(ctx, runner)
	if err != nil {
		return fmt.Errorf("evidence: reading what is under test: %w", err)
	}
	outcome, failed := action(ctx)
	record := before
	record.What, record.Verdict, record.Summary, record.Duration = what, outcome.Verdict, outcome.Summary, time.Since(began)
	record.Waivers = append(slices.Clone(before.Waivers), outcome.Waivers...)
	record.Deviations = append(slices.Clone(before.Deviations), outcome.Deviations...)
	if measured := outcome.Distribution; measured != "" {
		if asked.Distribution != "" && asked.Distribution != measured && failed == nil {
			failed = fmt.Errorf("evidence.distribution: the cluster runs another one (got %s, measured %s); leave the option out", asked.Distribution, measured)
		}
		record.Distribution = measured
	}
	for name, version := range outcome.Versions {
		if version == "" {
			continue
		}
		if record.Versions == nil {
			record.Versions = map[string]string{}
		}
		record.Versions[name] = version
	}
	record.Trees = append(slices.Clone(before.Trees), outcome.Trees...)
	if failed != nil {
		record.Verdict, record.Summary = evidence.Red, failed.Error()
	}
	// The record is written even if the run was cancelled.
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer stop()
	after, err := asked.describe(ctx, runner)
	if err != nil {
		failed = errors.Join(failed, fmt.Errorf("evidence: reading what is under test again: %w", err))
		record.Verdict = evidence.Red
	} else if changed := difference(before, after); changed != "" {
		failed = errors.Join(failed, fmt.Errorf("%s changed while %s ran; run it again", changed, what))
		record.Verdict, record.Summary = evidence.Red, changed+" changed while it ran"
	}
	if outcome.Report != "" {
		if record.Report, err = reportOf(outcome.Report); err != nil {
			failed = errors.Join(failed, err)
			record.Verdict = evidence.Red
		}
	}
	record.Summary = oneLine(c.Mask(record.Summary))
	entry, err := asked.append(ctx, runner, record)
	if err != nil {
		return errors.Join(failed, err)
	}
	c.Return("evidence", map[string]any{"ledger": asked.Ledger, "sequence": entry.Sequence, "hash": entry.Hash, "verdict": string(entry.Verdict)})
	return failed
}

// Append writes a record of a run elsewhere, such as a drill.
func (e Evidence) Append(ctx context.Context, runner run.Runner, record evidence.Record) (evidence.Entry, error) {
	about, err := e.describe(ctx, runner)
	if err != nil {
		return evidence.Entry{}, fmt.Errorf("evidence: reading what was under test: %w", err)
	}
	about.What, about.Verdict, about.Summary, about.Duration, about.Report = record.What, record.Verdict, oneLine(record.Summary), record.Duration, record.Report
	return e.append(ctx, runner, about)
}

func (e Evidence) append(ctx context.Context, runner run.Runner, record evidence.Record) (evidence.Entry, error) {
	ledger, err := evidence.Open(e.Ledger)
	if err != nil {
		return evidence.Entry{}, err
	}
	var sign evidence.Signer
	if e.SigningKey != "" {
		sign = evidence.SSHSigner(runner, e.SigningKey)
	}
	return ledger.Append(ctx, record, sign)
}

// describe returns a record of the current trees and files, without a result.
func (e Evidence) describe(ctx context.Context, runner run.Runner) (evidence.Record, error) {
	record := evidence.Record{
		Classes: e.Classes, Mode: e.Mode, Driver: e.Driver, Distribution: e.Distribution,
		Deviations: e.Deviations, Waivers: e.Waivers,
	}
	for _, name := range slices.Sorted(maps.Keys(e.Repositories)) {
		dir, err := e.repository(name)
		if err != nil {
			return evidence.Record{}, err
		}
		tree, err := tree.Of(ctx, runner, dir)
		if err != nil {
			return evidence.Record{}, err
		}
		tree.Repository = name
		record.Trees = append(record.Trees, tree)
	}
	var err error
	if record.Inventory, err = e.inventory(); err != nil {
		return evidence.Record{}, err
	}
	for _, one := range []struct {
		path string
		into *string
	}{{e.Boundary, &record.Boundary}, {e.Manifest, &record.Manifest}} {
		if one.path == "" {
			continue
		}
		if *one.into, err = evidence.Digest(one.path); err != nil {
			return evidence.Record{}, err
		}
	}
	if len(e.Versions) > 0 {
		record.Versions = make(map[string]string, len(e.Versions))
		for name, version := range e.Versions {
			record.Versions[name] = fmt.Sprint(version)
		}
	}
	return record, nil
}

// difference names the differences between two descriptions; empty for none.
func difference(before, after evidence.Record) string {
	for i, tree := range before.Trees {
		if after.Trees[i] != tree {
			return "the repository " + tree.Repository
		}
	}
	switch {
	case before.Inventory != after.Inventory:
		return "the inventory"
	case before.Boundary != after.Boundary:
		return "the boundary manifest"
	case before.Manifest != after.Manifest:
		return "the parity manifest"
	}
	return ""
}

func reportOf(path string) (evidence.Report, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return evidence.Report{}, fmt.Errorf("digest of the report: %w", err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return evidence.Report{}, fmt.Errorf("digest of the report: %w", err)
	}
	return evidence.Report{Path: path, SHA256: fmt.Sprintf("%x", sha256.Sum256(data))}, nil
}

// oneLine shortens text to a summary.
func oneLine(text string) string { return oneline.Cut(oneline.Join(text), 2000) }
