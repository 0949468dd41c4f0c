// SPDX-License-Identifier: GPL-3.0-or-later

// Package promotiongate is the module promotion_gate: it binds arguments and
// calls internal/gate/promotion.
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
	"github.com/arcodange-org/sandbox/internal/evidence/record"
	"github.com/arcodange-org/sandbox/internal/gate"
	"github.com/arcodange-org/sandbox/internal/gate/promotion"
	"github.com/arcodange-org/sandbox/internal/guard/override"
	"github.com/arcodange-org/sandbox/internal/tree"
	"github.com/arcodange-org/sandbox/internal/xdg"
)

// runVariable is the variable with the action plugin's facts about the run. The
// environment of a task cannot replace it.
const runVariable = "SANDBOX_PROMOTION_RUN"

// playRun is the content of that variable.
type playRun struct {
	Request     *override.Request  `json:"request"`     // null if i_mean_prod is not set
	State       string             `json:"state"`       // directory of the log of overrides
	Environment map[string]*string `json:"environment"` // variables that the guard changed, as they were before; null if unset
}

type arguments struct {
	gate.Arguments
	State             string         `arg:"state"`
	Repository        string         `arg:"repository"`
	Path              string         `arg:"path"`
	Base              string         `arg:"base"`
	Head              string         `arg:"head"`
	Policy            string         `arg:"policy"`
	Ledger            string         `arg:"ledger"`
	AllowedSigners    string         `arg:"allowed_signers"`
	LedgerHead        string         `arg:"ledger_head"`
	AllowMissingHead  bool           `arg:"allow_missing_head"`
	LedgerHistory     string         `arg:"ledger_history"`
	RequireDescendant bool           `arg:"require_descendant"`
	Boundary          string         `arg:"boundary"`
	Manifest          string         `arg:"manifest"`
	Inventory         string         `arg:"inventory"`
	Related           map[string]any `arg:"related_repositories"`
	Playbook          string         `arg:"playbook"`
	Production        []string       `arg:"production_inventory"`
	Limit             string         `arg:"limit"`
	Variables         map[string]any `arg:"variables"`
	Environment       map[string]any `arg:"environment"`
	Extra             []string       `arg:"arguments"`
	Program           string         `arg:"ansible_playbook"`
	Log               string         `arg:"log"`
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
	if len(args.Waivers) > 0 || args.WaiverFile != "" {
		return errors.New("waivers: promotion_gate has none; the promotion policy defines what counts")
	}
	request, err := args.request()
	if err != nil {
		return err
	}
	manifest, err := boundary.Load(request.Boundary)
	if err != nil {
		return err
	}
	about, err := readRun(os.Getenv)
	if err != nil {
		return err
	}
	if args.State == "granted" && manifest.Policy.Evidence == "" {
		return fmt.Errorf("policy.evidence is not set in the boundary manifest %s; set it to the path of the grant, or use state: evaluated", request.Boundary)
	}
	t := task{Call: c, args: args, request: request, manifest: manifest, run: about, gate: override.NewGate(os.Environ(), about.State)}
	what := "promotion_gate"
	if args.State == "promoted" {
		what = "promotion"
		launch, err := t.launch(args.Report)
		if err != nil {
			return err
		}
		if err := launch.Valid(); err != nil {
			return err
		}
	}
	return gate.Run(ctx, gate.Task{Call: c, Name: "promotion", What: what, Arguments: args.Arguments}, t.evaluate, t.tell)
}

// request returns the arguments as a request, with absolute paths.
func (a arguments) request() (promotion.Request, error) {
	q := promotion.Request{
		Repository: a.Repository, Path: a.Path, Base: a.Base, Head: a.Head, Policy: a.Policy, Ledger: a.Ledger, AllowedSigners: a.AllowedSigners,
		LedgerHead: a.LedgerHead, AllowMissingHead: a.AllowMissingHead, LedgerHistory: a.LedgerHistory,
		RequireDescendant: a.RequireDescendant || a.State != "evaluated", Boundary: a.Boundary, Manifest: a.Manifest, Inventory: a.Inventory,
		Related: map[string]string{},
	}
	for name, value := range a.Related {
		path, ok := value.(string)
		if !ok || path == "" {
			return q, fmt.Errorf("related_repositories.%s: not a path (got %v)", name, value)
		}
		if err := gate.Absolute(&path); err != nil {
			return q, err
		}
		q.Related[name] = path
	}
	return q, gate.Absolute(&q.Path, &q.Policy, &q.Ledger, &q.AllowedSigners, &q.Boundary, &q.Manifest, &q.Inventory)
}

func readRun(getenv func(string) string) (playRun, error) {
	var about playRun
	if text := getenv(runVariable); text != "" {
		if err := json.Unmarshal([]byte(text), &about); err != nil {
			return playRun{}, fmt.Errorf("variable %s: %w", runVariable, err)
		}
	}
	if about.State == "" {
		var err error
		if about.State, err = xdg.State(getenv); err != nil {
			return playRun{}, fmt.Errorf("folder for the log of overrides: %w", err)
		}
	}
	return about, nil
}

