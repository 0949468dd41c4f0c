// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/evidence"
)

// granted is a lab whose change is green, and the grant of it.
func granted(t *testing.T) (*lab, string) {
	t.Helper()
	l := newLab(t)
	l.change("playbooks/site.yml")
	l.evidence()
	path := filepath.Join(l.dir, "grant.json")
	_, err := l.gate.Grant(path, l.request, l.evaluate())
	require.NoError(t, err)
	return l, path
}

func never(string) (bool, error) { return false, nil }

func TestAGrantIsValidOnceAndNamesThePromotedTree(t *testing.T) {
	t.Parallel()
	l, path := granted(t)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	grant, err := l.gate.Redeem(context.Background(), path, never)
	require.NoError(t, err)
	assert.Equal(t, l.git("rev-parse", "HEAD^{tree}"), grant.Tree)
	assert.Equal(t, l.git("rev-parse", "HEAD"), grant.Request.Head, "whatever HEAD is later")
	assert.Len(t, grant.Records, 1)
	assert.Equal(t, 3, grant.LedgerHead.Sequence)
	_, err = l.gate.Redeem(context.Background(), path, never)
	assert.ErrorContains(t, err, "does not exist")
	left, err := filepath.Glob(path + "*")
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestOneOfTwoConcurrentRunsGetsTheGrant(t *testing.T) {
	t.Parallel()
	l, path := granted(t)
	var got atomic.Int32
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, err := l.gate.Redeem(context.Background(), path, never); err == nil {
				got.Add(1)
			}
		})
	}
	all.Wait()
	assert.Equal(t, int32(1), got.Load())
}

func TestAnInvalidGrantIsRemovedAndRefused(t *testing.T) {
	t.Parallel()
	edit := func(change func(*Grant)) func(*lab, string) {
		return func(l *lab, path string) {
			var g Grant
			data, err := os.ReadFile(path)
			require.NoError(l.t, err)
			require.NoError(l.t, json.Unmarshal(data, &g))
			change(&g)
			data, err = json.Marshal(g)
			require.NoError(l.t, err)
			l.put(path, string(data))
		}
	}
	// sealed is an edit by somebody who computes the digest anew.
	sealed := func(change func(*Grant)) func(*lab, string) {
		return edit(func(g *Grant) {
			change(g)
			g.Digest, _ = g.digest()
		})
	}
	for name, c := range map[string]struct {
		do   func(*lab, string)
		says string
	}{
		"another tree written in":    {edit(func(g *Grant) { g.Tree = strings.Repeat("1", 40) }), "was changed since it was written"},
		"a longer life written in":   {edit(func(g *Grant) { g.Expires = g.Expires.Add(time.Hour) }), "was changed since it was written"},
		"another tree, and sealed":   {sealed(func(g *Grant) { g.Tree = strings.Repeat("1", 40) }), "is for another tree"},
		"another head, and sealed":   {sealed(func(g *Grant) { g.Request.Head = g.Base }), "does not hold any more"},
		"a longer life, and sealed":  {sealed(func(g *Grant) { g.Expires = g.Expires.Add(time.Hour) }), "valid until"},
		"a later begin, and sealed":  {sealed(func(g *Grant) { g.Granted, g.Expires = g.Granted.Add(time.Hour), g.Expires.Add(time.Hour) }), "is from the future"},
		"another policy, and sealed": {sealed(func(g *Grant) { g.Policies[0].SHA256 = strings.Repeat("1", 64) }), "by another policy"},
		"another ledger, and sealed": {sealed(func(g *Grant) { g.LedgerHead.Hash = strings.Repeat("1", 64) }), "does not hold any more: the ledger cannot be trusted"},
		"another boundary, and seal": {sealed(func(g *Grant) { g.Boundary = strings.Repeat("1", 64) }), "with another boundary manifest"},
		"a key that is not known":    {func(l *lab, path string) { l.put(path, `{"colour": "red"}`) }, "cannot be read"},
		"nothing in it":              {func(l *lab, path string) { l.put(path, "") }, "cannot be read"},
		"a mode for others":          {func(l *lab, path string) { require.NoError(l.t, os.Chmod(path, 0o640)) }, "other users may have changed it"},
		"a link": {func(l *lab, path string) {
			require.NoError(l.t, errors.Join(os.Rename(path, path+".x"), os.Symlink(path+".x", path)))
		}, "cannot be read"},
		"a folder":                    {func(l *lab, path string) { require.NoError(l.t, errors.Join(os.Remove(path), os.Mkdir(path, 0o700))) }, "not a regular file of at most 1 MiB"},
		"a quarter of an hour later":  {func(l *lab, _ string) { l.gate.Now = func() time.Time { return time.Now().Add(grantLifetime) } }, "valid until"},
		"a clock set back":            {func(l *lab, _ string) { l.gate.Now = func() time.Time { return time.Now().Add(-time.Hour) } }, "is from the future"},
		"a red run since":             {func(l *lab, _ string) { l.record("idempotence_gate", of(evidence.Red)) }, "does not hold any more: idempotence_gate is missing"},
		"a ledger cut since":          {func(l *lab, _ string) { l.put(l.request.Ledger, l.lines()[:2]...) }, "does not hold any more: the ledger cannot be trusted"},
		"a ledger written anew since": {func(l *lab, _ string) { e := l.entries(); e[0].Summary = "Another"; l.anew(e...) }, "does not hold any more: the ledger cannot be trusted"},
		"a boundary changed since":    {func(l *lab, _ string) { l.put(l.request.Boundary, boundaryText+"# Otherwise\n") }, "does not hold any more: idempotence_gate is missing"},
		"a repository that went":      {func(l *lab, _ string) { require.NoError(l.t, os.RemoveAll(l.repo)) }, "does not hold any more"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, path := granted(t)
			c.do(l, path)
			_, err := l.gate.Redeem(context.Background(), path, never)
			require.ErrorContains(t, err, c.says)
			assert.NoFileExists(t, path)
		})
	}
	t.Run("a copy of one that was used", func(t *testing.T) {
		t.Parallel()
		l, path := granted(t)
		_, err := l.gate.Redeem(context.Background(), path, func(string) (bool, error) { return true, nil })
		assert.ErrorContains(t, err, "was used before")
		l, path = granted(t)
		_, err = l.gate.Redeem(context.Background(), path, func(string) (bool, error) { return false, errors.New("the log is torn") })
		assert.ErrorContains(t, err, "may have been used before")
	})
}

func TestRedGetsNoGrant(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.change("playbooks/site.yml")
	path := filepath.Join(l.dir, "grant.json")
	_, err := l.gate.Grant(path, l.request, l.evaluate())
	require.ErrorContains(t, err, "not green")
	assert.NoFileExists(t, path)
}
