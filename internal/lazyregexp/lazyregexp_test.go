// SPDX-License-Identifier: GPL-3.0-or-later

package lazyregexp

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAnExpressionIsCompiledWhenItIsUsed(t *testing.T) {
	t.Parallel()
	broken := New("(")
	assert.Panics(t, func() { broken.MatchString("x") })
	assert.Panics(t, func() { broken.MatchString("x") }, "and every time")

	number := New(`(\d)\d*`)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			assert.True(t, number.MatchString("a 12"))
			assert.True(t, number.Match([]byte("12")))
			assert.Equal(t, "12", number.FindString("a 12 34"))
			assert.Equal(t, []string{"12", "1"}, number.FindStringSubmatch("a 12"))
			assert.Equal(t, []string{"12", "34"}, number.FindAllString("12 34 5", 2))
			assert.Equal(t, "<1> <3>", number.ReplaceAllString("12 34", "<$1>"))
			assert.Equal(t, "1212 3434", number.ReplaceAllStringFunc("12 34", func(s string) string { return s + s }))
		})
	}
	wait.Wait()
}
