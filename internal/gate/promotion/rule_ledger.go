// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/gate"
)

// ledgerRule reads the ledger, and is reported if its records cannot be trusted.
type ledgerRule struct{}

func (ledgerRule) Info() gate.Info {
	return gate.Info{ID: "ledger", Summary: "The ledger cannot be trusted", NeverWaive: noWaiver}
}

func (ledgerRule) Check(ctx context.Context, ev *evaluation, _ *gate.Report) {
	ev.readDigests(ctx)
	ev.readLedger(ctx)
}

// readLedger reads and verifies the ledger.
func (ev *evaluation) readLedger(ctx context.Context) {
	book, err := evidence.Open(ev.request.Ledger)
	if err != nil {
		ev.add("ledger", "%v", err)
		return
	}
	check := evidence.Check{AllowMissingHead: ev.request.AllowMissingHead, Keep: true, Heads: slices.Clone(ev.Heads)}
	if ev.request.LedgerHead != "" {
		head, err := evidence.ParseHead(ev.request.LedgerHead)
		if err != nil {
			ev.add("ledger", "%v", err)
			return
		}
		check.Heads = append(check.Heads, head)
	}
	checks := ev.signerChecks(ctx, check)
	if len(checks) == 0 {
		return
	}
	for _, p := range ev.policies {
		if p.Signed && ev.request.AllowedSigners == "" {
			ev.addFor("ledger", p.of, "the policy requires signed records; set allowed_signers")
		}
	}
	var result evidence.Verification
	for _, check := range checks {
		if result, err = book.Verify(ctx, check); err != nil {
			ev.add("ledger", "%v", err)
			return
		}
		for n, problem := range result.Problems {
			if n == 5 {
				ev.add("ledger", "the ledger cannot be trusted: %d more problems", len(result.Problems)-n)
				break
			}
			ev.add("ledger", "the ledger cannot be trusted: %s", problem)
		}
	}
	ev.report.LedgerHead = result.Head
	ev.report.Breaks = result.Breaks
	switch {
	case result.Records == 0:
		ev.add("ledger", "the ledger %s holds no record; run the gates, or set ledger to the right file", ev.request.Ledger)
	case !(result.Anchored || ev.request.LedgerHead != "") && ev.request.AllowedSigners == "":
		ev.add("ledger", "the ledger %s has no head outside of its folder, so it may be cut or rewritten; "+
			"set ledger_head to one that was noted elsewhere, or allowed_signers", ev.request.Ledger)
	}
	ev.entries = result.Entries
	if len(ev.entries) > 0 {
		ev.report.LedgerID = ev.entries[0].Hash
		if head, ok := ev.witness.Ledgers[ev.report.LedgerID]; ok && (len(ev.entries) < head.Sequence || ev.entries[head.Sequence-1].Hash != head.Hash) {
			ev.add("ledger", "the ledger had %d records at the last evaluation (in %s), and the last of them is gone", head.Sequence, ev.Witness)
		}
	}
	if ev.request.LedgerHistory != "" {
		if ev.report.Versions, err = ev.checkLedgerHistory(ctx); err != nil {
			ev.add("ledger", "the ledger cannot be trusted by its history: %v", err)
		}
	}
	ev.order()
}

// order computes the earliest time after each record, and checks that no record is from the future.
func (ev *evaluation) order() {
	ev.least = make([]time.Time, len(ev.entries))
	least, newest := time.Time{}, time.Time{}
	for n, entry := range slices.Backward(ev.entries) {
		ev.least[n] = least
		if least.IsZero() || entry.Time.Before(least) {
			least = entry.Time
		}
		if entry.Time.After(newest) {
			newest = entry.Time
		}
	}
	if newest.After(ev.now.Add(clockSkew)) {
		ev.add("clock", "the clock is at %s, and the ledger holds a record of %s; the clock was set back, or was ahead then",
			ev.now.UTC().Format(time.RFC3339), newest.UTC().Format(time.RFC3339))
	}
}

// signerChecks returns one check for each version of the allowed signers. Every
// version must allow each record, so that the range cannot add signers. It is
// empty if none can be read.
func (ev *evaluation) signerChecks(ctx context.Context, check evidence.Check) []evidence.Check {
	checks := []evidence.Check{check}
	if ev.request.AllowedSigners == "" {
		return checks
	}
	checks = nil
	found := ev.versions(ctx, ev.request.AllowedSigners, func(of string, err error) { ev.add("ledger", "the allowed signers of %s: %v", of, err) })
	for _, of := range slices.Sorted(maps.Keys(found)) {
		if of == "head" && string(found["base"]) == string(found["head"]) {
			continue
		}
		allowed, err := evidence.ParseAllowed(found[of])
		if err != nil {
			ev.add("ledger", "the allowed signers of %s: %v", of, err)
			continue
		}
		check.Allowed = allowed
		checks = append(checks, check)
	}
	return checks
}

// readDigests computes the digests that evidence must have.
func (ev *evaluation) readDigests(ctx context.Context) {
	ev.digests = map[string]string{}
	for name, path := range map[string]string{"boundary manifest": ev.request.Boundary, "parity manifest": ev.request.Manifest, "inventory": ev.request.Inventory} {
		if path == "" {
			continue
		}
		digest, err := ev.digest(ctx, path)
		if err != nil {
			ev.add("repository", "the %s %s: %v", name, path, err)
			digest = "unknown" // equals that of no record
		}
		ev.digests[name] = digest
	}
	ev.report.Boundary = ev.digests["boundary manifest"]
}

// digest returns evidence.Digest of path; if it is in the repository, of its version in head.
func (ev *evaluation) digest(ctx context.Context, path string) (string, error) {
	name, inside := Within(ev.top, path)
	if !inside {
		return evidence.Digest(path)
	}
	scratch, err := os.MkdirTemp("", "arcodange-promotion-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(scratch)
	files := map[string]file{}
	for at, f := range ev.trees["head"] {
		if at == name || strings.HasPrefix(at, name+"/") {
			files[at] = f
		}
	}
	if len(files) == 0 {
		return "", fmt.Errorf("%s is not in head; commit it, or use one outside of the repository", name)
	}
	if err := ev.git.write(ctx, files, scratch); err != nil {
		return "", err
	}
	return evidence.Digest(filepath.Join(scratch, filepath.FromSlash(name)))
}
