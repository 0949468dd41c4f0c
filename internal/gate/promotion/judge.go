// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/lock"
	"github.com/arcodange-org/sandbox/internal/run"
)

// slack is by how much clocks of honest machines may differ.
const slack = time.Minute

// patience is how long a judgement waits for others that write down what they saw.
const patience = 10 * time.Second

// Question is what may be promoted, and what is held against it. Paths are
// absolute; a grant carries the question, so that it can be asked again.
type Question struct {
	Repository        string            `json:"repository"`                   // by the name that policy and evidence use
	Path              string            `json:"path"`                         // of a working tree, or a bare repository
	Base              string            `json:"base"`                         // the commit that production has; zeros for none
	RequireDescendant bool              `json:"require_descendant,omitempty"` // base must be no later than what was promoted last, by the ledger
	Head              string            `json:"head"`                         // the commit that it is to get
	Policy            string            `json:"policy"`                       // in the repository, or elsewhere
	Ledger            string            `json:"ledger"`                       //
	AllowedSigners    string            `json:"allowed_signers,omitempty"`    // in the repository, or elsewhere
	LedgerHead        string            `json:"ledger_head,omitempty"`        // "number:hash", noted at an earlier time
	AllowMissingHead  bool              `json:"allow_missing_head,omitempty"` // the ledger was carried here from another machine
	LedgerHistory     string            `json:"ledger_history,omitempty"`     // "ref:path": all that a branch of the repository ever held has to be in the ledger
	Boundary          string            `json:"boundary"`                     // evidence must be of runs with exactly these
	Manifest          string            `json:"manifest,omitempty"`           //
	Inventory         string            `json:"inventory,omitempty"`          //
	With              map[string]string `json:"with,omitempty"`               // name → path of other repositories that the policy asks for
}

// The rules that can be broken.
const (
	RuleRepository = "repository" // it cannot be read, or does not hold its whole history
	RuleRange      = "range"      // base and head are no range, or an empty one
	RulePolicy     = "policy"     // it cannot be read, or does not know the repository
	RuleNoClass    = "no_class"   // a file is of no class
	RuleIdle       = "idle"       // a pattern of the policy means no file
	RuleLedger     = "ledger"     // it cannot be trusted
	RuleClock      = "clock"      // it was set back, or records are from the future
	RuleWith       = "with"       // another repository is not as it must be
	RuleEvidence   = "evidence"   // a gate or drill was not green, or not good enough
)

// Finding is one thing that is not as it must be.
type Finding struct {
	Rule    string `json:"rule"`
	Path    string `json:"path,omitempty"`   // of the file that it is about, as it can be shown
	Policy  string `json:"policy,omitempty"` // by which: base, head, or file
	Message string `json:"message"`
}

// Judged is a file of the range.
type Judged struct {
	Path    string   `json:"path"`    // as it can be shown: quoted if it is no plain text
	Classes []string `json:"classes"` // by all policies that it was judged by
	Commits int      `json:"commits"` // that touched it
	Net     bool     `json:"net"`     // whether it differs between base and head
}

// Required is what one policy wants of one class.
type Required struct {
	Policy   string   `json:"policy"`
	Class    string   `json:"class"`
	Need     Need     `json:"need"`
	MaxAge   string   `json:"max_age"`
	Fidelity Fidelity `json:"fidelity"`
}

// Found is a record that counts.
type Found struct {
	Policy   string    `json:"policy"`
	Class    string    `json:"class"`
	What     string    `json:"what"`
	Sequence int       `json:"sequence"`
	Time     time.Time `json:"time"`
	Hash     string    `json:"hash"`
	Age      string    `json:"age"`
}

// Missing is what was required and is not there, and why what is there does not count.
type Missing struct {
	Policy  string `json:"policy"`
	Class   string `json:"class"`
	What    string `json:"what"`
	Reason  string `json:"reason"`
	Nearest int    `json:"nearest,omitempty"` // number of the record that comes nearest
}

// Used is a policy by which it was judged.
type Used struct {
	Of     string `json:"of"` // base, head, or file
	SHA256 string `json:"sha256"`
}

