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

// past holds the ledger against all versions of it that a branch ever had, by
// whatever side they were merged. Each has to be the beginning of what is
// there now: so nothing that stood in one was cut, changed or put elsewhere
// since, though every signature in what is left is good. It returns how many
// commits hold one.
func (j *judging) past(ctx context.Context) (int, error) {
	ref, path, named := strings.Cut(j.q.LedgerHistory, ":")
	if !named || ref == "" || path == "" || strings.ContainsAny(path, "\n\x00") {
		return 0, fmt.Errorf("%q is not a branch and a path in it: write it as refs/remotes/origin/evidence:ledger.jsonl", j.q.LedgerHistory)
	}
	tip, err := j.git.commit(ctx, ref)
	if err != nil {
		return 0, err
	}
	now, err := os.ReadFile(j.q.Ledger)
	if err != nil {
		return 0, err
	}
	commits, err := j.git.out(ctx, "rev-list", tip, "--")
	if err != nil {
		return 0, err
	}
	var asked bytes.Buffer
	hashes := strings.Fields(string(commits))
	for _, commit := range hashes {
		asked.WriteString(commit + ":" + path + "\n")
	}
	res, err := j.git.git(ctx, asked.Bytes(), "cat-file", "--batch-check")
	if err != nil {
		return 0, err
	}
	lines := strings.Split(strings.TrimSuffix(string(res.Stdout), "\n"), "\n")
	if len(lines) != len(hashes) {
		return 0, fmt.Errorf("git tells of %d versions, and was asked about %d", len(lines), len(hashes))
	}
	held, good := 0, map[string]bool{}
	for n, line := range lines {
		if line == hashes[n]+":"+path+" missing" {
			if hashes[n] == tip {
				return 0, fmt.Errorf("%s is not there in %s", path, ref)
			}
			continue
		}
		var hash, kind string
		var size int
		if _, err := fmt.Sscanf(line, "%s %s %d", &hash, &kind, &size); err != nil || !isHash(hash) {
			return 0, fmt.Errorf("git says %q of %s in the commit %s", line, path, short(hashes[n]))
		}
		held++
		if good[hash] {
			continue
		}
		// A version is known by its hash, so it need not be read: what is there now is hashed as far as that one went.
		switch {
		case kind != "blob":
			return 0, fmt.Errorf("%s is no file in the commit %s", path, short(hashes[n]))
		case size > len(now) || objectHash("blob", now[:size], len(hash)) != hash:
			return 0, fmt.Errorf("the version in the commit %s is not how the ledger begins now: records were taken out or changed since; "+
				"see `git log -p %s -- %s`", short(hashes[n]), ref, path)
		}
		good[hash] = true
	}
	if held == 0 {
		return 0, errors.New("no commit holds a version")
	}
	return held, nil
}
