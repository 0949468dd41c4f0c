// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/gate"
	"github.com/arcodange-org/sandbox/internal/lock"
)

// session is one evaluation: a private copy, and the settings of programs that run in it.
type session struct {
	Gate
	o      Options
	report *Report
	dir    string // private
	root   string // the copy of the root module
	binary string
	env    []string
}

// add adds a finding while the plan is made.
func (s *session) add(rule, expected, found string) {
	s.report.Add(gate.Finding{Rule: rule, Expected: expected, Found: found})
}

// prepare makes the private copy, and removes those of runs that were killed.
func (s *session) prepare(ctx context.Context) (func(), error) {
	if err := os.MkdirAll(s.Work, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder for private copies: %w", err)
	}
	sweep(ctx, s.Work)
	// Lock the folder before creating it, so that no sweep removes it.
	dir := filepath.Join(s.Work, fmt.Sprintf("plan-%d-%d", os.Getpid(), time.Now().UnixNano()))
	held, err := lock.Acquire(ctx, dir+".lock", "plans "+s.o.Root, 0)
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		held.Remove()
		return nil, fmt.Errorf("making a private copy of the root module: %w", err)
	}
	done := func() {
		if err := os.RemoveAll(dir); err != nil {
			s.report.Warnings = append(s.report.Warnings, "the private copy could not be removed, and may hold secrets: remove "+dir)
		}
		held.Remove()
	}
	s.dir = dir
	if err := s.copy(); err != nil {
		done()
		return nil, err
	}
	return done, nil
}

// sweep removes the copies of dead processes, whose locks the kernel released.
func sweep(ctx context.Context, work string) {
	dirs, _ := filepath.Glob(filepath.Join(work, "plan-*")) // the pattern is well-formed
	for _, dir := range dirs {
		if strings.HasSuffix(dir, ".lock") {
			continue
		}
		if held, err := lock.Acquire(ctx, dir+".lock", "sweeps", 0); err == nil {
			_ = os.RemoveAll(dir)
			held.Remove()
		}
	}
}

func (s *session) copy() error {
	from := s.o.Base
	if from == "" {
		var err error
		if from, err = base(s.o.Root); err != nil {
			return err
		}
	}
	if !within(s.o.Root, from) {
		return fmt.Errorf("copying the root module: %s is not within base, %s", s.o.Root, from)
	}
	tree := filepath.Join(s.dir, "tree")
	if err := duplicate(from, tree, s.Work); err != nil {
		return err
	}
	rel, err := filepath.Rel(from, s.o.Root)
	if err != nil {
		return fmt.Errorf("copying the root module: %w", err)
	}
	s.root = filepath.Join(tree, rel)
	for _, name := range []string{"data", "home", "tmp"} {
		if err := os.Mkdir(filepath.Join(s.dir, name), 0o700); err != nil {
			return fmt.Errorf("making a private copy of the root module: %w", err)
		}
	}
	if len(s.o.Variables) > 0 {
		data, err := json.Marshal(s.o.Variables)
		if err != nil {
			return fmt.Errorf("writing the variables: %w", err)
		}
		path := filepath.Join(s.dir, "variables.tfvars.json")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return fmt.Errorf("writing the variables: %w", err)
		}
		s.o.VarFiles = append(slices.Clone(s.o.VarFiles), path)
	}
	if s.o.Override != "" {
		return override(s.root, s.o.Override)
	}
	return nil
}

// original replaces paths of the copy by those of the user's tree.
func (s *session) original(text string) string {
	if s.o.Override != "" {
		text = strings.ReplaceAll(text, filepath.Join(s.root, overrideName), s.o.Override)
	}
	return strings.ReplaceAll(text, s.root, s.o.Root)
}