// task is one call.
type task struct {
	*ansible.Call
	args     arguments
	request  promotion.Request
	manifest *boundary.Manifest
	run      playRun
	gate     promotion.Gate
}

// evaluate evaluates the request and, if it is green, grants or deploys as the
// state requires. In check mode it only evaluates.
func (t task) evaluate(ctx context.Context, outcome *record.Outcome) (promotion.Report, error) {
	launch, err := t.launch(outcome.Report)
	if err != nil {
		return promotion.Report{}, err
	}
	report, err := t.gate.Evaluate(ctx, t.request)
	if err != nil {
		return report, err
	}
	if !t.CheckMode {
		if err := t.gate.Note(ctx, report); err != nil {
			return report, err
		}
	}
	if report.Tree != "" {
		outcome.Trees = append([]tree.State{{Repository: report.Repository, Commit: report.Head, Tree: report.Tree}}, report.Related...)
	}
	if report.Verdict != evidence.Green {
		return report, nil
	}
	switch t.args.State {
	case "granted":
		return report, t.grant(report)
	case "promoted":
		return report, t.deploy(ctx, launch, report, outcome)
	}
	return report, nil
}

func (t task) tell(report promotion.Report) {
	t.Return("repository", report.Repository)
	t.Return("base", report.Base)
	t.Return("head", report.Head)
	t.Return("tree", report.Tree)
	t.Return("commits", report.Commits)
	t.Return("policies", report.Policies)
	t.Return("files", report.Files)
	t.Return("classes", report.Classes)
	t.Return("required", report.Required)
	t.Return("found", report.Matched)
	t.Return("missing", report.Missing)
}

func (t task) grant(report promotion.Report) error {
	path := t.manifest.Policy.Evidence
	t.Differ("grant", nil, path)
	t.Return("grant", path)
	if t.CheckMode {
		return nil
	}
	grant, err := t.gate.Grant(path, t.request, report)
	if err == nil {
		t.Return("expires", grant.Expires.Format(time.RFC3339))
	}
	return err
}

// deploy runs production's playbook from the tree that was evaluated.
func (t task) deploy(ctx context.Context, launch promotion.Launch, report promotion.Report, outcome *record.Outcome) error {
	t.Differ("production", nil, map[string]string{"playbook": launch.Playbook, "tree": report.Tree})
	if t.CheckMode {
		return nil
	}
	if t.run.Request == nil {
		return errors.New("the ledger holds all that is required, but i_mean_prod is not set; run with -e i_mean_prod=true")
	}
	if err := gate.Write(outcome.Report, report); err != nil { // also if the run is killed
		return err
	}
	t.Return("log", launch.Log)
	launched, err := t.gate.Deploy(ctx, t.request, report, launch, func(ctx context.Context) error { return t.override(ctx, launch, report) })
	if launched.Command != "" {
		t.Return("command", launched.Command)
		t.Return("code", launched.Code)
		t.Return("output", launched.Tail)
		outcome.Summary = fmt.Sprintf("%s of the tree %s ended with status %d", launch.Playbook, report.Tree, launched.Code)
	}
	return err
}

// override requests the guard's override for this run.
func (t task) override(ctx context.Context, launch promotion.Launch, report promotion.Report) error {
	if path := t.manifest.Policy.Evidence; path != "" {
		if _, err := t.gate.Grant(path, t.request, report); err != nil {
			return err
		}
	}
	request := *t.run.Request
	request.Tree = report.Tree
	if launch.Limit != "" {
		request.Targets = []string{launch.Limit}
	}
	reason, err := override.Decide(ctx, t.manifest, request, t.run.State, t.gate)
	if err == nil && reason != "" {
		err = fmt.Errorf("the override was refused: %s", reason)
	}
	return err
}

// launch returns the run of state: promoted. Its log is next to the report.
func (t task) launch(report string) (promotion.Launch, error) {
	out := promotion.Launch{
		Playbook: t.args.Playbook, Inventory: t.args.Production, Limit: t.args.Limit, Vars: t.args.Variables, Arguments: t.args.Extra,
		Program: t.args.Program, Env: t.run.restored(os.Environ()), Work: filepath.Join(t.run.State, "promotions"), Log: t.args.Log,
	}
	if out.Program == "" {
		out.Program = "ansible-playbook"
	}
	for name, value := range t.args.Environment {
		out.Extra = append(out.Extra, fmt.Sprintf("%s=%v", name, value))
	}
	slices.Sort(out.Extra)
	if out.Log == "" {
		out.Log = strings.TrimSuffix(report, ".json") + ".log"
	}
	return out, gate.Absolute(&out.Log)
}

// restored returns env with the variables that the guard changed.
func (r playRun) restored(env []string) []string {
	var out []string
	for _, entry := range env {
		name, _, _ := strings.Cut(entry, "=")
		if _, changed := r.Environment[name]; !changed && name != runVariable {
			out = append(out, entry)
		}
	}
	for name, value := range r.Environment {
		if value != nil {
			out = append(out, name+"="+*value)
		}
	}
	return out
}
