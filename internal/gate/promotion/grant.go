// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/arcodange-org/sandbox/internal/atomicfile"
	"github.com/arcodange-org/sandbox/internal/evidence"
)

const (
	grantLifetime = 15 * time.Minute
	grantLimit    = 1 << 20 // maximal size of its file in bytes
)

// Grant is written after a green evaluation, for an override that requires
// evidence of promotion: one file, for one run, valid for grantLifetime. It proves
// nothing by itself: Redeem evaluates the request again, so that a grant for
// another tree, of another ledger, or written by hand has no effect.
type Grant struct {
	ID         string          `json:"id"` // hexadecimal; can be used once
	Request    Request         `json:"request"`
	Base       string          `json:"base"`
	Head       string          `json:"head"`
	Tree       string          `json:"tree"`
	Policies   []policyVersion `json:"policies"`
	Boundary   string          `json:"boundary"`    // digest
	LedgerHead evidence.Head   `json:"ledger_head"` // the ledger must still hold it
	Records    []foundRecord   `json:"records"`     // that meet the requirements
	Granted    time.Time       `json:"granted"`
	Expires    time.Time       `json:"expires"`
	Digest     string          `json:"digest"` // SHA-256 of all of the above, against accidental changes
}

func (g Grant) digest() (string, error) {
	g.Digest = ""
	data, err := json.Marshal(g)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", sha256.Sum256(data)), nil
}

// Grant writes the grant of a green report to path, replacing any older one.
func (g Gate) Grant(path string, q Request, r Report) (Grant, error) {
	if r.Verdict != evidence.Green {
		return Grant{}, errors.New("grant: the evaluation is not green")
	}
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return Grant{}, fmt.Errorf("grant: %w", err)
	}
	now := g.Now().UTC().Truncate(time.Second)
	q.Head = r.Head // a name may mean another commit later
	if !nothing(q.Base) {
		q.Base = r.Base
	}
	grant := Grant{
		ID: hex.EncodeToString(id), Request: q, Base: r.Base, Head: r.Head, Tree: r.Tree, Policies: r.Policies, Boundary: r.Boundary,
		LedgerHead: r.LedgerHead, Records: r.Matched, Granted: now, Expires: now.Add(grantLifetime),
	}
	var err error
	if grant.Digest, err = grant.digest(); err != nil {
		return Grant{}, fmt.Errorf("grant: %w", err)
	}
	data, err := json.MarshalIndent(grant, "", "  ")
	if err == nil {
		err = atomicfile.Write(path, append(data, '\n'), 0o600)
	}
	if err != nil {
		return Grant{}, fmt.Errorf("grant: %w", err)
	}
	return grant, nil
}

// Redeem verifies the grant at path and always removes it. The error says
// why it is not valid, in words that follow "the grant". spent returns whether a
// grant with that ID was used before, which detects copies.
func (g Gate) Redeem(ctx context.Context, path string, spent func(id string) (bool, error)) (Grant, error) {
	// Only one of two concurrent callers can rename it.
	claimed := fmt.Sprintf("%s.%d.used", path, os.Getpid())
	if err := os.Rename(path, claimed); errors.Is(err, fs.ErrNotExist) {
		return Grant{}, fmt.Errorf("%s does not exist", path)
	} else if err != nil {
		return Grant{}, fmt.Errorf("cannot be used up: %w", err)
	}
	grant, err := readGrant(claimed)
	if err := errors.Join(err, os.Remove(claimed)); err != nil {
		return Grant{}, err
	}
	now := g.Now()
	sum, err := grant.digest()
	switch {
	case err != nil:
		return Grant{}, err
	case sum != grant.Digest:
		return Grant{}, errors.New("was changed since it was written")
	case grant.Granted.After(now.Add(clockSkew)):
		return Grant{}, fmt.Errorf("is from the future (%s)", grant.Granted.Format(time.RFC3339))
	case !now.Before(grant.Expires) || grant.Expires.Sub(grant.Granted) > grantLifetime:
		return Grant{}, fmt.Errorf("was written at %s and valid until %s", grant.Granted.Format(time.RFC3339), grant.Expires.Format(time.RFC3339))
	}
	if used, err := spent(grant.ID); err != nil {
		return Grant{}, fmt.Errorf("may have been used before: %w", err)
	} else if used {
		return Grant{}, errors.New("was used before")
	}
	g.Heads = append(slices.Clone(g.Heads), grant.LedgerHead)
	report, err := g.Evaluate(ctx, grant.Request)
	switch {
	case err != nil:
		return Grant{}, err
	case report.Verdict != evidence.Green:
		return Grant{}, fmt.Errorf("does not hold any more: %s", report.Summary())
	case report.Tree != grant.Tree || report.Head != grant.Head || report.Base != grant.Base:
		return Grant{}, errors.New("is for another tree than its request resolves to")
	case !slices.Equal(report.Policies, grant.Policies):
		return Grant{}, errors.New("was given by another policy")
	case report.Boundary != grant.Boundary:
		return Grant{}, errors.New("was given with another boundary manifest")
	}
	return grant, nil
}

func readGrant(path string) (Grant, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return Grant{}, fmt.Errorf("cannot be read: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return Grant{}, fmt.Errorf("cannot be read: %w", err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular() || info.Size() > grantLimit:
		return Grant{}, errors.New("is not a regular file of at most 1 MiB")
	case info.Mode().Perm()&0o077 != 0:
		return Grant{}, fmt.Errorf("has the mode %04o, so other users may have changed it", info.Mode().Perm())
	case !ok || int(owner.Uid) != os.Getuid():
		return Grant{}, errors.New("belongs to another user")
	}
	data := make([]byte, info.Size())
	if _, err := file.ReadAt(data, 0); err != nil {
		return Grant{}, fmt.Errorf("cannot be read: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var grant Grant
	if err := decoder.Decode(&grant); err != nil {
		return Grant{}, fmt.Errorf("cannot be read: %w", err)
	}
	return grant, nil
}