// Report is the verdict and what it rests on.
type Report struct {
	Gate       string            `json:"gate"`
	Verdict    string            `json:"verdict"` // green or red
	Repository string            `json:"repository"`
	Base       string            `json:"base"`
	Head       string            `json:"head"`
	Tree       string            `json:"tree"`
	Commits    int               `json:"commits"`
	Policies   []Used            `json:"policies"`
	Ledger     string            `json:"ledger"`
	LedgerHead evidence.Head     `json:"ledger_head"`
	LedgerPast int               `json:"ledger_past,omitempty"`   // commits whose version of the ledger was held against it
	Breaks     []evidence.Break  `json:"ledger_breaks,omitempty"` // at which it was restarted
	LedgerIs   string            `json:"ledger_is"`               // hash of its first record, by which it is known wherever it lies
	Boundary   string            `json:"boundary"`                // digest
	With       []evidence.Tree   `json:"with,omitempty"`
	Files      []Judged          `json:"files"`
	Classes    []string          `json:"classes"`
	Nothing    map[string]string `json:"nothing,omitempty"` // classes that need nothing, and why
	Required   []Required        `json:"required"`
	Found      []Found           `json:"found"`
	Missing    []Missing         `json:"missing"`
	Findings   []Finding         `json:"findings"`
	Judged     time.Time         `json:"judged"`
	Seconds    float64           `json:"seconds"`
}

// Summary is the report on one line.
func (r Report) Summary() string {
	if len(r.Findings) == 0 {
		return fmt.Sprintf("%s in %s of %s, of the classes %s: all that is required was found for the tree %s",
			count(len(r.Files), "file"), count(r.Commits, "commit"), r.Repository, strings.Join(r.Classes, ", "), short(r.Tree))
	}
	more := ""
	if n := len(r.Findings) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more)", n)
	}
	return r.Findings[0].Message + more
}

// Text is the report for people, a line each.
func (r Report) Text() []string {
	out := []string{fmt.Sprintf("%s: %s, %s, tree %s", r.Repository, count(r.Commits, "commit"), count(len(r.Files), "file"), short(r.Tree))}
	byClass := map[string]int{}
	for _, f := range r.Files {
		for _, class := range f.Classes {
			byClass[class]++
		}
	}
	for _, class := range r.Classes {
		line := fmt.Sprintf("class %s: %s", class, count(byClass[class], "file"))
		if why, is := r.Nothing[class]; is {
			line += ", needs nothing: " + why
		}
		out = append(out, line)
	}
	both := len(r.Policies) > 1
	by := func(policy string) string {
		if both {
			return " (by the policy of " + policy + ")"
		}
		return ""
	}
	for _, b := range r.Breaks {
		out = append(out, fmt.Sprintf("ledger restarted on %s after %d records: %s", b.Time.UTC().Format(time.RFC3339), b.Records, b.Reason))
	}
	for _, f := range r.Found {
		out = append(out, fmt.Sprintf("found %s for %s: record %d of %s, %s old%s", f.What, f.Class, f.Sequence, f.Time.UTC().Format(time.RFC3339), f.Age, by(f.Policy)))
	}
	for _, f := range r.Findings {
		out = append(out, "red: "+f.Rule+": "+f.Message)
	}
	return out
}

// Gate judges.
type Gate struct {
	Runner run.Runner
	Env    []string // for git
	Now    func() time.Time
	// Witness is a file that tells when was last judged, and how far each ledger
	// had come by then, so that a clock that was set back since is noticed, and a
	// ledger that was cut; empty for none.
	Witness string
	Heads   []evidence.Head // that the ledger must still hold
}

// Judge tells whether all that is required is there. The error is for what
// ended it from outside; whatever else goes wrong is a finding.
func (g Gate) Judge(ctx context.Context, q Question) (Report, error) {
	began := g.Now()
	j := &judging{
		gate: g, q: q, now: began, git: open(g.Runner, q.Path, g.Env),
		report: Report{
			Gate: "promotion_gate", Verdict: "red", Repository: q.Repository, Base: q.Base, Head: q.Head, Ledger: q.Ledger, Judged: began.UTC(),
			Policies: []Used{}, Files: []Judged{}, Classes: []string{}, Required: []Required{}, Found: []Found{}, Missing: []Missing{}, Findings: []Finding{},
		},
	}
	j.judge(ctx)
	if err := ctx.Err(); err != nil {
		return Report{}, fmt.Errorf("judging the promotion of %s: %w", q.Repository, err)
	}
	if len(j.report.Findings) == 0 {
		j.report.Verdict = "green"
	}
	j.report.Seconds = g.Now().Sub(began).Seconds()
	return j.report, nil
}

