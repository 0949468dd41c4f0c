// SPDX-License-Identifier: GPL-3.0-or-later

// Package promotiongate is the module promotion_gate: arguments in, a verdict
// out, and for what is promoted the run of production's playbook. What is
// judged, and how, is told in internal/gate/promotion.
package promotiongate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/gate/keeping"
	"github.com/arcodange-org/sandbox/internal/gate/promotion"
	"github.com/arcodange-org/sandbox/internal/gate/reports"
	"github.com/arcodange-org/sandbox/internal/guard/override"
	"github.com/arcodange-org/sandbox/internal/run"
	"github.com/arcodange-org/sandbox/internal/tree"
	"github.com/arcodange-org/sandbox/internal/xdg"
)

// toldBy is the variable by which the action plugin tells of the run that the
// task belongs to. A task's own environment cannot take its place.
const toldBy = "SANDBOX_PROMOTION_RUN"

// told is what that variable holds.
type told struct {
	Wish        *override.Request  `json:"wish"`        // null if the run says nothing of i_mean_prod
	State       string             `json:"state"`       // directory of the log of overrides
	Environment map[string]*string `json:"environment"` // what the guard has changed, as it was before; null for what was not there
}

type arguments struct {
	State             string            `arg:"state"`
	Repository        string            `arg:"repository"`
	Path              string            `arg:"path"`
	Base              string            `arg:"base"`
	Head              string            `arg:"head"`
	Policy            string            `arg:"policy"`
	Ledger            string            `arg:"ledger"`
	AllowedSigners    string            `arg:"allowed_signers"`
	LedgerHead        string            `arg:"ledger_head"`
	AllowMissingHead  bool              `arg:"allow_missing_head"`
	LedgerHistory     string            `arg:"ledger_history"`
	RequireDescendant bool              `arg:"require_descendant"`
	Boundary          string            `arg:"boundary"`
	Manifest          string            `arg:"manifest"`
	Inventory         string            `arg:"inventory"`
	With              map[string]any    `arg:"related_repositories"`
	Playbook          string            `arg:"playbook"`
	Production        []string          `arg:"production_inventory"`
	Limit             string            `arg:"limit"`
	Variables         map[string]any    `arg:"variables"`
	Environment       map[string]any    `arg:"environment"`
	Arguments         []string          `arg:"arguments"`
	Program           string            `arg:"ansible_playbook"`
	Log               string            `arg:"log"`
	Report            string            `arg:"report"`
	Evidence          *keeping.Evidence `arg:"evidence"`
}

// Module describes promotion_gate.
func Module() ansible.Module {
	return ansible.Module{
		Name:      "promotion_gate",
		CheckMode: true,
		Spec: ansible.Spec{
			Options: options(),
			RequiredIf: []ansible.RequiredIf{
				{Option: "state", Is: "promoted", Then: []string{"playbook", "production_inventory", "evidence"}},
			},
		},
		Run: start,
	}
}

func start(ctx context.Context, c *ansible.Call) error {
	var args arguments
	if err := c.Bind(&args); err != nil {
		return err
	}
	question, err := args.question()
	if err != nil {
		return err
	}
	manifest, err := boundary.Load(question.Boundary)
	if err != nil {
		return err
	}
	about, err := read(os.Getenv)
	if err != nil {
		return err
	}
	t := task{args: args, question: question, manifest: manifest, about: about, gate: override.NewGate(os.Environ(), about.State)}
	if t.where, err = reports.Path(args.Report, "promotion", os.Getenv); err != nil {
		return err
	}
	switch args.State {
	case "granted":
		if manifest.Policy.Evidence == "" {
			return fmt.Errorf("the boundary manifest %s asks for no evidence of promotion: set policy.evidence in it to the path of the grant, or use state: judged", question.Boundary)
		}
		return t.judged(ctx, c, true)
	case "promoted":
		return t.promoted(ctx, c)
	}
	return t.judged(ctx, c, false)
}

