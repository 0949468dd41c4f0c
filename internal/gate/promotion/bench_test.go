// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/evidence"
)

// large is a lab whose range is 1,000 commits that touch 10,000 files, of
// which each tenth commit is a merge.
func large(b *testing.B) *lab {
	b.Helper()
	const commits, each = 1000, 10
	l := newLab(b)
	var in bytes.Buffer
	blob := func(path, text string) { fmt.Fprintf(&in, "M 100644 inline %s\ndata %d\n%s\n", path, len(text), text) }
	head := l.base
	now := time.Now().Unix()
	for n := range commits {
		fmt.Fprintf(&in, "commit refs/heads/main\nmark :%d\ncommitter t <t@example.org> %d +0000\ndata 6\nChange\nfrom %s\n", n+1, now-int64(commits-n), head)
		if n%10 == 9 {
			fmt.Fprintf(&in, "merge :%d\n", n-3)
		}
		for m := range each {
			file := n*each + m
			blob(fmt.Sprintf("roles/role%d/tasks/part%d/file%d.yml", file%97, file%13, file), fmt.Sprintf("- name: Task %d\n", file))
		}
		head = fmt.Sprintf(":%d", n+1)
	}
	cmd := exec.Command("git", "-C", l.repo, "fast-import", "--quiet", "--force")
	cmd.Stdin = &in
	out, err := cmd.CombinedOutput()
	require.NoError(b, err, string(out))
	l.git("reset", "-q", "--hard", "main")
	l.evidence()
	return l
}

func BenchmarkEvaluate1000CommitsAnd10000Files(b *testing.B) {
	l := large(b)
	report := l.evaluate()
	require.Equal(b, evidence.Green, report.Verdict, report.Findings)
	require.Len(b, report.Files, 10_000)
	require.Equal(b, 1000, report.Commits)
	for b.Loop() {
		l.evaluate()
	}
}

func BenchmarkExport10000Files(b *testing.B) {
	l := large(b)
	tree := l.git("rev-parse", "HEAD^{tree}")
	n := 0
	for b.Loop() {
		n++
		require.NoError(b, l.gate.export(b.Context(), l.repo, tree, filepath.Join(l.dir, fmt.Sprintf("out%d", n))))
	}
}
