// SPDX-License-Identifier: GPL-3.0-or-later

// Package evidence is the module evidence: it adds a record to a ledger,
// verifies a ledger, or renders one as a page. The ledger is described in
// internal/evidence.
package evidence

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/internal/atomicfile"
	ledger "github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/evidence/page"
	"github.com/arcodange-org/sandbox/internal/evidence/record"
	"github.com/arcodange-org/sandbox/internal/run"
	"github.com/arcodange-org/sandbox/internal/sshkey"
)

type arguments struct {
	State            string  `arg:"state"`
	What             string  `arg:"what"`
	Verdict          string  `arg:"verdict"`
	Summary          string  `arg:"summary"`
	Seconds          float64 `arg:"seconds"`
	Report           string  `arg:"report"`
	Allowed          string  `arg:"allowed_signers"`
	Head             string  `arg:"head"`
	AllowMissingHead bool    `arg:"allow_missing_head"`
	Page             string  `arg:"page"`
	Title            string  `arg:"title"`
	Reason           string  `arg:"reason"`
}

// Module describes evidence.
func Module() ansible.Module {
	return ansible.Module{
		Name:      "evidence",
		CheckMode: true,
		Spec: ansible.Spec{
			Options: options(),
			RequiredIf: []ansible.RequiredIf{
				{Option: "state", Is: "recorded", Then: []string{"what", "verdict", "summary"}},
				{Option: "state", Is: "rendered", Then: []string{"page"}},
				{Option: "state", Is: "restarted", Then: []string{"reason"}},
			},
		},
		Run: func(ctx context.Context, c *ansible.Call) error {
			var args arguments
			var about record.Evidence
			if err := errors.Join(c.Bind(&args), c.Bind(&about)); err != nil {
				return err
			}
			switch args.State {
			case "prepared":
				return prepare(ctx, c, about)
			case "recorded":
				return appendRecord(ctx, c, args, about)
			case "restarted":
				return restart(ctx, c, args, about)
			}
			return verify(ctx, c, args, about.Ledger)
		},
	}
}

// prepare makes the signing key and the file of allowed signers next to it, if
// the key is missing.
func prepare(ctx context.Context, c *ansible.Call, about record.Evidence) error {
	key := about.SigningKey
	if key == "" {
		return nil
	}
	for _, half := range []string{key, key + ".pub"} {
		if _, err := os.Stat(half); err == nil {
			return nil
		}
	}
	c.Differ("signing_key", nil, key)
	if c.CheckMode {
		return nil
	}
	if err := sshkey.Make(ctx, run.Exec{}, key, "evidence"); err != nil {
		return err
	}
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		return fmt.Errorf("signing_key: %w", err)
	}
	line := fmt.Sprintf("sandbox namespaces=%q %s\n", ledger.Namespace, strings.TrimSpace(string(public)))
	if err := atomicfile.Write(filepath.Join(filepath.Dir(key), "allowed_signers"), []byte(line), 0o644); err != nil {
		return fmt.Errorf("allowed_signers: %w", err)
	}
	return nil
}

