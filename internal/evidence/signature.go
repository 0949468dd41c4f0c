// SPDX-License-Identifier: GPL-3.0-or-later

package evidence

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/arcodange-org/sandbox/internal/run"
)

// Namespace is the namespace of signatures of records (ssh-keygen -n), so that
// signatures made for another purpose are invalid.
const Namespace = "evidence@arcodange.sandbox"

// signingTime is the timeout of one signature; a security token waits for a touch.
const signingTime = 30 * time.Second

// magic is the prefix of an SSH signature and of the signed data (OpenSSH, PROTOCOL.sshsig).
const magic = "SSHSIG"

// SSHSigner signs with ssh-keygen and the key at path: a private key, or a
// public key whose private key an agent holds.
func SSHSigner(runner run.Runner, key string) Signer {
	return func(ctx context.Context, body []byte) (string, error) {
		ctx, stop := context.WithTimeout(ctx, signingTime)
		defer stop()
		res, err := runner.Run(ctx, run.Cmd{
			Name: "ssh-keygen", Args: []string{"-Y", "sign", "-f", key, "-n", Namespace}, Stdin: bytes.NewReader(body),
			// false(1) as the askpass program: a key with a passphrase fails at once, at a terminal too.
			Env: append(os.Environ(), "SSH_ASKPASS=false", "SSH_ASKPASS_REQUIRE=force", "LC_ALL=C.UTF-8"),
		})
		if err != nil {
			return "", fmt.Errorf("signing the record with the key %s: %w", key, err)
		}
		block, _ := pem.Decode(res.Stdout)
		if block == nil || block.Type != "SSH SIGNATURE" {
			return "", fmt.Errorf("signing the record with the key %s: ssh-keygen printed no signature", key)
		}
		return base64.StdEncoding.EncodeToString(block.Bytes), nil
	}
}

// signature is the blob of an SSH signature (OpenSSH, PROTOCOL.sshsig).
type signature struct {
	Magic     [6]byte
	Version   uint32
	PublicKey []byte
	Namespace string
	Reserved  []byte
	Hash      string
	Signature []byte
}

// signed is the data that the key signs.
type signed struct {
	Magic     [6]byte
	Namespace string
	Reserved  []byte
	Hash      string
	Digest    []byte
}

// Allowed is the list of accepted signers, as in a file of allowed signers
// (ssh-keygen(1), ALLOWED SIGNERS).
type Allowed struct {
	signers map[string][]signer // by the public key's wire form
}

type signer struct {
	name        string
	key         ssh.PublicKey
	after, till time.Time // zero for no bound
}

// ReadAllowed reads a file of allowed signers. Certificate authorities are
// not supported. A file that allows no signer is an error.
func ReadAllowed(file string) (*Allowed, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the allowed signers: %w", err)
	}
	allowed, err := ParseAllowed(data)
	if err != nil {
		return nil, fmt.Errorf("reading the allowed signers in %s: %w", file, err)
	}
	return allowed, nil
}

// ParseAllowed is ReadAllowed of the file's content.
func ParseAllowed(data []byte) (*Allowed, error) {
	allowed := &Allowed{signers: map[string][]signer{}}
	for i, text := range strings.Split(string(data), "\n") {
		text = strings.TrimSpace(text)
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		one, good, err := parseSigner(text)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		if good {
			wire := string(one.key.Marshal())
			allowed.signers[wire] = append(allowed.signers[wire], one)
		}
	}
	if len(allowed.signers) == 0 {
		return nil, fmt.Errorf("it allows no signer for %s", Namespace)
	}
	return allowed, nil
}

// parseSigner reads `principals [options] keytype base64 [comment]`. good is
// false for a line that is for other namespaces.
func parseSigner(text string) (one signer, good bool, err error) {
	name, rest, found := strings.Cut(text, " ")
	if !found {
		return signer{}, false, errors.New("it names no key: write `name keytype key`")
	}
	key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(rest))
	if err != nil {
		return signer{}, false, fmt.Errorf("reading its key: %w", err)
	}
	if _, isCertificate := key.(*ssh.Certificate); isCertificate {
		return signer{}, false, errors.New("it names a certificate, and records are signed by keys")
	}
	one, good = signer{name: name, key: key}, true
	for _, option := range options {
		word, value, _ := strings.Cut(option, "=")
		value = strings.Trim(value, `"`)
		switch strings.ToLower(word) {
		case "namespaces":
			good = false
			for pattern := range strings.SplitSeq(value, ",") {
				// An invalid pattern is an error, and matches nothing.
				if matches, err := path.Match(pattern, Namespace); err == nil && matches {
					good = true
				}
			}
		case "valid-after":
			one.after, err = keygenTime(value)
		case "valid-before":
			one.till, err = keygenTime(value)
		default:
			err = fmt.Errorf("the option %q is not supported here", word)
		}
		if err != nil {
			return signer{}, false, err
		}
	}
	return one, good, nil
}

