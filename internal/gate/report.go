// SPDX-License-Identifier: GPL-3.0-or-later

package gate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/evidence/record"
)

// Rules of every gate, about its waivers.
var (
	expiredWaiver = Info{ID: "expired_waiver", Summary: "A waiver has expired", NeverWaive: "renew it, or remove it"}
	unusedWaiver  = Info{ID: "unused_waiver", Summary: "A waiver waived nothing", NeverWaive: "remove it"}
)

// common are the rules that every gate has.
func Common() []Info { return []Info{expiredWaiver, unusedWaiver} }

// Waived is a finding that a waiver covers.
type Waived struct {
	Finding
	Waiver Waiver `json:"waiver"`
}

// Report is the report of a gate. Each gate embeds it in a struct with
// further facts. Make it with NewReport.
type Report struct {
	Gate     string           `json:"gate"`
	Verdict  evidence.Verdict `json:"verdict"`              // green only if there is no finding
	Subject  string           `json:"subject"`              // the checked playbook, root module or manifest
	In       *record.Location `json:"subject_in,omitempty"` // where Subject is in the repositories of the evidence
	Narrowed []string         `json:"narrowed,omitempty"`   // options that limited the check to a part of Subject
	Began    time.Time        `json:"began"`
	Seconds  float64          `json:"seconds"`
	Findings []Finding        `json:"findings"`
	Waived   []Waived         `json:"waived"`
	Lines    []string         `json:"summary"` // for people

	rules   map[string]Info
	waivers []Waiver
	used    []bool
	mask    func(string) string
}

// NewReport returns the empty report of a gate on subject. Waivers that are invalid
// for the rules are an error, see Waiver.
func NewReport(gate, subject string, rules []Info, waivers []Waiver) (*Report, error) {
	r := &Report{
		Gate: gate, Verdict: evidence.Red, Subject: subject, Began: time.Now().UTC(), Findings: []Finding{}, Waived: []Waived{}, Lines: []string{},
		rules: map[string]Info{}, mask: func(text string) string { return text },
	}
	for _, info := range append(slices.Clone(rules), Common()...) {
		r.rules[info.ID] = info
	}
	for _, w := range waivers {
		if err := w.validFor(r.rules, r.Began); err != nil {
			return nil, err
		}
	}
	r.waivers = waivers
	r.used = make([]bool, len(r.waivers))
	return r, nil
}

// common returns the part that all gates have.
func (r *Report) common() *Report { return r }

// MaskWith applies mask to the texts of findings that are added later.
func (r *Report) MaskWith(mask func(string) string) { r.mask = mask }

// Add adds a finding: to Waived if a waiver covers it, else to Findings. It
// returns false if it was waived. The rule MUST be one of the gate's.
func (r *Report) Add(f Finding) (added bool) {
	if _, ok := r.rules[f.Rule]; !ok {
		panic(fmt.Sprintf("gate %s has no rule %q", r.Gate, f.Rule))
	}
	f.Found = r.mask(f.Found)
	f.Message = OneLine(r.mask(cmp.Or(f.Message, f.sentence())), 2000)
	if r.Covered(f) {
		return false
	}
	r.Findings = append(r.Findings, f)
	return true
}

// Covered returns whether a waiver covers a finding. It adds such a finding to
// Waived, so it must not be added again.
func (r *Report) Covered(f Finding) bool {
	if r.rules[f.Rule].NeverWaive != "" {
		return false
	}
	w, ok := r.waive(f)
	if ok {
		f.Message = cmp.Or(f.Message, OneLine(r.mask(f.sentence()), 2000))
		r.Waived = append(r.Waived, Waived{Finding: f, Waiver: w})
	}
	return ok
}

// waive returns the first waiver that covers a finding, and marks all that do as used.
func (r *Report) waive(f Finding) (first Waiver, ok bool) {
	for i, w := range r.waivers {
		if w.expired(r.Began) || !w.covers(f) {
			continue
		}
		r.used[i] = true
		if !ok {
			first, ok = w, true
		}
	}
	return first, ok
}

// Has returns whether there is an unwaived finding of one of the rules.
func (r *Report) Has(rules ...string) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return slices.Contains(rules, f.Rule) })
}

// Finish adds the findings about waivers, sorts the findings and sets the
// verdict. checked is false if the gate did not check everything; then unused
// waivers are not reported.
func (r *Report) Finish(checked bool) {
	for i, w := range r.waivers {
		f := Finding{Path: "waivers/" + w.subject(), Where: w.Where}
		switch {
		case w.expired(r.Began):
			f.Rule, f.Expected, f.Found = expiredWaiver.ID, "a waiver that holds", "it expired on "+w.Expires
			r.Add(f)
		case !r.used[i] && checked:
			f.Rule, f.Expected, f.Found = unusedWaiver.ID, "a waiver that is needed", "it waives nothing; remove it"
			r.Add(f)
		}
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.Path, b.Path)) })
	r.Verdict = evidence.Green
	if len(r.Findings) > 0 {
		r.Verdict = evidence.Red
	}
	r.Seconds = time.Since(r.Began).Seconds()
}

// usedWaivers returns the used waivers and the options that limited the run, for the evidence.
func (r *Report) usedWaivers() []string {
	var out []string
	for _, n := range r.Narrowed {
		out = append(out, "narrowed: "+n)
	}
	for i, w := range r.waivers {
		if r.used[i] {
			out = append(out, w.String())
		}
	}
	return out
}

// first returns the first finding on one line, with the number of the others.
func (r *Report) first() string {
	if len(r.Findings) == 0 {
		return ""
	}
	if n := len(r.Findings) - 1; n > 0 {
		return fmt.Sprintf("%s (and %d more)", r.Findings[0].Message, n)
	}
	return r.Findings[0].Message
}

// Text returns the report as text: Lines, then every finding and waived finding.
func (r *Report) Text() []string {
	out := slices.Clone(r.Lines)
	for _, f := range r.Findings {
		message := f.Message
		if !strings.HasPrefix(message, f.Rule+": ") {
			message = f.Rule + ": " + message
		}
		out = append(out, "red: "+message)
	}
	for _, w := range r.Waived {
		out = append(out, fmt.Sprintf("waived until %s: %s (%s)", w.Waiver.Expires, w.Message, w.Waiver.Reason))
	}
	return out
}
