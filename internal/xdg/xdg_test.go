// SPDX-License-Identifier: GPL-3.0-or-later

package xdg

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestFolders(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env          map[string]string
		state, cache string
		fails        bool
	}{
		"a home":                           {map[string]string{"HOME": "/home/a"}, "/home/a/.local/state/arcodange-sandbox", "/home/a/.cache/arcodange-sandbox", false},
		"folders of the user's own choice": {map[string]string{"HOME": "/home/a", "XDG_STATE_HOME": "/s", "XDG_CACHE_HOME": "/c"}, "/s/arcodange-sandbox", "/c/arcodange-sandbox", false},
		"folders and no home":              {map[string]string{"XDG_STATE_HOME": "/s", "XDG_CACHE_HOME": "/c"}, "/s/arcodange-sandbox", "/c/arcodange-sandbox", false},
		"a relative choice":                {map[string]string{"HOME": "/home/a", "XDG_STATE_HOME": "s", "XDG_CACHE_HOME": "c"}, "/home/a/.local/state/arcodange-sandbox", "/home/a/.cache/arcodange-sandbox", false},
		"a relative home":                  {map[string]string{"HOME": "a"}, "", "", true},
		"nothing":                          {nil, "", "", true},
	} {
		getenv := func(name string) string { return c.env[name] }
		state, stateErr := State(getenv)
		cache, cacheErr := Cache(getenv)
		assert.Equal(t, c.state, state, name)
		assert.Equal(t, c.cache, cache, name)
		assert.Equal(t, c.fails, stateErr != nil, name)
		assert.Equal(t, c.fails, cacheErr != nil, name)
	}
}
