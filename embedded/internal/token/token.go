// SPDX-License-Identifier: GPL-3.0-or-later

// Package token reads and writes the token that nodes join with, in k3s's form:
//
//	K10<SHA-256 of the CA's PEM file, hexadecimal>::<user>:<password>
//
// or the password alone, which pins no CA. A token that `k3s token create` made
// has ID.SECRET in place of user and password.
package token

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode"

	bootstrap "k8s.io/cluster-bootstrap/token/util"
)

// User is the user part of a server's token.
const User = "server"

const prefix = "K10"

// Token is a token in parts.
type Token struct {
	CAHash   string // lower-case hexadecimal SHA-256; empty if no CA is pinned
	Password string // what a client presents
}

// Parse reads either form.
func Parse(text string) (Token, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Token{}, errors.New("the token is empty")
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r == '"' || r == ',' || unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return Token{}, errors.New("the token holds a blank, a control character, a comma or a quote")
	}
	rest, full := strings.CutPrefix(text, prefix)
	if !full || !strings.Contains(rest, "::") {
		return Token{Password: text}, nil
	}
	hash, credentials, _ := strings.Cut(rest, "::")
	if raw, err := hex.DecodeString(hash); err != nil || len(raw) != sha256.Size {
		return Token{}, fmt.Errorf("the token's CA hash has %d characters and must be the %d of a hexadecimal SHA-256", len(hash), 2*sha256.Size)
	}
	if bootstrap.IsValidBootstrapToken(credentials) {
		return Token{CAHash: strings.ToLower(hash), Password: credentials}, nil
	}
	user, password, ok := strings.Cut(credentials, ":")
	if !ok || password == "" || user == "" {
		return Token{}, errors.New("the token has no user:password after ::")
	}
	return Token{CAHash: strings.ToLower(hash), Password: password}, nil
}

// Hash is the hash that a token pins a CA by: of its certificate file, PEM.
func Hash(ca []byte) string {
	sum := sha256.Sum256(ca)
	return hex.EncodeToString(sum[:])
}

// String is the token in full, or the password alone if no CA is pinned.
func (t Token) String() string {
	if t.CAHash == "" {
		return t.Password
	}
	if bootstrap.IsValidBootstrapToken(t.Password) {
		return prefix + t.CAHash + "::" + t.Password
	}
	return prefix + t.CAHash + "::" + User + ":" + t.Password
}