// judging is one run of the gate.
type judging struct {
	gate    Gate
	q       Question
	now     time.Time
	git     history
	report  Report
	top     string                     // of the working tree; empty for none
	trees   map[string]map[string]file // "base" and "head" → files
	wanted  map[string]string          // "boundary" and so on → digest
	seen    seen
	entries []evidence.Entry
	least   []time.Time // the least time that a record after each states
}

func (j *judging) red(rule, format string, words ...any) {
	j.add(Finding{Rule: rule, Message: fmt.Sprintf(format, words...)})
}

func (j *judging) add(f Finding) {
	f.Message = oneLine(f.Message)
	j.report.Findings = append(j.report.Findings, f)
}

func (j *judging) judge(ctx context.Context) {
	files, known := j.history(ctx)
	if !known {
		return
	}
	j.authority(ctx)
	policies := j.policies(ctx)
	j.digests(ctx)
	j.clock(ctx)
	trusted := j.ledger(ctx, policies)
	j.follows(ctx)
	timely := !slices.ContainsFunc(j.report.Findings, func(f Finding) bool { return f.Rule == RuleClock })
	j.classes(policies, files)
	for _, p := range policies {
		with := j.with(ctx, p)
		for _, class := range slices.Sorted(maps.Keys(p.touched)) {
			j.class(p, class, with, trusted && timely)
		}
	}
}

// history finds the range and its files; known is false if there is none.
func (j *judging) history(ctx context.Context) (files []Touched, known bool) {
	failed := func(rule string, err error) ([]Touched, bool) {
		j.red(rule, "%s: %v", j.q.Repository, err)
		return nil, false
	}
	if err := j.git.whole(ctx); err != nil {
		return failed(RuleRepository, err)
	}
	if top, err := j.git.line(ctx, "rev-parse", "--path-format=absolute", "--show-toplevel"); err == nil {
		j.top = top
	} // a bare repository has none
	head, err := j.git.commit(ctx, j.q.Head)
	if err != nil {
		return failed(RuleRange, err)
	}
	j.report.Head = head
	if j.report.Tree, err = j.git.line(ctx, "rev-parse", "--verify", head+"^{tree}"); err != nil {
		return failed(RuleRepository, err)
	}
	base := ""
	if !nothing(j.q.Base) {
		if base, err = j.git.commit(ctx, j.q.Base); err != nil {
			return failed(RuleRange, err)
		}
		j.report.Base = base
		before, err := j.git.ancestor(ctx, base, head)
		switch {
		case err != nil:
			return failed(RuleRepository, err)
		case base == head:
			return failed(RuleRange, fmt.Errorf("the range is empty: base and head are both %s, so nothing would be judged", short(head)))
		case !before:
			return failed(RuleRange, fmt.Errorf("base %s is not before head %s: history was rewritten, or they are the wrong way round", short(base), short(head)))
		}
	}
	files, j.report.Commits, err = j.git.touched(ctx, base, head)
	if err != nil {
		return failed(RuleRepository, err)
	}
	j.trees = map[string]map[string]file{}
	for name, commit := range map[string]string{"base": base, "head": head} {
		if commit == "" {
			continue
		}
		if j.trees[name], err = j.git.files(ctx, commit); err != nil {
			return failed(RuleRepository, err)
		}
	}
	if len(files) == 0 {
		return failed(RuleRange, errors.New("no commit of the range touches a file, so nothing would be judged"))
	}
	return files, true
}

// follows holds base against the ledger: whoever asks says what production has,
// and commits before base are not judged. What was promoted last is known, so
// base must be that, or lie before it.
func (j *judging) follows(ctx context.Context) {
	if !j.q.RequireDescendant || j.report.Base == "" {
		return
	}
	for _, e := range slices.Backward(j.entries) {
		at := slices.IndexFunc(e.Trees, func(t evidence.Tree) bool { return t.Repository == j.q.Repository })
		if e.What != "promotion" || e.Verdict != evidence.Green || at < 0 {
			continue
		}
		last, err := j.git.commit(ctx, e.Trees[at].Commit)
		if err != nil {
			j.red(RuleRange, "record %d promoted the commit %s, and it is not here: fetch it: %v", e.Sequence, short(e.Trees[at].Commit), err)
			return
		}
		before, err := j.git.ancestor(ctx, j.report.Base, last)
		switch {
		case err != nil:
			j.red(RuleRepository, "%s: %v", j.q.Repository, err)
		case !before:
			j.red(RuleRange, "base %s is not what was promoted last, nor before it: by record %d that is %s, and what lies between was never judged: give that one as base",
				short(j.report.Base), e.Sequence, short(last))
		}
		return
	}
}

