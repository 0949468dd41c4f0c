// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// checkLedgerHistory compares the ledger with all versions in the history of a
// branch, including merged branches. The ledger must begin with each of them: this
// detects removed and changed records even if all remaining signatures are valid.
// It returns the number of commits with a version.
func (ev *evaluation) checkLedgerHistory(ctx context.Context) (int, error) {
	ref, path, named := strings.Cut(ev.request.LedgerHistory, ":")
	if !named || ref == "" || path == "" || strings.ContainsAny(path, "\n\x00") {
		return 0, fmt.Errorf("ledger_history: not BRANCH:PATH (got %q); write it as refs/remotes/origin/evidence:ledger.jsonl", ev.request.LedgerHistory)
	}
	tip, err := ev.git.commit(ctx, ref)
	if err != nil {
		return 0, err
	}
	now, err := os.ReadFile(ev.request.Ledger)
	if err != nil {
		return 0, err
	}
	commits, err := ev.git.out(ctx, "rev-list", tip, "--")
	if err != nil {
		return 0, err
	}
	var asked bytes.Buffer
	hashes := strings.Fields(string(commits))
	for _, commit := range hashes {
		asked.WriteString(commit + ":" + path + "\n")
	}
	res, err := ev.git.git(ctx, asked.Bytes(), "cat-file", "--batch-check")
	if err != nil {
		return 0, err
	}
	lines := strings.Split(strings.TrimSuffix(string(res.Stdout), "\n"), "\n")
	if len(lines) != len(hashes) {
		return 0, fmt.Errorf("git returned %d versions of %d", len(lines), len(hashes))
	}
	held, good := 0, map[string]bool{}
	for n, line := range lines {
		if line == hashes[n]+":"+path+" missing" {
			if hashes[n] == tip {
				return 0, fmt.Errorf("%s is not in %s", path, ref)
			}
			continue
		}
		var hash, kind string
		var size int
		if _, err := fmt.Sscanf(line, "%s %s %d", &hash, &kind, &size); err != nil || !isHash(hash) {
			return 0, fmt.Errorf("git returned %q for %s in the commit %s", line, path, short(hashes[n]))
		}
		held++
		if good[hash] {
			continue
		}
		// A version need not be read: its hash is compared with that of the ledger up to its length.
		switch {
		case kind != "blob":
			return 0, fmt.Errorf("%s is not a file in the commit %s", path, short(hashes[n]))
		case size > len(now) || objectHash("blob", now[:size], len(hash)) != hash:
			return 0, fmt.Errorf("the version in the commit %s is not the beginning of the ledger: records were removed or changed; "+
				"see `git log -p %s -- %s`", short(hashes[n]), ref, path)
		}
		good[hash] = true
	}
	if held == 0 {
		return 0, errors.New("no commit holds a version")
	}
	return held, nil
}