// question is what the arguments ask, with absolute paths.
func (a arguments) question() (promotion.Question, error) {
	q := promotion.Question{
		Repository: a.Repository, Path: a.Path, Base: a.Base, Head: a.Head, Policy: a.Policy, Ledger: a.Ledger, AllowedSigners: a.AllowedSigners,
		LedgerHead: a.LedgerHead, AllowMissingHead: a.AllowMissingHead, LedgerHistory: a.LedgerHistory, RequireDescendant: a.RequireDescendant || a.State != "judged", Boundary: a.Boundary, Manifest: a.Manifest, Inventory: a.Inventory,
	}
	for name, path := range a.With {
		text, is := path.(string)
		if !is || text == "" {
			return q, fmt.Errorf("the repository %s: its path is %v: write `%s: path`", name, path, name)
		}
		if q.With == nil {
			q.With = map[string]string{}
		}
		full, err := filepath.Abs(text)
		if err != nil {
			return q, fmt.Errorf("finding the repository %s: %w", name, err)
		}
		q.With[name] = full
	}
	for _, path := range []*string{&q.Path, &q.Policy, &q.Ledger, &q.AllowedSigners, &q.Boundary, &q.Manifest, &q.Inventory} {
		if *path == "" {
			continue
		}
		full, err := filepath.Abs(*path)
		if err != nil {
			return q, fmt.Errorf("finding %s: %w", *path, err)
		}
		*path = full
	}
	return q, nil
}

func read(getenv func(string) string) (told, error) {
	var about told
	if text := getenv(toldBy); text != "" {
		if err := json.Unmarshal([]byte(text), &about); err != nil {
			return told{}, fmt.Errorf("reading what the action plugin tells of this run: %w", err)
		}
	}
	if about.State == "" {
		var err error
		if about.State, err = xdg.State(getenv); err != nil {
			return told{}, fmt.Errorf("finding the folder for the log of overrides: %w", err)
		}
	}
	return about, nil
}

// task is one call.
type task struct {
	args     arguments
	question promotion.Question
	manifest *boundary.Manifest
	about    told
	gate     promotion.Gate
	where    string // of the report
}

// judge judges, writes the report and returns it; a red one is no error.
func (t task) judge(ctx context.Context, c *ansible.Call) (promotion.Report, error) {
	report, err := t.gate.Judge(ctx, t.question)
	if err != nil {
		return report, err
	}
	if !c.CheckMode {
		if err := t.gate.Note(ctx, report); err != nil {
			return report, err
		}
	}
	if err := reports.Write(t.where, report); err != nil {
		return report, err
	}
	c.Return("verdict", report.Verdict)
	c.Return("repository", report.Repository)
	c.Return("base", report.Base)
	c.Return("head", report.Head)
	c.Return("tree", report.Tree)
	c.Return("commits", report.Commits)
	c.Return("policies", report.Policies)
	c.Return("files", report.Files)
	c.Return("classes", report.Classes)
	c.Return("required", report.Required)
	c.Return("found", report.Found)
	c.Return("missing", report.Missing)
	c.Return("findings", report.Findings)
	c.Return("summary", report.Text())
	c.Return("report", t.where)
	c.Return("seconds", report.Seconds)
	return report, nil
}

// outcome is what the ledger is told of a judgement.
func (t task) outcome(report promotion.Report) keeping.Outcome {
	out := keeping.Outcome{Verdict: evidence.Verdict(report.Verdict), Summary: report.Summary(), Report: t.where}
	if report.Tree != "" {
		out.Trees = append([]tree.State{{Repository: report.Repository, Commit: report.Head, Tree: report.Tree}}, report.With...)
	}
	return out
}

func (t task) judged(ctx context.Context, c *ansible.Call, granted bool) error {
	var report promotion.Report
	err := keeping.Run(ctx, c, run.Exec{}, t.args.Evidence, "promotion_gate", func(ctx context.Context) (keeping.Outcome, error) {
		var err error
		report, err = t.judge(ctx, c)
		return t.outcome(report), err
	})
	if err != nil {
		return err
	}
	if report.Verdict != "green" {
		return fmt.Errorf("%s", report.Summary())
	}
	if !granted {
		return nil
	}
	path := t.manifest.Policy.Evidence
	c.Differ("grant", nil, path)
	c.Return("grant", path)
	if c.CheckMode {
		return nil
	}
	grant, err := t.gate.Grant(path, t.question, report)
	if err == nil {
		c.Return("expires", grant.Expires.Format(time.RFC3339))
	}
	return err
}