// version is a policy and where it comes from.
type version struct {
	*Policy
	of      string
	touched map[string]bool // classes of the range's files
}

// versions is the content of a file that may lie in the repository: then as
// base and as head have it, for what the range itself changes must not decide
// about the range; else as it lies on disk. complain is told of what is not there.
func (j *judging) versions(ctx context.Context, path string, complain func(of string, err error)) map[string][]byte {
	out := map[string][]byte{}
	name, inside := Within(j.top, path)
	if !inside {
		data, err := os.ReadFile(path)
		if err != nil {
			complain("file", err)
			return nil
		}
		out["file"] = data
		return out
	}
	for _, of := range []string{"base", "head"} {
		data, err := j.git.blob(ctx, j.trees[of], name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			complain(of, fmt.Errorf("%s is not in %s: commit it, or for the first time give a copy that lies outside of the repository and is named by policy.promotion in the boundary manifest", name, of))
		case err != nil:
			complain(of, fmt.Errorf("%s in %s: %w", name, of, err))
		default:
			out[of] = data
		}
	}
	return out
}

func (j *judging) policies(ctx context.Context) []version {
	var out []version
	found := j.versions(ctx, j.q.Policy, func(of string, err error) {
		j.add(Finding{Rule: RulePolicy, Policy: of, Message: fmt.Sprintf("the promotion policy cannot be read: %v", err)})
	})
	for _, of := range slices.Sorted(maps.Keys(found)) {
		name := j.q.Policy
		if of != "file" {
			name, _ = Within(j.top, j.q.Policy)
			name = of + ":" + name
		}
		policy, err := ParsePolicy(name, found[of])
		if err != nil {
			j.add(Finding{Rule: RulePolicy, Policy: of, Message: err.Error()})
			continue
		}
		if of == "head" && len(out) == 1 && out[0].SHA256 == policy.SHA256 {
			continue // the range leaves it alone
		}
		j.report.Policies = append(j.report.Policies, Used{Of: of, SHA256: policy.SHA256})
		if _, known := policy.Repositories[j.q.Repository]; !known {
			j.add(Finding{Rule: RulePolicy, Policy: of, Message: fmt.Sprintf("the policy %s does not know the repository %q: known are %s",
				name, j.q.Repository, strings.Join(slices.Sorted(maps.Keys(policy.Repositories)), ", "))})
			continue
		}
		out = append(out, version{policy, of, map[string]bool{}})
	}
	return out
}

// digests are those that evidence has to carry.
func (j *judging) digests(ctx context.Context) {
	j.wanted = map[string]string{}
	for name, path := range map[string]string{"boundary manifest": j.q.Boundary, "parity manifest": j.q.Manifest, "inventory": j.q.Inventory} {
		if path == "" {
			continue
		}
		digest, err := j.digest(ctx, path)
		if err != nil {
			j.red(RuleRepository, "the %s %s: %v", name, path, err)
			digest = "unknown" // which no record carries
		}
		j.wanted[name] = digest
	}
	j.report.Boundary = j.wanted["boundary manifest"]
}