func appendRecord(ctx context.Context, c *ansible.Call, args arguments, about record.Evidence) error {
	if args.Seconds < 0 || args.Seconds > 1e9 {
		return fmt.Errorf("seconds: must be between 0 and 1e9 (got %g)", args.Seconds)
	}
	if record.Reserved(args.What) {
		return fmt.Errorf("what: %s is the name of a gate, which writes its own records; set the option evidence of its task", args.What)
	}
	entry := ledger.Record{
		What: args.What, Verdict: ledger.Verdict(args.Verdict), Summary: c.Mask(args.Summary),
		Duration: time.Duration(args.Seconds * float64(time.Second)),
	}
	if args.Report != "" {
		path, err := filepath.Abs(args.Report)
		if err != nil {
			return fmt.Errorf("report: %w", err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("report: %w", err)
		}
		entry.Report = ledger.Report{Path: path, SHA256: fmt.Sprintf("%x", sha256.Sum256(data))}
	}
	c.Differ("ledger", nil, map[string]string{"what": args.What, "verdict": args.Verdict, "summary": args.Summary})
	if c.CheckMode {
		return nil
	}
	written, err := about.Append(ctx, run.Exec{}, entry)
	if err != nil {
		return err
	}
	c.Return("sequence", written.Sequence)
	c.Return("hash", written.Hash)
	return nil
}

// restart replaces a ledger that does not verify; any other stays unchanged.
func restart(ctx context.Context, c *ansible.Call, args arguments, about record.Evidence) error {
	book, err := ledger.Open(about.Ledger)
	if err != nil {
		return err
	}
	var sign ledger.Signer
	if about.SigningKey != "" {
		sign = ledger.SSHSigner(run.Exec{}, about.SigningKey)
	}
	broken, ok, err := book.Restart(ctx, c.Mask(args.Reason), sign, c.CheckMode)
	if err != nil || !ok {
		return err
	}
	c.Differ("ledger", map[string]string{"problem": broken.Problem}, map[string]string{"restarted": broken.Reason})
	c.Return("kept", broken.File)
	return nil
}

// verify returns an error if the ledger cannot be trusted. If requested it renders
// the page, also then, with the problems on top.
func verify(ctx context.Context, c *ansible.Call, args arguments, path string) error {
	book, err := ledger.Open(path)
	if err != nil {
		return err
	}
	check := ledger.Check{AllowMissingHead: args.AllowMissingHead}
	if args.Allowed != "" {
		if check.Allowed, err = ledger.ReadAllowed(args.Allowed); err != nil {
			return err
		}
	}
	if args.Head != "" {
		head, err := ledger.ParseHead(args.Head)
		if err != nil {
			return err
		}
		check.Heads = append(check.Heads, head)
	}
	result, err := book.Verify(ctx, check)
	if err != nil {
		return err
	}
	c.Return("records", result.Records)
	c.Return("anchored", result.Anchored)
	c.Return("problems", append([]ledger.Problem{}, result.Problems...))
	c.Return("breaks", append([]ledger.Break{}, result.Breaks...))
	if result.Records > 0 {
		c.Return("head", fmt.Sprintf("%d:%s", result.Head.Sequence, result.Head.Hash))
	}
	if result.Torn > 0 {
		c.Warn(fmt.Sprintf("the ledger %s ends with %d bytes of a record that was never finished: the next record takes their place", path, result.Torn))
	}
	if args.State == "rendered" {
		if err := render(c, args, book.Path, result); err != nil {
			return err
		}
	}
	switch more := len(result.Problems) - 1; {
	case more == 0:
		return fmt.Errorf("the ledger %s cannot be trusted: %s", path, result.Problems[0])
	case more > 0:
		return fmt.Errorf("the ledger %s cannot be trusted: %s; and %d more", path, result.Problems[0], more)
	case result.Records == 0:
		return fmt.Errorf("the ledger %s holds no record: nothing ran, or it is elsewhere", path)
	}
	return nil
}

// render writes the page if it differs from the existing one. Ages are in
// days, so that two pages of one day are equal.
func render(c *ansible.Call, args arguments, path string, verified ledger.Verification) error {
	target, err := filepath.Abs(args.Page)
	if err != nil {
		return fmt.Errorf("finding the page %s: %w", args.Page, err)
	}
	entries, err := ledger.Read(path)
	if err != nil {
		if len(verified.Problems) == 0 {
			return err
		}
		entries = nil // the ledger has an unreadable line, which the page shows as a problem
	}
	var out bytes.Buffer
	if err := page.Render(&out, entries, verified, page.Options{Title: args.Title, Folder: filepath.Dir(target), Now: time.Now()}); err != nil {
		return err
	}
	before, err := os.ReadFile(target)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the page that is there: %w", err)
	}
	c.DifferText(target, string(before), out.String())
	if c.CheckMode || bytes.Equal(before, out.Bytes()) {
		return nil
	}
	if err := atomicfile.Write(target, out.Bytes(), 0o600); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}
