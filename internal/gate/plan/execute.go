// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/run"
)

// passed are the variables that the program gets. All others may be production's.
var passed = []string{"PATH", "LANG", "LC_ALL", "SSL_CERT_FILE", "SSL_CERT_DIR"}

// detect finds the program and its version.
func (s *session) detect(ctx context.Context) error {
	var outer []string
	for _, entry := range s.Env {
		if name, _, _ := strings.Cut(entry, "="); slices.Contains(passed, name) {
			outer = append(outer, entry)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.o.Environment)) {
		outer = append(outer, name+"="+s.o.Environment[name])
	}
	cli := s.o.CLIConfig
	if cli == "" {
		cli = os.DevNull
	}
	s.env = append(outer,
		"HOME="+filepath.Join(s.dir, "home"), "TMPDIR="+filepath.Join(s.dir, "tmp"), "TF_DATA_DIR="+filepath.Join(s.dir, "data"),
		"TF_CLI_CONFIG_FILE="+cli, "TF_IN_AUTOMATION=1", "TF_INPUT=0", "CHECKPOINT_DISABLE=1")
	candidates := []string{"tofu", "terraform"}
	if s.Binary != "" {
		candidates = []string{s.Binary}
	}
	for _, s.binary = range candidates {
		result, err := s.run(ctx, "version")
		if run.NotFound(err) {
			continue
		}
		first, _, _ := strings.Cut(strings.TrimSpace(string(result.Stdout)), "\n")
		match := regexp.MustCompile(`^(OpenTofu|Terraform) v(\d+\.\S+)$`).FindStringSubmatch(strings.TrimSpace(first))
		if err != nil || match == nil {
			return fmt.Errorf("asking %s for its version: it is neither OpenTofu nor Terraform, or it does not run", s.binary)
		}
		s.report.Product, s.report.Version = match[1], match[2]
		return nil
	}
	return fmt.Errorf("looking for %s: not found on PATH; install OpenTofu or Terraform, or set binary", strings.Join(candidates, " and "))
}

func (s *session) run(ctx context.Context, args ...string) (run.Result, error) {
	return s.Runner.Run(ctx, run.Cmd{Name: s.binary, Args: args, Dir: s.root, Env: s.env})
}

// lockError is the summary of both programs for a state that is locked.
const lockError = "Error acquiring the state lock"

// lockRetry is the pause before a plan is tried again after a lock error.
const lockRetry = 200 * time.Millisecond

// plan makes the plan and checks it. ok is false if no plan was made.
func (s *session) plan(ctx context.Context) (planned bool, err error) {
	init := []string{"init", "-input=false", "-no-color"}
	for _, file := range s.o.BackendConfigs {
		init = append(init, "-backend-config="+file)
	}
	if s.o.PluginDir != "" {
		init = append(init, "-plugin-dir="+s.o.PluginDir)
	}
	if result, err := s.run(ctx, init...); err != nil {
		s.ended(ctx, "init", firstError(result.Stderr), err)
		return false, nil
	}
	if !s.initialised(ctx) {
		return false, nil
	}
	// Created first, since the program keeps the mode of an existing file.
	file := filepath.Join(s.dir, "plan")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return false, fmt.Errorf("making the plan file: %w", err)
	}
	args := []string{"plan", "-input=false", "-no-color", "-json", "-detailed-exitcode", fmt.Sprintf("-lock-timeout=%ds", s.o.LockTimeout)}
	for _, path := range s.o.VarFiles {
		args = append(args, "-var-file="+path)
	}
	args = append(append(args, s.o.Arguments...), "-out="+file)
	// The local backend ignores -lock-timeout if it reads the lock's file while
	// another program writes it.
	deadline := time.Now().Add(time.Duration(s.o.LockTimeout) * time.Second)
	result, err := s.run(ctx, args...)
	for err != nil && strings.HasPrefix(diagnosed(result.Stdout), lockError) && time.Now().Before(deadline) && ctx.Err() == nil {
		time.Sleep(lockRetry)
		result, err = s.run(ctx, args...)
	}
	if err != nil && result.Code != 2 {
		s.ended(ctx, "plan", diagnosed(result.Stdout), err)
		return false, nil
	}
	inside, err := readPlanFile(file)
	if err != nil {
		s.add("errored", "a plan file", err.Error())
		return false, nil
	}
	shown, err := s.run(ctx, "show", "-json", "-no-color", file)
	if err != nil {
		s.ended(ctx, "show", firstError(shown.Stderr), err)
		return false, nil
	}
	p, err := parsePlan(shown.Stdout)
	if err != nil {
		s.add("format", "the JSON form of a plan", err.Error())
		return false, nil
	}
	s.report.Secrets = append(s.report.Secrets, p.Sensitive...)
	if inside.narrowed {
		s.add("targeted", "a plan of everything", "the plan was narrowed by -target or -exclude")
	}
	if inside.forced {
		s.add("argument", "a plan that the configuration asks for", "the plan was made with -replace")
	}
	checkPlan(ctx, p, s.o, s.report.Report)
	s.report.Changes = p.planned()
	if unrefreshed(result.Stdout, p) {
		s.add("unrefreshed", "refreshed resources", "no resource of the state was refreshed")
	}
	s.stale(ctx, inside.before)
	return true, nil
}

// stale pulls the state again, since the plan is only valid for the state from which it was made.
func (s *session) stale(ctx context.Context, planned stateStamp) {
	pulled, err := s.run(ctx, "state", "pull")
	if err != nil {
		s.ended(ctx, "state pull", firstError(pulled.Stderr), err)
		return
	}
	now, err := stamp(pulled.Stdout)
	if err != nil {
		s.add("stale", "the state that was planned against", err.Error())
		return
	}
	if now.Serial != planned.Serial || now.Lineage != planned.Lineage && planned.Serial > 0 {
		what := fmt.Sprintf("the state is at serial %d and the plan was made at %d", now.Serial, planned.Serial)
		if now.Lineage != planned.Lineage {
			what += ", of another lineage"
		}
		s.add("stale", "the state that was planned against", what)
	}
}

// ended adds the failure of a program, without the details of its message, which may quote values.
func (s *session) ended(ctx context.Context, what, summary string, err error) {
	summary = plain(summary)
	rule, found := "errored", fmt.Sprintf("%s %s failed: %s", filepath.Base(s.binary), what, summary)
	if ctx.Err() != nil {
		rule, found = "incomplete", fmt.Sprintf("%s %s was stopped: the time limit passed, or the run was cancelled", filepath.Base(s.binary), what)
	} else if summary == "" {
		found = fmt.Sprintf("%s %s failed without a message (%s)", filepath.Base(s.binary), what, reason(err))
	}
	s.add(rule, "a run to its end", s.original(found))
}

func reason(err error) string {
	var failed *run.Error
	if errors.As(err, &failed) {
		return failed.Err.Error()
	}
	return "it could not be run"
}

// unrefreshed returns whether the state has resources and none was refreshed.
func unrefreshed(stdout []byte, p planJSON) bool {
	there, looked := false, false
	for _, r := range p.Changes {
		there = there || r.Mode == "managed" && r.Change.Before != nil && r.Deposed == "" && !r.Change.importing()
	}
	events(stdout, func(e event) { looked = looked || e.Type == "refresh_start" || e.Type == "refresh_complete" })
	return there && !looked
}