// digest is evidence.Digest of path: as head has it if it lies in the repository.
func (j *judging) digest(ctx context.Context, path string) (string, error) {
	name, inside := Within(j.top, path)
	if !inside {
		return evidence.Digest(path)
	}
	scratch, err := os.MkdirTemp("", "arcodange-promotion-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(scratch)
	files := map[string]file{}
	for at, f := range j.trees["head"] {
		if at == name || strings.HasPrefix(at, name+"/") {
			files[at] = f
		}
	}
	if len(files) == 0 {
		return "", fmt.Errorf("%s is not in head: commit it, or name one that lies outside of the repository", name)
	}
	if err := j.git.write(ctx, files, scratch); err != nil {
		return "", err
	}
	return evidence.Digest(filepath.Join(scratch, filepath.FromSlash(name)))
}

// clock tells whether now can be believed: it is after everything that is known to have been.
func (j *judging) clock(ctx context.Context) {
	late := func(what string, when time.Time) {
		if when.After(j.now.Add(slack)) {
			j.red(RuleClock, "the clock says %s, and %s is of %s: the clock was set back, or was ahead then",
				j.now.UTC().Format(time.RFC3339), what, when.UTC().Format(time.RFC3339))
		}
	}
	when, err := j.git.when(ctx, j.report.Head)
	if err != nil {
		j.red(RuleClock, "%v", err)
	}
	late("the commit "+short(j.report.Head), when)
	for _, path := range []string{j.q.Ledger, j.q.Ledger + ".head"} {
		if info, err := os.Stat(path); err == nil {
			late("the file "+path, info.ModTime())
		}
	}
	seen, err := j.gate.seen()
	if err != nil {
		j.red(RuleClock, "%v", err)
	}
	late("the last judgement, by "+j.gate.Witness+",", seen.Judged)
	j.seen = seen
}

// seen is what the witness holds.
type seen struct {
	Judged  time.Time                `json:"judged"`
	Ledgers map[string]evidence.Head `json:"ledgers"` // by the hash of the first record
}

func (g Gate) seen() (seen, error) {
	if g.Witness == "" {
		return seen{}, nil
	}
	data, err := os.ReadFile(g.Witness)
	if errors.Is(err, fs.ErrNotExist) {
		return seen{}, nil
	}
	var found seen
	if err == nil {
		err = json.Unmarshal(data, &found)
	}
	if err != nil {
		return seen{}, fmt.Errorf("what was seen at the last judgement cannot be read from %s (%w): remove it if clock and ledger are right", g.Witness, err)
	}
	return found, nil
}

// Note writes down what a judgement saw, for later ones: the time, and how far
// the ledger had come, unless it could not be trusted. Neither ever goes back.
func (g Gate) Note(ctx context.Context, r Report) error {
	if g.Witness == "" {
		return nil
	}
	failed := func(err error) error { return fmt.Errorf("writing down what was judged: %w", err) }
	held, err := lock.Acquire(ctx, g.Witness+".lock", "writing down what was judged", patience)
	if err != nil {
		return failed(err)
	}
	defer held.Release()
	found, err := g.seen()
	if err != nil {
		return nil // the judgement says so, and is red for it
	}
	if r.Judged.After(found.Judged) {
		found.Judged = r.Judged.UTC()
	}
	if r.LedgerIs != "" && r.LedgerHead.Sequence > found.Ledgers[r.LedgerIs].Sequence && !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Rule == RuleLedger }) {
		if found.Ledgers == nil {
			found.Ledgers = map[string]evidence.Head{}
		}
		found.Ledgers[r.LedgerIs] = r.LedgerHead
	}
	data, err := json.Marshal(found)
	if err == nil {
		err = writePrivate(g.Witness, append(data, '\n'))
	}
	if err != nil {
		return failed(err)
	}
	return nil
}

