// SPDX-License-Identifier: GPL-3.0-or-later

package oneline

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestJoin(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "a b c d", Join(" a\nb\r\n\tc  d\n"))
	assert.Empty(t, Join(" \n"))
}

func TestCutKeepsWholeCharacters(t *testing.T) {
	t.Parallel()
	for most, want := range map[int]string{0: "…", 1: "a…", 2: "a…", 3: "aé…", 4: "aéb"} {
		assert.Equal(t, want, Cut("aéb", most), most)
	}
}
