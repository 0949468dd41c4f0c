// SPDX-License-Identifier: GPL-3.0-or-later

package digest

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestItIsWhatTheStandardLibraryComputes(t *testing.T) {
	t.Parallel()
	for length := range 300 {
		data := bytes.Repeat([]byte{byte(length), 0xff, 0}, length)[:length]
		assert.Equal(t, sha256.Sum256(data), SHA256(data), length)
	}
}

func FuzzSHA256(f *testing.F) {
	f.Add([]byte("abc"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if SHA256(data) != sha256.Sum256(data) {
			t.Fatalf("%x", data)
		}
	})
}