// ledger reads the ledger and tells whether what stands in it can be believed.
func (j *judging) ledger(ctx context.Context, policies []version) bool {
	before := len(j.report.Findings)
	book, err := evidence.Open(j.q.Ledger)
	if err != nil {
		j.red(RuleLedger, "%v", err)
		return false
	}
	check := evidence.Check{AllowMissingHead: j.q.AllowMissingHead, Keep: true, Heads: slices.Clone(j.gate.Heads)}
	if j.q.LedgerHead != "" {
		head, err := evidence.ParseHead(j.q.LedgerHead)
		if err != nil {
			j.red(RuleLedger, "%v", err)
			return false
		}
		check.Heads = append(check.Heads, head)
	}
	// Signers that the range itself lets in count for nothing: every version has to allow each record.
	checks := []evidence.Check{check}
	if j.q.AllowedSigners != "" {
		checks = nil
		found := j.versions(ctx, j.q.AllowedSigners, func(of string, err error) { j.red(RuleLedger, "the allowed signers of %s: %v", of, err) })
		for _, of := range slices.Sorted(maps.Keys(found)) {
			if of == "head" && string(found["base"]) == string(found["head"]) {
				continue
			}
			allowed, err := evidence.ParseAllowed(found[of])
			if err != nil {
				j.red(RuleLedger, "the allowed signers of %s: %v", of, err)
				continue
			}
			check.Allowed = allowed
			checks = append(checks, check)
		}
		if len(checks) == 0 {
			return false
		}
	}
	for _, p := range policies {
		if p.Signed && j.q.AllowedSigners == "" {
			j.add(Finding{Rule: RuleLedger, Policy: p.of, Message: "the policy wants every record signed, and nobody is named who may: give allowed_signers"})
		}
	}
	var result evidence.Verification
	for _, check := range checks {
		if result, err = book.Verify(ctx, check); err != nil {
			j.red(RuleLedger, "%v", err)
			return false
		}
		for n, problem := range result.Problems {
			if n == 5 {
				j.red(RuleLedger, "the ledger cannot be trusted: %d more problems", len(result.Problems)-n)
				break
			}
			j.red(RuleLedger, "the ledger cannot be trusted: %s", problem)
		}
	}
	j.report.LedgerHead = result.Head
	j.report.Breaks = result.Breaks
	switch {
	case result.Records == 0:
		j.red(RuleLedger, "the ledger %s holds no record: nothing ran, or it is elsewhere", j.q.Ledger)
	case !(result.Anchored || j.q.LedgerHead != "") && j.q.AllowedSigners == "":
		j.red(RuleLedger, "nothing that lies elsewhere vouches for the ledger %s, so it may be a copy that was cut or written anew: "+
			"give ledger_head as noted elsewhere, or allowed_signers", j.q.Ledger)
	}
	j.entries = result.Entries
	if len(j.entries) > 0 {
		j.report.LedgerIs = j.entries[0].Hash
		if head, known := j.seen.Ledgers[j.report.LedgerIs]; known && (len(j.entries) < head.Sequence || j.entries[head.Sequence-1].Hash != head.Hash) {
			j.red(RuleLedger, "the ledger had %d records when it was last judged, by %s, and the last of them is not there any more", head.Sequence, j.gate.Witness)
		}
	}
	if j.q.LedgerHistory != "" {
		if j.report.LedgerPast, err = j.past(ctx); err != nil {
			j.red(RuleLedger, "the ledger cannot be trusted by its history: %v", err)
		}
	}
	j.least = make([]time.Time, len(j.entries))
	least, newest := time.Time{}, time.Time{}
	for n, entry := range slices.Backward(j.entries) {
		j.least[n] = least
		if least.IsZero() || entry.Time.Before(least) {
			least = entry.Time
		}
		if entry.Time.After(newest) {
			newest = entry.Time
		}
	}
	if newest.After(j.now.Add(slack)) {
		j.red(RuleClock, "the clock says %s, and the ledger holds a record of %s: the clock was set back, or was ahead then",
			j.now.UTC().Format(time.RFC3339), newest.UTC().Format(time.RFC3339))
	}
	return len(j.report.Findings) == before
}

// classes tells of each file which classes it is of, by each policy.
func (j *judging) classes(policies []version, files []Touched) {
	all := map[string]bool{}
	for _, f := range files {
		judged := Judged{Path: Show(f.Path), Classes: []string{}, Commits: f.Commits, Net: f.Net}
		for _, p := range policies {
			none := true
			for _, m := range p.Repositories[j.q.Repository].Classes {
				if !m.Holds(f.Path) {
					continue
				}
				none = false
				p.touched[m.Class], all[m.Class] = true, true
				if !slices.Contains(judged.Classes, m.Class) {
					judged.Classes = append(judged.Classes, m.Class)
				}
			}
			if none {
				j.add(Finding{Rule: RuleNoClass, Path: judged.Path, Policy: p.of, Message: fmt.Sprintf(
					"the file %s is of no class%s: say in the policy which change it is", judged.Path, j.by(p))})
			}
		}
		slices.Sort(judged.Classes)
		j.report.Files = append(j.report.Files, judged)
	}
	j.report.Classes = slices.Sorted(maps.Keys(all))
	for _, p := range policies {
		j.idle(p)
	}
}

// by tells by which policy, where there are two.
func (j *judging) by(p version) string {
	if len(j.report.Policies) > 1 {
		return " by the policy of " + p.of
	}
	return ""
}

// idle finds patterns that mean no file: most likely they are misspelt, and
// what they were written for falls to a class that asks for less.
func (j *judging) idle(p version) {
	for _, m := range p.Repositories[j.q.Repository].Classes {
		for _, pattern := range m.Paths {
			means := func(files map[string]file) bool {
				for path := range files {
					if pattern.Match(path) {
						return true
					}
				}
				return false
			}
			if !means(j.trees["head"]) && !means(j.trees["base"]) {
				j.add(Finding{Rule: RuleIdle, Policy: p.of, Message: fmt.Sprintf(
					"the pattern %s of the class %s means no file, neither before nor after: correct it, or put it under spare", pattern.Text, m.Class)})
			}
		}
	}
}

