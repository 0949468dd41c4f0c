// SPDX-License-Identifier: GPL-3.0-or-later

package evidence

import (
	"context"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/base64"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
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
	previous := ""
	for n := range records {
		entry.Sequence, entry.Previous, entry.Signature = n+1, previous, ""
		raw, err := seal(b.Context(), &entry, sign)
		require.NoError(b, err)
		previous = entry.Hash
		text.Write(raw)
	}
	require.NoError(b, os.WriteFile(l.Path, []byte(text.String()), 0o600))
	for _, path := range l.heads() {
		require.NoError(b, writeHead(path, headFile{Head: Head{Sequence: records, Hash: previous}}))
	}
	return l
}

// held is an Ed25519 key in this process: ssh-keygen would take a minute for so many.
func held(b *testing.B) (Signer, string) {
	b.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(b, err)
	key, err := ssh.NewPublicKey(public)
	require.NoError(b, err)
	return func(_ context.Context, body []byte) (string, error) {
		digest := sha512.Sum512(body)
		data := ssh.Marshal(signed{Magic: [6]byte([]byte(magic)), Namespace: Namespace, Hash: "sha512", Digest: digest[:]})
		return base64.StdEncoding.EncodeToString(ssh.Marshal(signature{
			Magic: [6]byte([]byte(magic)), Version: 1, PublicKey: key.Marshal(), Namespace: Namespace, Hash: "sha512",
			Signature: ssh.Marshal(ssh.Signature{Format: ssh.KeyAlgoED25519, Blob: ed25519.Sign(private, data)}),
		})), nil
	}, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func BenchmarkAppendTo100000Records(b *testing.B) {
	l := long(b, nil)
	_, err := l.Append(b.Context(), sample(1), nil) // verifies; the others find what it left
	require.NoError(b, err)
	for b.Loop() {
		_, err := l.Append(b.Context(), sample(1), nil)
		require.NoError(b, err)
	}
}

func BenchmarkAppendSignedTo100000Records(b *testing.B) {
	sign, _ := keys(b, "ed25519")
	l := long(b, nil)
	_, err := l.Append(b.Context(), sample(1), sign)
	require.NoError(b, err)
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
	sign, public := held(b)
	l := long(b, sign)
	allowed, err := ParseAllowed([]byte("ops " + public))
	require.NoError(b, err)
	for b.Loop() {
		result, err := l.Verify(b.Context(), Check{Allowed: allowed})
		require.NoError(b, err)
		require.Empty(b, result.Problems)
	}
}
