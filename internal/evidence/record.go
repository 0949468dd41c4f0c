// SPDX-License-Identifier: GPL-3.0-or-later

// Package evidence keeps the ledger: what was run in the sandbox, on what, and
// with which verdict. Records are lines of JSON, each with the hash of the
// one before, so that changed, removed or moved records are detected. The
// package does not depend on gates or Ansible.
package evidence

import (
	"time"

	"github.com/arcodange-org/sandbox/internal/tree"
)

// Record is the result of one run of a gate or a drill.
type Record struct {
	Time         time.Time         `json:"time"`                   // when the run ended, UTC
	What         string            `json:"what"`                   // the gate or drill, as "idempotence_gate"
	Verdict      Verdict           `json:"verdict"`                //
	Summary      string            `json:"summary"`                // one line for people
	Classes      []string          `json:"classes,omitempty"`      // change classes that it was run for
	Trees        []tree.State      `json:"trees,omitempty"`        // under test
	Inventory    string            `json:"inventory,omitempty"`    // digest of the file or folder, see Digest
	Boundary     string            `json:"boundary,omitempty"`     // digest of the boundary manifest
	Manifest     string            `json:"manifest,omitempty"`     // digest of the parity manifest
	Versions     map[string]string `json:"versions,omitempty"`     // of programs, by name
	Mode         string            `json:"mode,omitempty"`         // "vm" or "k3d"
	Driver       string            `json:"driver,omitempty"`       // as "docker"
	Distribution string            `json:"distribution,omitempty"` // "k3s" or "embedded"; "other" if it was measured to be neither
	Deviations   []string          `json:"deviations,omitempty"`   // from production, in force while it ran
	Waivers      []string          `json:"waivers,omitempty"`      // that were used, and options that limited the run
	Duration     time.Duration     `json:"duration"`               // nanoseconds
	Report       Report            `json:"report"`                 //
	Breaks       []Break           `json:"breaks,omitempty"`       // only in a record of RestartName, oldest first
}

// RestartName is the `what` of the first record of a restarted ledger.
const RestartName = "ledger_restart"

// Break is where a ledger that did not verify was replaced by a new one.
type Break struct {
	Time    time.Time `json:"time"`
	Reason  string    `json:"reason"`  // as the person gave it
	Problem string    `json:"problem"` // the first of those that the old ledger had
	Records int       `json:"records"` // of the old ledger
	File    string    `json:"file"`    // where the old ledger was kept
	SHA256  string    `json:"sha256"`  // of that file
}

// Verdict of a run.
type Verdict string

// The verdicts. An incomplete run is red.
const (
	Green Verdict = "green"
	Red   Verdict = "red"
)

// Report is the report of a run.
type Report struct {
	Path   string `json:"path,omitempty"`
	SHA256 string `json:"sha256,omitempty"` // hexadecimal
}
