// SPDX-License-Identifier: GPL-3.0-or-later

package ansible

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The values here were given by AnsibleModule; tests/protocol asks it again, and about many more.
func TestScalarsAreReadInBothSpellings(t *testing.T) {
	t.Setenv("HOME", "/home/x")
	t.Setenv("SET", "value")
	for _, c := range []struct {
		t     Type
		given string // JSON
		want  string // JSON; empty means refused
	}{
		{Str, `5`, `"5"`}, {Str, `1.0`, `"1.0"`}, {Str, `1e16`, `"1e+16"`}, {Str, `true`, `"True"`}, {Str, `null`, `""`},
		{Str, `{"b": [1, "it's", null]}`, `"{'b': [1, \"it's\", None]}"`},
		{Int, `"5"`, `5`}, {Int, `" 5 "`, `5`}, {Int, `"5.0"`, `5`}, {Int, `"1e3"`, `1000`}, {Int, `2.0`, `2`}, {Int, `true`, `1`},
		{Int, `"123456789012345678901234567890"`, `123456789012345678901234567890`}, {Int, `"5.5"`, ``}, {Int, `""`, ``}, {Int, `null`, ``},
		{Float, `"2.5"`, `2.5`}, {Float, `" .5 "`, `0.5`}, {Float, `3`, `3`}, {Float, `"nan"`, ``}, {Float, `[]`, ``},
		{Bool, `"yes"`, `true`}, {Bool, `" Off "`, `false`}, {Bool, `1`, `true`}, {Bool, `0.0`, `false`}, {Bool, `2`, ``}, {Bool, `"perhaps"`, ``},
		{Path, `"~/x"`, `"/home/x/x"`}, {Path, `"$SET/${SET}/$UNSET_"`, `"value/value/$UNSET_"`}, {Path, `"~nosuchuser/x"`, `"~nosuchuser/x"`},
		{List, `"a,b"`, `["a","b"]`}, {List, `""`, `[""]`}, {List, `5`, `["5"]`}, {List, `{}`, ``}, {List, `null`, ``},
		{Dict, `"a=1, b='x y'"`, `{"a":"1","b":"x y"}`}, {Dict, `"{\"a\": 1}"`, `{"a":1}`}, {Dict, `"{'a': True}"`, ``}, {Dict, `"a"`, ``}, {Dict, `[]`, ``},
		{Bytes, `"1.5K"`, `1536`}, {Bytes, `"2 GB"`, `2147483648`}, {Bytes, `"2.5"`, `2`}, {Bytes, `7`, `7`}, {Bytes, `"2Gb"`, ``}, {Bytes, `"2X"`, ``},
		{Raw, `[null]`, `[null]`},
	} {
		given, err := parseJSON([]byte(c.given), false)
		require.NoError(t, err)
		got, err := coerce(c.t, given)
		if c.want == "" {
			assert.Error(t, err, "%s %s", c.t, c.given)
			continue
		}
		require.NoError(t, err, "%s %s", c.t, c.given)
		written, err := jsonBytes(got)
		require.NoError(t, err)
		assert.Equal(t, c.want, string(written), "%s %s", c.t, c.given)
	}
}
