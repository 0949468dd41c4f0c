// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/gate"
	"github.com/arcodange-org/sandbox/internal/run"
	"github.com/arcodange-org/sandbox/internal/tree"
)

// clockSkew is the accepted difference between clocks of machines.
const clockSkew = time.Minute

// Request is a range of commits to promote, and the sources for its check. Paths are
// absolute. A grant contains the request, so that it can be evaluated again.
type Request struct {
	Repository        string            `json:"repository"`                   // its name in policy and evidence
	Path              string            `json:"path"`                         // of a working tree, or a bare repository
	Base              string            `json:"base"`                         // the commit that production has; zeros for none
	RequireDescendant bool              `json:"require_descendant,omitempty"` // the ledger's last promotion must be base, or descend from it
	Head              string            `json:"head"`                         // the commit to promote
	Policy            string            `json:"policy"`                       // in the repository, or elsewhere
	Ledger            string            `json:"ledger"`                       //
	AllowedSigners    string            `json:"allowed_signers,omitempty"`    // in the repository, or elsewhere
	LedgerHead        string            `json:"ledger_head,omitempty"`        // "number:hash", noted at an earlier time
	AllowMissingHead  bool              `json:"allow_missing_head,omitempty"` // the ledger was copied from another machine
	LedgerHistory     string            `json:"ledger_history,omitempty"`     // "ref:path": the ledger must contain every version that the branch ever had
	Boundary          string            `json:"boundary"`                     // evidence must be of runs with these files
	Manifest          string            `json:"manifest,omitempty"`           //
	Inventory         string            `json:"inventory,omitempty"`          //
	Related           map[string]string `json:"related,omitempty"`            // name → path of other repositories that the policy requires
}

// Gate evaluates requests.
type Gate struct {
	Runner run.Runner
	Env    []string // for git
	Now    func() time.Time
	// Witness is a file with the time of the last evaluation, and the last record
	// of each ledger at that time. It reveals a clock that was set back and a
	// truncated ledger. Empty for none.
	Witness string
	Heads   []evidence.Head // that the ledger must still hold
}

const noWaiver = "the person who requests a promotion must not choose its rules; change the policy"

// historyRules read and check the range. Further rules run only if these have no findings.
var historyRules = []gate.Rule[*evaluation]{repositoryRule{}, rangeRule{}}

// promotionRules check the promotion. Each uses the results of those before it.
var promotionRules = []gate.Rule[*evaluation]{
	policyRule{}, clockRule{}, ledgerRule{}, descendantRule{}, unclassified{}, unusedPattern{}, relatedRepository{}, evidenceRule{},
}

// Rules describes all rules of the gate.
func Rules() []gate.Info {
	return append(gate.Infos(historyRules), gate.Infos(promotionRules, deployment)...)
}

// Evaluate checks whether the ledger has all evidence that the request needs.
// It returns an error only if it was cancelled; everything else is a finding.
func (g Gate) Evaluate(ctx context.Context, q Request) (Report, error) {
	common, err := gate.NewReport("promotion", q.Repository, Rules(), nil)
	if err != nil {
		return Report{}, err
	}
	now := g.Now()
	common.Began = now.UTC()
	ev := &evaluation{
		Gate: g, request: q, now: now, git: open(g.Runner, q.Path, g.Env),
		report: &Report{
			Report: common, Repository: q.Repository, Base: q.Base, Head: q.Head, Ledger: q.Ledger,
			Policies: []policyVersion{}, Files: []touchedFile{}, Classes: []string{}, Required: []requirement{}, Matched: []foundRecord{}, Missing: []missingRecord{},
		},
	}
	gate.Check(ctx, historyRules, ev, common)
	if !common.Has("repository", "range") {
		gate.Check(ctx, promotionRules, ev, common)
	}
	if err := ctx.Err(); err != nil {
		return Report{}, fmt.Errorf("promotion of %s: %w", q.Repository, err)
	}
	common.Finish(true)
	common.Seconds = g.Now().Sub(now).Seconds()
	ev.report.describe()
	return *ev.report, nil
}

// evaluation is one evaluation of a request.
type evaluation struct {
	Gate
	request  Request
	now      time.Time
	git      history
	report   *Report
	top      string                     // of the working tree; empty for none
	trees    map[string]map[string]file // "base" and "head" → files
	touched  []touched
	policies []version
	digests  map[string]string // that evidence must have: "boundary manifest" and so on
	witness  witness
	entries  []evidence.Entry
	least    []time.Time // for each record, the earliest time of the records after it
}

func (ev *evaluation) add(rule, format string, args ...any) {
	ev.addFor(rule, "", format, args...)
}

// addFor adds a finding about one version of the policy.
func (ev *evaluation) addFor(rule, policy, format string, args ...any) {
	ev.report.Add(gate.Finding{Rule: rule, Policy: policy, Message: fmt.Sprintf(format, args...)})
}

// version is one version of the policy.
type version struct {
	*promotionPolicy
	of      string          // base, head or file
	touched map[string]bool // classes of the range's files
	related []tree.State    // that evidence must have
}

// versions returns the content of a file. If it is in the repository, it is read
// from base and head, so that the range cannot change the rules for itself; else
// from the disk. missing is called for each missing version.
func (ev *evaluation) versions(ctx context.Context, path string, missing func(of string, err error)) map[string][]byte {
	out := map[string][]byte{}
	name, inside := Within(ev.top, path)
	if !inside {
		data, err := os.ReadFile(path)
		if err != nil {
			missing("file", err)
			return nil
		}
		out["file"] = data
		return out
	}
	for _, of := range []string{"base", "head"} {
		data, err := ev.git.blob(ctx, ev.trees[of], name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing(of, fmt.Errorf("%s is not in %s: commit it, or for the first time give a copy outside of the repository, and set policy.promotion in the boundary manifest to it", name, of))
		case err != nil:
			missing(of, fmt.Errorf("%s in %s: %w", name, of, err))
		default:
			out[of] = data
		}
	}
	return out
}

// byPolicy returns the policy's name for messages if there are two.
func (ev *evaluation) byPolicy(p version) string {
	if len(ev.report.Policies) > 1 {
		return " by the policy of " + p.of
	}
	return ""
}