// promoted judges, has the override decided about, and runs production's
// playbook out of the tree that was judged. In check mode it only judges.
func (t task) promoted(ctx context.Context, c *ansible.Call) error {
	launch, err := t.launch()
	if err != nil {
		return err
	}
	if err := launch.Valid(); err != nil {
		return err
	}
	var report promotion.Report
	var ended promotion.Launched
	err = keeping.Run(ctx, c, run.Exec{}, t.args.Evidence, "promotion", func(ctx context.Context) (keeping.Outcome, error) {
		var err error
		if report, err = t.judge(ctx, c); err != nil || report.Verdict != "green" {
			return t.outcome(report), err
		}
		c.Differ("production", nil, map[string]string{"playbook": launch.Playbook, "tree": report.Tree})
		if c.CheckMode {
			return t.outcome(report), nil
		}
		c.Return("log", launch.Log)
		ended, err = t.run(ctx, launch, report)
		outcome := t.outcome(report)
		outcome.Summary = fmt.Sprintf("%s of the tree %s ended with status %d", launch.Playbook, report.Tree, ended.Code)
		if ended.Code != 0 {
			outcome.Verdict = evidence.Red
		}
		return outcome, err
	})
	if ended.Command != "" {
		c.Return("command", ended.Command)
		c.Return("code", ended.Code)
		c.Return("output", ended.Tail)
	}
	switch {
	case err != nil:
		return err
	case report.Verdict != "green":
		return fmt.Errorf("%s", report.Summary())
	case ended.Code != 0:
		return fmt.Errorf("production was promoted to the tree %s, and %s ended with status %d: read %s", report.Tree, launch.Playbook, ended.Code, launch.Log)
	}
	return nil
}

func (t task) run(ctx context.Context, launch promotion.Launch, report promotion.Report) (promotion.Launched, error) {
	if t.about.Wish == nil {
		return promotion.Launched{}, errors.New("all that is required was found, and nobody says that production is meant: give this very run -e i_mean_prod=true")
	}
	return t.gate.Launch(ctx, t.question.Path, report.Tree, launch, func(ctx context.Context) error {
		if err := t.override(ctx, launch, report); err != nil {
			return err
		}
		return t.again(ctx, report)
	})
}

// override asks the guard whether this run may leave the sandbox.
func (t task) override(ctx context.Context, launch promotion.Launch, report promotion.Report) error {
	if path := t.manifest.Policy.Evidence; path != "" {
		if _, err := t.gate.Grant(path, t.question, report); err != nil {
			return err
		}
	}
	wish := *t.about.Wish
	wish.Tree = report.Tree
	if launch.Limit != "" {
		wish.Targets = []string{launch.Limit}
	}
	reason, err := override.Decide(ctx, t.manifest, wish, t.about.State, t.gate)
	if err == nil && reason != "" {
		err = fmt.Errorf("the override was refused: %s", reason)
	}
	return err
}

// again judges at the last moment: what was judged is what is run.
func (t task) again(ctx context.Context, report promotion.Report) error {
	gate, question := t.gate, t.question
	gate.Heads = append(slices.Clone(gate.Heads), report.LedgerHead)
	question.Head = report.Head
	again, err := gate.Judge(ctx, question)
	switch {
	case err != nil:
		return err
	case again.Verdict != "green":
		return fmt.Errorf("it was green, and is not any more: %s", again.Summary())
	case again.Tree != report.Tree || again.Base != report.Base || again.Boundary != report.Boundary || !slices.Equal(again.Policies, report.Policies):
		return errors.New("what was judged changed in the meantime: run it again")
	}
	return nil
}

func (t task) launch() (promotion.Launch, error) {
	out := promotion.Launch{
		Playbook: t.args.Playbook, Inventory: t.args.Production, Limit: t.args.Limit, Vars: t.args.Variables, Arguments: t.args.Arguments,
		Program: t.args.Program, Env: t.about.before(os.Environ()), Work: filepath.Join(t.about.State, "promotions"), Log: t.args.Log,
	}
	if out.Program == "" {
		out.Program = "ansible-playbook"
	}
	for name, value := range t.args.Environment {
		out.Extra = append(out.Extra, fmt.Sprintf("%s=%v", name, value))
	}
	slices.Sort(out.Extra)
	if out.Log == "" {
		out.Log = strings.TrimSuffix(t.where, ".json") + ".log"
	}
	log, err := filepath.Abs(out.Log)
	if err != nil {
		return out, fmt.Errorf("finding the log %s: %w", out.Log, err)
	}
	out.Log = log
	return out, nil
}

// before is env as it was before the guard took production out of it.
func (t told) before(env []string) []string {
	var out []string
	for _, entry := range env {
		name, _, _ := strings.Cut(entry, "=")
		if _, changed := t.Environment[name]; !changed && name != toldBy {
			out = append(out, entry)
		}
	}
	for name, value := range t.Environment {
		if value != nil {
			out = append(out, name+"="+*value)
		}
	}
	return out
}
