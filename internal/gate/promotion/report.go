// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"fmt"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/gate"
	"github.com/arcodange-org/sandbox/internal/tree"
)

// touchedFile is a file of the range.
type touchedFile struct {
	Path    string   `json:"path"`    // quoted if it is not plain text
	Classes []string `json:"classes"` // according to all policies
	Commits int      `json:"commits"` // that touched it
	Net     bool     `json:"net"`     // whether it differs between base and head
}

// requirement is a requirement of one policy for one class.
type requirement struct {
	Policy   string          `json:"policy"`
	Class    string          `json:"class"`
	Need     gateRequirement `json:"need"`
	MaxAge   string          `json:"max_age"`
	Fidelity fidelity        `json:"fidelity"`
}

// foundRecord is a record that meets a requirement.
type foundRecord struct {
	Policy   string    `json:"policy"`
	Class    string    `json:"class"`
	What     string    `json:"what"`
	Sequence int       `json:"sequence"`
	Time     time.Time `json:"time"`
	Hash     string    `json:"hash"`
	Age      string    `json:"age"`
}

// missingRecord is a requirement that no record meets, and why.
type missingRecord struct {
	Policy  string `json:"policy"`
	Class   string `json:"class"`
	What    string `json:"what"`
	Reason  string `json:"reason"`
	Nearest int    `json:"nearest,omitempty"` // number of the record that passes most tests
}

// policyVersion is a policy that was applied.
type policyVersion struct {
	Of     string `json:"of"` // base, head, or file
	SHA256 string `json:"sha256"`
}

// Report is the report of the gate.
type Report struct {
	*gate.Report
	Repository string            `json:"repository"`
	Base       string            `json:"base"`
	Head       string            `json:"head"`
	Tree       string            `json:"tree"`
	Commits    int               `json:"commits"`
	Policies   []policyVersion   `json:"policies"`
	Ledger     string            `json:"ledger"`
	LedgerHead evidence.Head     `json:"ledger_head"`
	Versions   int               `json:"ledger_versions,omitempty"` // number of commits whose version of the ledger was compared
	Breaks     []evidence.Break  `json:"ledger_breaks,omitempty"`   // restarts of the ledger
	LedgerID   string            `json:"ledger_id"`                 // hash of its first record
	Boundary   string            `json:"boundary"`                  // digest
	Related    []tree.State      `json:"related_repositories,omitempty"`
	Files      []touchedFile     `json:"files"`
	Classes    []string          `json:"classes"`
	Exempt     map[string]string `json:"exempt,omitempty"` // classes that need no evidence, with the reason
	Required   []requirement     `json:"required"`
	Matched    []foundRecord     `json:"found"`
	Missing    []missingRecord   `json:"missing"`
}

// describe writes the summary.
func (r *Report) describe() {
	if len(r.Findings) == 0 {
		r.Lines = append(r.Lines, fmt.Sprintf("%s in %s of %s, of the classes %s: the ledger holds all that is required for the tree %s",
			count(len(r.Files), "file"), count(r.Commits, "commit"), r.Repository, strings.Join(r.Classes, ", "), short(r.Tree)))
	} else {
		r.Lines = append(r.Lines, fmt.Sprintf("%s: %s, %s, tree %s", r.Repository, count(r.Commits, "commit"), count(len(r.Files), "file"), short(r.Tree)))
	}
	byClass := map[string]int{}
	for _, f := range r.Files {
		for _, class := range f.Classes {
			byClass[class]++
		}
	}
	for _, class := range r.Classes {
		line := fmt.Sprintf("class %s: %s", class, count(byClass[class], "file"))
		if reason, ok := r.Exempt[class]; ok {
			line += ", exempt: " + reason
		}
		r.Lines = append(r.Lines, line)
	}
	for _, b := range r.Breaks {
		r.Lines = append(r.Lines, fmt.Sprintf("ledger restarted on %s after %d records: %s", b.Time.UTC().Format(time.RFC3339), b.Records, b.Reason))
	}
	for _, f := range r.Matched {
		by := ""
		if len(r.Policies) > 1 {
			by = " (by the policy of " + f.Policy + ")"
		}
		r.Lines = append(r.Lines, fmt.Sprintf("found %s for %s: record %d of %s, %s old%s", f.What, f.Class, f.Sequence, f.Time.UTC().Format(time.RFC3339), f.Age, by))
	}
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func short(hash string) string { return hash[:min(len(hash), 12)] }
