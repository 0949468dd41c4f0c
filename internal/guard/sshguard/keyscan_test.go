// SPDX-License-Identifier: GPL-3.0-or-later

package sshguard

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAScanOfKeysAsksTheAddressesThatWereChecked(t *testing.T) {
	t.Parallel()
	words, input, err := Keyscan(t.Context(), only{"node": "172.30.0.11", "other": "172.30.0.12"}, strings.Fields("-t ed25519 -p 2222 -H node other"))
	require.NoError(t, err)
	assert.Equal(t, strings.Fields("-t ed25519 -p 2222 -H -f -"), words)
	assert.Equal(t, "172.30.0.11 node\n172.30.0.12 other\n", input)

	words, input, err = Keyscan(t.Context(), only{}, nil)
	require.NoError(t, err)
	assert.Empty(t, words, "it says itself how it is used")
	assert.Empty(t, input)

	for name, c := range map[string]struct{ args, says string }{
		"production":                           {"192.168.1.201", "192.168.1.201"},
		"production beside a machine":          {"node 192.168.1.201", "192.168.1.201"},
		"a file of hosts":                      {"-f hosts", "name them on the command line"},
		"the standard input":                   {"-f - node", "name them on the command line"},
		"several in one word":                  {"node,192.168.1.201", "name each by itself"},
		"a block":                              {"192.168.1.0/24", "name each by itself"},
		"a port that is none":                  {"-p ssh node", "must be 1-65535"},
		"an option that OpenSSH does not have": {"-Z node", "unknown, so the guard"},
	} {
		words, input, err := Keyscan(t.Context(), only{"node": "172.30.0.11"}, strings.Fields(c.args))
		require.ErrorContains(t, err, c.says, name)
		assert.Empty(t, words)
		assert.Empty(t, input)
	}
}
