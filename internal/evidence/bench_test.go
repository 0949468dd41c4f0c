// SPDX-License-Identifier: GPL-3.0-or-later

package evidence

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// long is a ledger of 100,000 records.
func long(b *testing.B, sign Signer) *Ledger {
	b.Helper()
	const records = 100_000
	l := book(b, 1, sign)
	entries, err := Read(l.Path)
	require.NoError(b, err)
	entry := entries[0]
	var text strings.Builder
	// One signature stands in for all: it is read and checked like any other.
	same := func() Signer {
		if sign == nil {
			return nil
		}
		return func(context.Context, []byte) (string, error) { return entries[0].Signature, nil }
	}()
	previous := ""
	for n := range records {
		entry.Sequence, entry.Previous, entry.Signature = n+1, previous, ""
		raw, err := seal(b.Context(), &entry, same)
		require.NoError(b, err)
		previous = entry.Hash
		text.Write(raw)
	}
	require.NoError(b, os.WriteFile(l.Path, []byte(text.String()), 0o600))
	for _, path := range l.heads() {
		require.NoError(b, writeHead(path, Head{Sequence: records, Hash: previous}))
	}
	return l
}

func BenchmarkAppendTo100000Records(b *testing.B) {
	l := long(b, nil)
	for b.Loop() {
		_, err := l.Append(b.Context(), sample(1), nil)
		require.NoError(b, err)
	}
}

func BenchmarkAppendSignedTo100000Records(b *testing.B) {
	sign, _ := keys(b, "ed25519")
	l := long(b, nil)
	for b.Loop() {
		_, err := l.Append(b.Context(), sample(1), sign)
		require.NoError(b, err)
	}
}

func BenchmarkVerify100000Records(b *testing.B) {
	l := long(b, nil)
	for b.Loop() {
		result, err := l.Verify(b.Context(), Check{})
		require.NoError(b, err)
		require.Empty(b, result.Problems)
	}
}

func BenchmarkVerify100000SignedRecords(b *testing.B) {
	sign, public := keys(b, "ed25519")
	l := long(b, sign)
	allowed, err := ParseAllowed([]byte("ops " + public))
	require.NoError(b, err)
	for b.Loop() {
		_, err := l.Verify(b.Context(), Check{Allowed: allowed})
		require.NoError(b, err)
	}
}
