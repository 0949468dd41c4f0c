// SPDX-License-Identifier: GPL-3.0-or-later

package token

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var hash = strings.Repeat("0a", 32)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		want       Token
		says       string
	}{
		{name: "the full form pins the CA", text: "K10" + hash + "::server:secret", want: Token{hash, "secret"}},
		{name: "another user of k3s's is as good", text: "K10" + hash + "::node:secret", want: Token{hash, "secret"}},
		{name: "an upper-case hash is the same hash", text: "K10" + strings.ToUpper(hash) + "::server:secret", want: Token{hash, "secret"}},
		{name: "a password may hold colons", text: "K10" + hash + "::server:a:b::c", want: Token{hash, "a:b::c"}},
		{name: "a short token is a password and pins nothing", text: "secret", want: Token{Password: "secret"}},
		{name: "a short token that begins like a long one is a password", text: "K10secret", want: Token{Password: "K10secret"}},
		{name: "the line break of the token file is not the token's", text: " secret\n", want: Token{Password: "secret"}},
		{name: "nothing is no token", text: " \n", says: "empty"},
		{name: "a hash that was cut is refused with its length", text: "K10" + hash[1:] + "::server:secret", says: "has 63 characters and must be the 64"},
		{name: "a hash that is none is refused", text: "K10" + strings.Repeat("x", 64) + "::server:secret", says: "hexadecimal SHA-256"},
		{name: "a long form without a password is refused", text: "K10" + hash + "::server:", says: "no user:password"},
		{name: "a long form without a user is refused", text: "K10" + hash + "::secret", says: "no user:password"},
		{name: "two lines are refused, which the server's file of passwords could not hold", text: "one\ntwo", says: "blank"},
		{name: "a comma is refused for the same reason", text: "one,two", says: "comma"},
		{name: "a form feed is refused for the same reason", text: "one\ftwo", says: "blank"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse(c.text)
			if c.says != "" {
				require.ErrorContains(t, err, c.says)
				assert.NotContains(t, err.Error(), "secret")
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
		})
	}
}

func TestHashIsK3sOfTheFile(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", Hash([]byte("abc")))
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "secret", "K10", "K10::", "K10" + hash + "::server:secret", "K10" + hash + "::server:a:b", "a b", "a\"", "é", "a\x00b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := Parse(text)
		if err != nil {
			return
		}
		assert.NotEmpty(t, parsed.Password)
		assert.NotContains(t, parsed.Password, "\n")
		again, err := Parse(parsed.String())
		require.NoError(t, err, "what was read can be written and read")
		assert.Equal(t, parsed, again)
	})
}