// with finds the trees of the other repositories that evidence has to tell of.
func (j *judging) with(ctx context.Context, p version) []evidence.Tree {
	var out []evidence.Tree
	for _, name := range p.Repositories[j.q.Repository].With {
		tree := evidence.Tree{Repository: name, Tree: "unknown"} // which no record has
		path := j.q.With[name]
		var err error
		if path == "" {
			err = errors.New("the policy asks for it, and nobody says where it lies: give it in with")
		} else if tree, err = evidence.TreeOf(ctx, j.gate.Runner, path); err == nil {
			tree.Repository = name
			if tree.Dirty {
				err = fmt.Errorf("its working tree differs from its commit (%s): commit, or put aside, what differs", tree.Reason)
			}
		}
		if err != nil {
			j.add(Finding{Rule: RuleWith, Policy: p.of, Message: fmt.Sprintf("the repository %s: %v", name, err)})
		}
		out = append(out, tree)
		if !slices.Contains(j.report.With, tree) {
			j.report.With = append(j.report.With, tree)
		}
	}
	return out
}

// class tells what a class needs, and what of it is there.
func (j *judging) class(p version, name string, with []evidence.Tree, trusted bool) {
	class := p.Classes[name]
	if class.Nothing != "" {
		if j.report.Nothing == nil {
			j.report.Nothing = map[string]string{}
		}
		j.report.Nothing[name] = class.Nothing
	}
	for _, need := range slices.Concat(class.Gates, class.Drills) {
		required := Required{Policy: p.of, Class: name, Need: need, MaxAge: class.MaxAge.String(), Fidelity: class.Fidelity}
		j.report.Required = append(j.report.Required, required)
		entry, reason := j.find(class, name, need, with)
		if reason == "" && !trusted {
			reason = fmt.Sprintf("record %d would count if the ledger and the clock could be trusted", entry.Sequence)
		}
		if reason == "" {
			j.report.Found = append(j.report.Found, Found{Policy: p.of, Class: name, What: need.Name, Sequence: entry.Sequence, Time: entry.Time, Hash: entry.Hash,
				Age: j.now.Sub(entry.Time).Truncate(time.Second).String()})
			continue
		}
		j.report.Missing = append(j.report.Missing, Missing{Policy: p.of, Class: name, What: need.Name, Reason: reason, Nearest: entry.Sequence})
		j.add(Finding{Rule: RuleEvidence, Policy: p.of, Message: fmt.Sprintf("%s is missing for %s%s: %s", need.Name, name, j.by(p), reason)})
	}
}

// find looks for the newest record that counts. If there is none, reason says
// why, and entry is the one that comes nearest: that fails the latest test.
func (j *judging) find(class Class, name string, need Need, with []evidence.Tree) (entry evidence.Entry, reason string) {
	reason = "the ledger holds no run of it"
	nearest := -1
	red := 0
	for n, e := range slices.Backward(j.entries) {
		if e.What != need.Name {
			continue
		}
		passed, why := j.counts(n, class, name, need, with)
		if why == "" && red > 0 {
			passed, why = 100, fmt.Sprintf("record %d after it, of the same tree, is red", red)
		}
		if why == "" {
			return e, ""
		}
		if passed > nearest {
			nearest, entry, reason = passed, e, fmt.Sprintf("record %d does not count: %s", e.Sequence, why)
		}
		if red == 0 && e.Verdict != evidence.Green && j.sameTree(e) {
			red = e.Sequence
		}
	}
	return entry, reason
}

// sameTree tells whether an entry is of what is judged, whatever else it says.
func (j *judging) sameTree(e evidence.Entry) bool {
	return slices.ContainsFunc(e.Trees, func(t evidence.Tree) bool { return t.Repository == j.q.Repository && t.Tree == j.report.Tree })
}

