// SPDX-License-Identifier: GPL-3.0-or-later

// Package keeping is what every gate does with the ledger: the option by which
// a task asks for evidence, and the record of a run, which is written whatever
// becomes of it. It does not know what a gate judges.
package keeping

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

// last is how long the record may take after the run was told to end.
const last = 15 * time.Second

// Evidence is the option `evidence` of a gate's module. Its fields mean what those of evidence.Record do.
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

	sources []string // of the inventory of which the option says nothing, see On
}

// Outcome is what a gate found.
type Outcome struct {
	Verdict evidence.Verdict
	Summary string   // one line for people
	Report  string   // path of what was left for them; empty for nothing
	Waivers []string // in force while it ran, besides those that the task names

	Deviations   []string // from production that it found, besides those that the task names
	Distribution string   // of Kubernetes as it was measured; empty if it was not

	// Versions are what took part, as the gate met it; they stand over those that the task names.
	Versions map[string]string

	// Trees are what was judged, where that is not what lies in a working tree.
	Trees []tree.State
}

// gates are the names under which what judges by itself writes its records.
var gates = [...]string{"idempotence_gate", evidence.RestartName, "parity_assert", "promotion", "promotion_gate", "tofu_plan_gate"}

// Reserved tells whether what is the name of a gate: only the gate itself may
// write a record of it, for anybody could say of it what they like. Names of
// gates that are yet to come are recognised by how they end.
func Reserved(what string) bool {
	name := strings.ToLower(strings.TrimSpace(what))
	return slices.Contains(gates[:], name) || strings.HasSuffix(name, "_gate") || strings.HasSuffix(name, "_assert")
}

// Run runs judge between two looks at what is under test, and appends the
// record: red too, and also when judge ended with an error or was told to end.
// A run during which a tree, the inventory or a manifest changed proves
// nothing: it is red. Without evidence (asked nil), and in check mode, nothing
// is written. The error is judge's, or that no record could be written.
//
// A red outcome is no error of judge: the gate says what its task ends with.
func Run(ctx context.Context, c *ansible.Call, runner run.Runner, asked *Evidence, what string, judge func(context.Context) (Outcome, error)) error {
	if asked == nil || c.CheckMode {
		_, err := judge(ctx)
		return err
	}
	began := time.Now()
	before, err := asked.look(ctx, runner)
	if err != nil {
		return fmt.Errorf("looking at what is under test, for the evidence: %w", err)
	}
	outcome, failed := judge(ctx)
	record := before
	record.What, record.Verdict, record.Summary, record.Duration = what, outcome.Verdict, outcome.Summary, time.Since(began)
	record.Waivers = append(slices.Clone(before.Waivers), outcome.Waivers...)
	record.Deviations = append(slices.Clone(before.Deviations), outcome.Deviations...)
	if measured := outcome.Distribution; measured != "" {
		if asked.Distribution != "" && asked.Distribution != measured && failed == nil {
			failed = fmt.Errorf("evidence.distribution is %s, and what runs is %s: leave it out, since it is measured", asked.Distribution, measured)
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
	// What ends the run must not keep its end out of the ledger.
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), last)
	defer stop()
	after, err := asked.look(ctx, runner)
	if err != nil {
		failed = errors.Join(failed, fmt.Errorf("looking again at what is under test, for the evidence: %w", err))
		record.Verdict = evidence.Red
	} else if moved := difference(before, after); moved != "" {
		failed = errors.Join(failed, fmt.Errorf("%s changed while %s ran, so it proves nothing: run it again", moved, what))
		record.Verdict, record.Summary = evidence.Red, moved+" changed while it ran"
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

// Append writes a record of something that was run and judged elsewhere, as a drill.
func (e Evidence) Append(ctx context.Context, runner run.Runner, record evidence.Record) (evidence.Entry, error) {
	about, err := e.look(ctx, runner)
	if err != nil {
		return evidence.Entry{}, fmt.Errorf("looking at what was under test, for the evidence: %w", err)
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

// look is a record of what is under test now.
func (e Evidence) look(ctx context.Context, runner run.Runner) (evidence.Record, error) {
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

// difference names what is not the same any more; empty for nothing.
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
		return evidence.Report{}, fmt.Errorf("taking the digest of the report: %w", err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return evidence.Report{}, fmt.Errorf("taking the digest of the report: %w", err)
	}
	return evidence.Report{Path: path, SHA256: fmt.Sprintf("%x", sha256.Sum256(data))}, nil
}

// oneLine is text as a summary holds it.
func oneLine(text string) string { return oneline.Cut(oneline.Join(text), 2000) }