// keygenTime reads a time as ssh-keygen(1) does: YYYYMMDD[HHMM[SS]], with Z for UTC.
func keygenTime(text string) (time.Time, error) {
	place := time.Local
	digits := text
	if trimmed, utc := strings.CutSuffix(text, "Z"); utc {
		place, digits = time.UTC, trimmed
	}
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		if len(digits) == len(layout) {
			if when, err := time.ParseInLocation(layout, digits, place); err == nil {
				return when, nil
			}
		}
	}
	return time.Time{}, fmt.Errorf("the time %q is not YYYYMMDD[HHMM[SS]][Z]", text)
}

// claim is a well-formed signature by an allowed key. The signature itself and
// its time are not verified yet.
type claim struct {
	holders []signer
	data    []byte // what the key must have signed
	sig     ssh.Signature
	when    time.Time
}

// claim parses the signature of body, which was made at the given time, or returns an error.
func (a *Allowed) claim(body []byte, encoded string, when time.Time) (claim, error) {
	blob, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return claim{}, errors.New("carries a signature that is not base64")
	}
	var s signature
	if err := ssh.Unmarshal(blob, &s); err != nil || string(s.Magic[:]) != magic || s.Version != 1 {
		return claim{}, errors.New("carries something that is not an SSH signature")
	}
	if s.Namespace != Namespace {
		return claim{}, fmt.Errorf("carries a signature that was made for %q", s.Namespace)
	}
	holders := a.signers[string(s.PublicKey)]
	if len(holders) == 0 {
		return claim{}, errors.New("is signed by a key that is not allowed")
	}
	var digest []byte
	switch s.Hash {
	case "sha512":
		sum := sha512.Sum512(body)
		digest = sum[:]
	case "sha256":
		sum := sha256.Sum256(body)
		digest = sum[:]
	default:
		return claim{}, fmt.Errorf("carries a signature with the hash %q", s.Hash)
	}
	c := claim{holders: holders, when: when}
	if err := ssh.Unmarshal(s.Signature, &c.sig); err != nil {
		return claim{}, errors.New("carries something that is not an SSH signature")
	}
	if c.sig.Format == ssh.KeyAlgoRSA { // SHA-1, which sshsig forbids
		return claim{}, errors.New("carries a signature with SHA-1")
	}
	c.data = ssh.Marshal(signed{Magic: s.Magic, Namespace: s.Namespace, Reserved: s.Reserved, Hash: s.Hash, Digest: digest})
	return c, nil
}

// made verifies the signature.
func (c claim) made() error {
	if err := c.holders[0].key.Verify(c.data, &c.sig); err != nil {
		return errors.New("carries a signature of other data")
	}
	return nil
}

// timely returns an error if the key was not allowed at the record's time.
func (c claim) timely() error {
	for _, holder := range c.holders {
		if (holder.after.IsZero() || !c.when.Before(holder.after)) && (holder.till.IsZero() || c.when.Before(holder.till)) {
			return nil
		}
	}
	return fmt.Errorf("is signed by the key of %s at a time for which it is not allowed", c.holders[0].name)
}

// Digest is the SHA-256 of a file, or of a folder's files: their paths and
// contents in order, and their executable bit. Links are followed; of other
// kinds only the name counts. The digest does not depend on the umask.
func Digest(root string) (string, error) {
	h := sha256.New()
	if err := digestInto(h, root, "", 0); err != nil {
		return "", fmt.Errorf("taking the digest of %s: %w", root, err)
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

func digestInto(h io.Writer, full, name string, depth int) error {
	if depth > 64 {
		return errors.New("its folders are more than 64 deep: a link points back to them")
	}
	info, err := os.Stat(full)
	if err != nil {
		return err
	}
	executable := info.Mode().IsRegular() && info.Mode().Perm()&0o100 != 0
	fmt.Fprintf(h, "%s %t %q\n", info.Mode().Type(), executable, name)
	switch {
	case info.IsDir():
		children, err := os.ReadDir(full)
		if err != nil {
			return err
		}
		for _, child := range children {
			if err := digestInto(h, full+string(os.PathSeparator)+child.Name(), name+"/"+child.Name(), depth+1); err != nil {
				return err
			}
		}
	case info.Mode().IsRegular():
		data, err := os.ReadFile(full)
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%d\n", len(data))
		_, err = h.Write(data)
		return err
	}
	return nil
}
