// SPDX-License-Identifier: GPL-3.0-or-later

package run

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestQuoteGivesBackTheSameWordThroughARealShell(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"plain", "", "two words", "it's", "$HOME", "a\nb", "*", `back\slash`, "ünïcode"} {
		res, err := Exec{}.Run(t.Context(), Cmd{Name: "sh", Args: []string{"-c", "printf %s " + Quote(word)}})
		require.NoError(t, err)
		assert.Equal(t, word, string(res.Stdout))
	}
}

func TestAnErrorNamesTheCommandTheCauseAndTheLastLinePrinted(t *testing.T) {
	t.Parallel()
	res, err := Exec{}.Run(t.Context(), Cmd{Name: "sh", Args: []string{"-c", "echo first >&2; echo second >&2; exit 3"}})
	assert.Equal(t, 3, res.Code)
	require.EqualError(t, err, "command `sh -c 'echo first >&2; echo second >&2; exit 3'` failed: exit status 3: second")
}

func TestAMissingProgramIsDistinguished(t *testing.T) {
	t.Parallel()
	_, err := Exec{}.Run(t.Context(), Cmd{Name: "no-such-program-anywhere"})
	require.Error(t, err)
	assert.True(t, NotFound(err))
}

func TestAContextThatEndsStopsTheCommand(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := Exec{}.Run(ctx, Cmd{Name: "sleep", Args: []string{"60"}})
	require.Error(t, err)
	assert.True(t, errors.Is(err, context.DeadlineExceeded))
}