// counts tells how many tests an entry passes, and why it does not count;
// empty if it does.
func (j *judging) counts(n int, class Class, name string, need Need, with []evidence.Tree) (passed int, why string) {
	e := j.entries[n]
	tests := []func() string{
		func() string { return j.ofTree(e, j.q.Repository, j.report.Tree) },
		func() string {
			if e.Verdict != evidence.Green {
				return "it is " + string(e.Verdict) + ": " + e.Summary
			}
			return ""
		},
		func() string {
			if len(e.Classes) > 0 && !slices.Contains(e.Classes, name) {
				return "it was run for " + strings.Join(e.Classes, ", ")
			}
			return ""
		},
		func() string {
			for _, tree := range with {
				if why := j.ofTree(e, tree.Repository, tree.Tree); why != "" {
					return why
				}
			}
			return ""
		},
		func() string {
			for _, one := range []struct{ name, found string }{{"boundary manifest", e.Boundary}, {"parity manifest", e.Manifest}, {"inventory", e.Inventory}} {
				switch wanted, asked := j.wanted[one.name]; {
				case !asked || one.found == wanted:
				case one.found == "":
					return "it does not say with which " + one.name
				default:
					return "it was run with another " + one.name
				}
			}
			return ""
		},
		func() string { return class.Fidelity.lacks(e.Record) },
		func() string {
			switch age := j.now.Sub(e.Time); {
			case age > class.MaxAge:
				return fmt.Sprintf("it is %s old, and may be %s", age.Truncate(time.Second), class.MaxAge)
			case age < -slack:
				return "it is from the future"
			case !j.least[n].IsZero() && j.least[n].Before(e.Time.Add(-slack)):
				return fmt.Sprintf("it is of %s, and a later record of %s: the clock was set back in between, so its age is not known",
					e.Time.UTC().Format(time.RFC3339), j.least[n].UTC().Format(time.RFC3339))
			}
			return ""
		},
		func() string {
			in := need.In
			if in == "" {
				in = j.q.Repository
			}
			// Of another repository the tree counts only if the policy asks for it.
			if in != j.q.Repository && !slices.ContainsFunc(with, func(t evidence.Tree) bool { return t.Repository == in }) {
				return "what is run has to lie in " + in + ", of which the policy asks no tree: put it under with of " + j.q.Repository
			}
			return reported(e.Report, need, in)
		},
	}
	for passed, test := range tests {
		if why := test(); why != "" {
			return passed, why
		}
	}
	return len(tests), ""
}

// ofTree tells why an entry is not of one tree of a repository; empty if it is.
func (j *judging) ofTree(e evidence.Entry, repository, wanted string) string {
	var found []evidence.Tree
	for _, tree := range e.Trees {
		if tree.Repository == repository {
			found = append(found, tree)
		}
	}
	switch {
	case len(found) == 0:
		return "it does not tell of the repository " + repository
	case len(found) > 1:
		return "it tells of the repository " + repository + " twice"
	case found[0].Tree != wanted:
		return fmt.Sprintf("it is of the tree %s of %s, and not of %s", short(found[0].Tree), repository, short(wanted))
	case found[0].Dirty:
		why := "it is of a working tree of " + repository + " that was not committed"
		if reason := found[0].Reason; reason != "" {
			why += " (" + reason + ")"
		}
		return why
	}
	return ""
}

// lacks tells why a run was not enough like production; empty if it was.
func (f Fidelity) lacks(r evidence.Record) string {
	for _, one := range []struct {
		name, found string
		good        Words
	}{{"mode", r.Mode, f.Modes}, {"driver", r.Driver, f.Drivers}, {"distribution", r.Distribution, f.Distributions}} {
		switch {
		case one.good.Any || slices.Contains(one.good.List, one.found):
		case one.found == "":
			return "it does not say in which " + one.name
		default:
			return fmt.Sprintf("the %s %s is not good enough: %s would be", one.name, one.found, strings.Join(one.good.List, ", "))
		}
	}
	for _, one := range []struct {
		name  string
		found []string
		good  Words
	}{{"deviation", r.Deviations, f.Deviations}, {"waiver", r.Waivers, f.Waivers}} {
		for _, text := range one.found {
			if !one.good.Any && !slices.ContainsFunc(one.good.List, func(pattern string) bool { return matchName(pattern, text) }) {
				return fmt.Sprintf("the %s %q was in force", one.name, text)
			}
		}
	}
	return ""
}

// oneLine is text on one line.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// Show is a path as it can be shown: quoted if it is no plain text.
func Show(path string) string {
	if utf8.ValidString(path) && strings.IndexFunc(path, func(r rune) bool { return !unicode.IsPrint(r) || r == '"' }) < 0 {
		return path
	}
	return strconv.QuoteToASCII(path)
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func short(hash string) string { return hash[:min(len(hash), 12)] }
