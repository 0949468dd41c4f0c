// SPDX-License-Identifier: GPL-3.0-or-later

package evidence

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha512"

	"filippo.io/edwards25519"
	"golang.org/x/crypto/ssh"
)

// together tells whether all claims are true. False says that one of them may
// not be.
//
// Ed25519 signatures are checked by one equation for all of them, each weighted
// by a random number that a forger cannot know: 8·(Σ zs·B − Σ z·R − Σ zk·A) = 0.
// It costs a third of checking each. What it lets through beyond that, only the
// holder of the key could have made. Other kinds of keys are checked one by one.
func together(claims map[int]claim) bool {
	zero := edwards25519.NewScalar()
	base := edwards25519.NewScalar()
	keys := map[string]*edwards25519.Scalar{} // Σ zk of each key
	var scalars []*edwards25519.Scalar
	var points []*edwards25519.Point
	weights := make([]byte, 16*len(claims))
	rand.Read(weights)
	for _, c := range claims {
		key, ok := plainEd25519(c)
		if !ok {
			if c.made() != nil {
				return false
			}
			continue
		}
		r, err := new(edwards25519.Point).SetBytes(c.sig.Blob[:32])
		if err != nil || !canonical(c.sig.Blob[:32]) {
			return false
		}
		s, err := edwards25519.NewScalar().SetCanonicalBytes(c.sig.Blob[32:])
		if err != nil {
			return false
		}
		var wide [32]byte
		copy(wide[:16], weights)
		weights = weights[16:]
		z, err := edwards25519.NewScalar().SetCanonicalBytes(wide[:])
		if err != nil {
			return false
		}
		h := sha512.New()
		h.Write(c.sig.Blob[:32])
		h.Write(key)
		h.Write(c.data)
		k, err := edwards25519.NewScalar().SetUniformBytes(h.Sum(nil))
		if err != nil {
			return false
		}
		base.MultiplyAdd(z, s, base)
		sum := keys[string(key)]
		if sum == nil {
			sum = edwards25519.NewScalar()
			keys[string(key)] = sum
		}
		sum.MultiplyAdd(z, k, sum)
		// Of the points, not of the weights: a short number has a short form, and its negative has not.
		scalars, points = append(scalars, z), append(points, r.Negate(r))
	}
	if len(points) == 0 {
		return true
	}
	for key, sum := range keys {
		a, err := new(edwards25519.Point).SetBytes([]byte(key))
		if err != nil {
			return false
		}
		scalars, points = append(scalars, sum.Subtract(zero, sum)), append(points, a)
	}
	scalars, points = append(scalars, base), append(points, edwards25519.NewGeneratorPoint())
	result := new(edwards25519.Point).VarTimeMultiScalarMult(scalars, points)
	return result.MultByCofactor(result).Equal(edwards25519.NewIdentityPoint()) == 1
}

// plainEd25519 is the public key of a claim that can be checked with others.
func plainEd25519(c claim) (ed25519.PublicKey, bool) {
	holder, ok := c.holders[0].key.(ssh.CryptoPublicKey)
	if !ok || c.holders[0].key.Type() != ssh.KeyAlgoED25519 || c.sig.Format != ssh.KeyAlgoED25519 || len(c.sig.Rest) > 0 || len(c.sig.Blob) != ed25519.SignatureSize {
		return nil, false
	}
	key, ok := holder.CryptoPublicKey().(ed25519.PublicKey)
	return key, ok
}

// canonical tells whether a point is written as numbers below 2²⁵⁵−19 are.
func canonical(point []byte) bool {
	if point[31]&0x7f != 0x7f || point[0] < 0xed {
		return true
	}
	for _, b := range point[1:31] {
		if b != 0xff {
			return true
		}
	}
	return false
}
