// SPDX-License-Identifier: GPL-3.0-or-later

package override

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/atomicfile"
)

func tokenFile(state string) string { return filepath.Join(state, "override-token") }

func hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// NewToken returns a token for one override. The file in state has only its hash and the time.
func NewToken(state string) (string, error) {
	secret := make([]byte, 16)
	if _, err := rand.Read(secret); err != nil {
		return "", fmt.Errorf("override token: %w", err)
	}
	token := hex.EncodeToString(secret)
	line := hash(token) + " " + time.Now().UTC().Format(time.RFC3339) + "\n"
	if err := atomicfile.Write(tokenFile(state), []byte(line), 0o600); err != nil {
		return "", fmt.Errorf("override token: %w", err)
	}
	return token, nil
}

// spendToken uses a token up. It is valid once, and for the given time.
func spendToken(state, token string, expiry time.Duration, now time.Time) error {
	file := tokenFile(state)
	data, err := os.ReadFile(file)
	if err != nil {
		return errors.New("none has been made")
	}
	want, made, _ := strings.Cut(strings.TrimSpace(string(data)), " ")
	since, err := time.Parse(time.RFC3339, made)
	switch {
	case err != nil:
		return fmt.Errorf("%s: cannot be read", file)
	case subtle.ConstantTimeCompare([]byte(want), []byte(hash(token))) != 1:
		return errors.New("this is not the one that was made last")
	case now.Sub(since) > expiry || now.Before(since.Add(-time.Minute)):
		return fmt.Errorf("it was made at %s and is valid for %s", made, expiry)
	}
	if err := os.Remove(file); err != nil {
		return fmt.Errorf("%s: cannot be removed", file)
	}
	return nil
}
