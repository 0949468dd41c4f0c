// SPDX-License-Identifier: GPL-3.0-or-later

package override

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/boundary"
)

func TestATokenExpires(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	token, err := NewToken(state)
	require.NoError(t, err)
	assert.ErrorContains(t, spendToken(state, token, time.Minute, time.Now().Add(2*time.Minute)), "is valid for")
	assert.ErrorContains(t, spendToken(state, token, time.Minute, time.Now().Add(-2*time.Minute)), "is valid for")
	assert.NoError(t, spendToken(state, token, time.Minute, time.Now().Add(30*time.Second)))
}

func TestAUsedGrantIsInTheLog(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "overrides.log")
	used, err := grantUsed(log, "one")
	require.NoError(t, err)
	assert.False(t, used, "no override was ever granted")
	require.NoError(t, entry{User: "me"}.append(log))
	require.NoError(t, entry{Grant: "one"}.append(log))
	for id, want := range map[string]bool{"one": true, "two": false} {
		used, err := grantUsed(log, id)
		require.NoError(t, err)
		assert.Equal(t, want, used, id)
	}
	require.NoError(t, os.WriteFile(log, []byte("{\n"), 0o600))
	_, err = grantUsed(log, "two")
	assert.ErrorContains(t, err, "cannot be read", "a log that cannot be read is refused")
}

func TestAFileThatChangesTheOverrideIsRefusedBeforeATokenIsSpent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		request Request
		refusal string
	}{
		"no later file":            {Request{Value: json.RawMessage("true"), CommandLine: true}, ""},
		"a file with the same":     {Request{Value: json.RawMessage("true"), CommandLine: true, LaterFiles: []string{"a.yml"}, Effective: json.RawMessage("true")}, ""},
		"a file with false":        {Request{Value: json.RawMessage("true"), CommandLine: true, LaterFiles: []string{"a.yml"}, Effective: json.RawMessage("false")}, "with another value in a file"},
		"a file with 1":            {Request{Value: json.RawMessage("true"), CommandLine: true, LaterFiles: []string{"a.yml"}, Effective: json.RawMessage("1")}, "with another value in a file"},
		"a file without the value": {Request{Value: json.RawMessage("true"), CommandLine: true, LaterFiles: []string{"a.yml"}}, "with another value in a file"},
		"a file that is encrypted": {Request{Value: json.RawMessage("true"), CommandLine: true, LaterFiles: []string{"a.yml"}, Problem: "no vault secrets"}, "before a.yml, which may change it and cannot be read yet (no vault secrets)"},
		"only in a file":           {Request{Value: json.RawMessage("true"), Origin: "a file of variables"}, "comes from a file of variables"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			state := t.TempDir()
			token, err := NewToken(state)
			require.NoError(t, err)
			c.request.Token = token
			got := c.request.refusal(boundary.Policy{TokenExpiry: time.Minute}, state, time.Now())
			if c.refusal == "" {
				assert.Empty(t, got)
				return
			}
			assert.Contains(t, got, c.refusal)
			assert.FileExists(t, tokenFile(state), "the token is unused")
		})
	}
}
