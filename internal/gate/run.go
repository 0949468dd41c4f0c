// SPDX-License-Identifier: GPL-3.0-or-later

package gate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/evidence/record"
	"github.com/arcodange-org/sandbox/internal/run"
)

// Arguments are the options of the documentation fragment gate, for embedding.
type Arguments struct {
	Waivers    []Waiver         `arg:"waivers"`
	WaiverFile string           `arg:"waiver_file"`
	Report     string           `arg:"report"`
	Formats    []string         `arg:"report_formats"`
	Evidence   *record.Evidence `arg:"evidence"`
}

// WaiversFor returns the waivers for a gate from the option and the file.
func (a Arguments) WaiversFor(gate string) ([]Waiver, error) {
	if a.WaiverFile == "" {
		return a.Waivers, nil
	}
	found, err := ReadWaivers(a.WaiverFile, gate)
	return append(slices.Clone(a.Waivers), found...), err
}

// Task is one call of a gate's module.
type Task struct {
	Call *ansible.Call
	Name string // of the gate, as "idempotence"; of the report's file too
	What string // name of the record in the ledger
	Arguments
	Subject record.Subject
}

// Run runs a gate for its module: it completes the evidence, calls evaluate,
// writes the report and the record, and returns parts of the report in the
// module's result. If the report is red, the error is its first finding. A result
// without a report means that evaluate failed. evaluate gets the path of the
// report in the outcome, and may add to the record there; Run sets verdict and
// waivers, and the summary unless evaluate set one and the report is green.
func Run[R Result](ctx context.Context, t Task, evaluate func(ctx context.Context, outcome *record.Outcome) (R, error), tell func(R)) error {
	about, in, err := t.Evidence.Complete(ctx, run.Exec{}, t.Subject)
	if err != nil {
		return err
	}
	path, err := reportPath(t.Report, t.Name, os.Getenv)
	if err != nil {
		return err
	}
	var report *Report
	err = record.Run(ctx, t.Call, run.Exec{}, about, t.What, func(ctx context.Context) (record.Outcome, error) {
		outcome := record.Outcome{Report: path}
		result, failed := evaluate(ctx, &outcome)
		report = result.common()
		if report == nil {
			outcome.Report = ""
			return outcome, failed
		}
		report.In = in
		paths, err := write(path, result, t.Formats)
		if err != nil {
			return outcome, errors.Join(failed, err)
		}
		t.Call.Return("verdict", report.Verdict)
		t.Call.Return("findings", report.Findings)
		t.Call.Return("waived", report.Waived)
		t.Call.Return("summary", report.Text())
		t.Call.Return("report", path)
		t.Call.Return("reports", paths)
		t.Call.Return("seconds", report.Seconds)
		tell(result)
		outcome.Verdict = report.Verdict
		outcome.Waivers = append(outcome.Waivers, report.usedWaivers()...)
		if outcome.Summary == "" || report.Verdict == evidence.Red {
			outcome.Summary = report.Summary()
		}
		return outcome, failed
	})
	if err != nil {
		return err
	}
	if report.Verdict != evidence.Green {
		return errors.New(report.first())
	}
	return nil
}

// Summary returns the report on one line: the first finding, or the first line of its summary.
func (r *Report) Summary() string {
	if len(r.Findings) > 0 {
		return r.first()
	}
	return strings.Join(r.Lines[:min(1, len(r.Lines))], "")
}

// Absolute makes paths absolute; empty ones stay so.
func Absolute(paths ...*string) error {
	for _, path := range paths {
		if *path == "" {
			continue
		}
		full, err := filepath.Abs(*path)
		if err != nil {
			return fmt.Errorf("path %s: %w", *path, err)
		}
		*path = full
	}
	return nil
}

// Limit returns ctx with a timeout in seconds.
func Limit(ctx context.Context, seconds int) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, time.Duration(seconds)*time.Second)
}
