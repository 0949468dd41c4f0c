// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/gate/reports"
	"github.com/arcodange-org/sandbox/internal/lazyregexp"
	"github.com/arcodange-org/sandbox/internal/lock"
	"github.com/arcodange-org/sandbox/internal/references"
	"github.com/arcodange-org/sandbox/internal/run"
	"github.com/arcodange-org/sandbox/internal/tofu"
)

// Options are what is judged. Paths are absolute.
type Options struct {
	Root           string
	Base           string // folder to copy; empty for the one that holds root and the modules that it calls
	Override       string // file with the sandbox's backend; empty if the root's own is the sandbox's
	BackendConfigs []string
	VarFiles       []string
	Variables      map[string]any
	Environment    map[string]string
	CLIConfig      string
	PluginDir      string
	Arguments      []string // more of them for plan
	LockTimeout    int      // seconds
	Rules          Rules
}

// Gate judges root modules.
type Gate struct {
	Runner run.Runner
	Binary string   // empty: tofu, else terraform
	Env    []string // what this process was given; little of it is passed on
	Work   string   // where private copies are made
}

// Report is what was found. It never holds a value of the plan but zones.
type Report struct {
	Verdict  string    `json:"verdict"`
	Findings []Finding `json:"findings"`
	Root     string    `json:"root"`
	// In is where the root module lies in the repositories of the evidence.
	In       *reports.In `json:"root_in,omitempty"`
	Product  string      `json:"product"`
	Version  string      `json:"version"`
	State    string      `json:"state"`
	Changes  []Planned   `json:"changes"`
	Text     []string    `json:"summary"`
	Unused   []Allowed   `json:"unused"`
	Warnings []string    `json:"warnings"`
	Seconds  float64     `json:"seconds"`
	// Secrets must not leave the process.
	Secrets []string `json:"-"`
}

// Summary is the report on one line.
func (r Report) Summary() string {
	if len(r.Findings) > 0 {
		if more := len(r.Findings) - 1; more > 0 {
			return fmt.Sprintf("%s (and %d more)", r.Findings[0].Message, more)
		}
		return r.Findings[0].Message
	}
	return fmt.Sprintf("%s of %s leaves all rules kept; %d changes", r.Product, r.Root, len(r.Changes))
}

// Judge plans and judges. The error is about what keeps it from judging at
// all; whatever the plan is to blame for is a finding.
func (g Gate) Judge(ctx context.Context, o Options) (Report, error) {
	started := time.Now()
	report := Report{Root: o.Root, Findings: []Finding{}, Changes: []Planned{}, Text: []string{}, Unused: []Allowed{}, Warnings: []string{}}
	for _, value := range o.Environment {
		report.Secrets = append(report.Secrets, value)
	}
	for _, value := range o.Variables {
		report.Secrets = leaves(value, report.Secrets)
	}
	err := g.judge(ctx, o, &report)
	if err != nil {
		err = errors.New(mask(err.Error(), report.Secrets))
	}
	report.Verdict = "green"
	if len(report.Findings) > 0 {
		report.Verdict = "red"
	}
	report.text(o.Rules.NoChanges)
	report.Seconds = time.Since(started).Seconds()
	return report, err
}

func (r *Report) say(rule, address, expected, what string) {
	r.Findings = append(r.Findings, found(rule, address, expected, mask(what, r.Secrets)))
}

func (r *Report) text(noChanges bool) {
	for _, c := range r.Changes {
		line := c.Action + " " + c.Address
		if c.From != "" && c.From != c.Address {
			line += ", moved from " + c.From
		}
		if c.Importing {
			line += ", imported"
		}
		if len(c.Attributes) > 0 {
			line += ": " + strings.Join(c.Attributes, ", ")
		}
		r.Text = append(r.Text, line)
	}
	if len(r.Changes) == 0 && r.Verdict == "green" && noChanges {
		r.Text = append(r.Text, "nothing would change")
	}
	for _, f := range r.Findings {
		r.Text = append(r.Text, "red: "+f.Message)
	}
}

// session is one judging: a private copy, and how programs are run in it.
type session struct {
	Gate
	o      Options
	report *Report
	dir    string // private
	root   string // the copy of the root module
	binary string
	env    []string
}

func (g Gate) judge(ctx context.Context, o Options, report *Report) error {
	if !g.environment(report, o.Environment) || !arguments(report, o.Arguments) || !cliConfig(report, o.CLIConfig) {
		return nil
	}
	s := session{Gate: g, o: o, report: report}
	done, err := s.prepare(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := s.detect(ctx); err != nil {
		return err
	}
	if !s.boundaries(ctx) {
		return nil
	}
	return s.plan(ctx)
}

// flagged says which rule an argument of plan breaks; empty if none.
func flagged(argument string) (rule string) {
	name, value, _ := strings.Cut(strings.TrimLeft(argument, "-"), "=")
	no := slices.Contains([]string{"false", "0", "f", "F", "FALSE", "False"}, value)
	switch {
	case slices.Contains([]string{"target", "target-file", "exclude", "exclude-file"}, name):
		return "targeted"
	case name == "refresh" && no:
		return "unrefreshed"
	case name == "lock" && no:
		return "unlocked"
	}
	return ""
}

// What may be added to plan: it changes neither what is planned nor against what.
var harmlessArguments = lazyregexp.New(`^-{1,2}(?:parallelism=\d+|compact-warnings|concise|consolidate-(?:warnings|errors)(?:=\w+)?|(?:refresh|lock)=true)$`)

func arguments(report *Report, given []string) bool {
	for _, argument := range given {
		if rule := flagged(argument); rule != "" {
			name, _, _ := strings.Cut(argument, "=")
			report.say(rule, "", "a plan of everything, refreshed and locked", "the arguments hold "+name)
		} else if !harmlessArguments.MatchString(argument) {
			name, _, _ := strings.Cut(argument, "=")
			report.say("argument", "", "an argument that changes nothing of what is planned", "the arguments hold "+name)
		}
	}
	return len(report.Findings) == 0
}

// environment refuses what adds arguments behind one's back.
func (g Gate) environment(report *Report, given map[string]string) bool {
	entries := slices.Clone(g.Env)
	for _, name := range slices.Sorted(maps.Keys(given)) {
		entries = append(entries, name+"="+given[name])
		if strings.HasPrefix(name, "TF_") && !strings.HasPrefix(name, "TF_CLI_ARGS") {
			report.say("argument", "", "an environment that changes nothing of how it is planned", "the environment sets "+name+": use the gate's options")
		}
	}
	for _, entry := range entries {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "TF_CLI_ARGS") || strings.TrimSpace(value) == "" {
			continue
		}
		rules := []string{}
		words := strings.Fields(strings.NewReplacer(`"`, "", `'`, "", `\`, "").Replace(value))
		for _, word := range words {
			if rule := flagged(word); rule != "" && !slices.Contains(rules, rule) {
				rules = append(rules, rule)
			}
		}
		if len(rules) == 0 {
			rules = []string{"argument"}
		}
		for _, rule := range rules {
			report.say(rule, "", "no arguments from the environment", "the environment variable "+name+" adds arguments: unset it")
		}
	}
	return len(report.Findings) == 0
}

// cliConfig refuses settings that replace providers, or hold credentials.
func cliConfig(report *Report, path string) bool {
	if path == "" {
		return true
	}
	refuse := func(what string) bool {
		report.say("cli_config", "", "a CLI configuration of provider_installation and plugin_cache_dir only", what)
		return false
	}
	body, _, err := parse(path)
	if err != nil {
		return refuse(err.Error())
	}
	for name := range body.Attributes {
		if !slices.Contains([]string{"plugin_cache_dir", "disable_checkpoint"}, name) {
			return refuse("it sets " + name)
		}
	}
	for _, block := range body.Blocks {
		if block.Type != "provider_installation" {
			return refuse("it has a block " + block.Type)
		}
		for _, method := range block.Body.Blocks {
			if !slices.Contains([]string{"direct", "filesystem_mirror", "network_mirror"}, method.Type) {
				return refuse("it installs providers by " + method.Type)
			}
		}
	}
	return true
}

// prepare makes the private copy, and removes those of runs that were killed.
func (s *session) prepare(ctx context.Context) (func(), error) {
	if err := os.MkdirAll(s.Work, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder for private copies: %w", err)
	}
	sweep(ctx, s.Work)
	// Locked before it is there, so that no sweep takes it for one that was left.
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

// sweep removes copies whose process is gone: the kernel gave back its lock.
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

// kept are the variables that are passed on. All others may be production's.
var kept = []string{"PATH", "LANG", "LC_ALL", "SSL_CERT_FILE", "SSL_CERT_DIR"}

func (s *session) detect(ctx context.Context) error {
	var outer []string
	for _, entry := range s.Env {
		if name, _, _ := strings.Cut(entry, "="); slices.Contains(kept, name) {
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

// boundaries asks the boundary about everything that the copy leads to, before anything of it is run.
func (s *session) boundaries(ctx context.Context) bool {
	var environ []string
	for name, value := range s.o.Environment {
		environ = append(environ, name+"="+value)
	}
	slices.Sort(environ)
	if !s.ask(ctx, environ, references.Sources{Environment: true}) {
		return false
	}
	if kind := s.backend(); s.report.State == "" && kind != "pg" && kind != "kubernetes" {
		s.report.say("unknown_state", "", expectedState, fmt.Sprintf("the backend %q keeps it nowhere that is known", kind))
		return false
	} else if s.report.State == "" {
		s.report.State = kind
	}
	return true
}

const expectedState = "a state that the boundary manifest lists as sandbox"

// ask has the boundary decide about the root and other sources; what it refuses is a finding.
func (s *session) ask(ctx context.Context, environ []string, sources references.Sources) bool {
	reader := references.Reader{Environ: environ, Home: filepath.Join(s.dir, "home"), Runner: s.Runner}
	sources.Tofu = []references.Root{{Directory: s.root, BackendConfigs: s.o.BackendConfigs, VarFiles: s.o.VarFiles}}
	for _, finding := range references.Decide(ctx, s.o.Rules.Engine, reader.Read(ctx, sources)) {
		d := finding.Decision
		where := s.original(finding.Target.From)
		state := finding.Target.Kind == boundary.TofuState
		if d.Allowed {
			if state && s.report.State == "" {
				s.report.State = d.Target
			}
			continue
		}
		rule, expected, what := "boundary", "everything that it leads to is sandbox", fmt.Sprintf("%s (%s): %s", d.Target, d.Kind, d.Reason)
		switch {
		case state && strings.Contains(d.Target, s.dir):
			rule, what = "unknown_state", "the state's path is relative, so it is not known which state it is: give an absolute one"
		case state && d.Rule != nil:
			rule = "production_state"
		case state, strings.HasPrefix(finding.Target.Value, "backend "):
			rule = "unknown_state"
		}
		if rule != "boundary" {
			expected = expectedState
		}
		f := found(rule, "", expected, mask(s.original(what), s.report.Secrets))
		f.Where = where
		s.report.Findings = append(s.report.Findings, f)
	}
	return len(s.report.Findings) == 0
}

// initialised judges what init wrote down: where the program really will read
// the state, and whether it can lock it there.
func (s *session) initialised(ctx context.Context) bool {
	data := filepath.Join(s.dir, "data")
	if !s.ask(ctx, []string{"TF_DATA_DIR=" + data}, references.Sources{}) {
		return false
	}
	var written struct {
		Backend struct {
			Type   string         `json:"type"`
			Config map[string]any `json:"config"`
		} `json:"backend"`
	}
	text, err := os.ReadFile(filepath.Join(data, "terraform.tfstate"))
	if err == nil {
		err = json.Unmarshal(text, &written)
	}
	if err != nil || written.Backend.Type == "" {
		s.report.say("unknown_state", "", expectedState, "the initialised root says of no backend where the state lies: give backend_override")
		return false
	}
	if missing := unlockable(written.Backend.Type, written.Backend.Config); missing != "" {
		s.report.say("unlocked", "", "a state that is locked while it is read", "the backend "+written.Backend.Type+" locks nothing without "+missing)
		return false
	}
	return true
}

// unlockable names what a backend would need to lock its state; empty if it has it.
func unlockable(kind string, config map[string]any) string {
	set := func(name string) bool {
		switch v := config[name].(type) {
		case string:
			return v != ""
		case bool:
			return v
		}
		return false
	}
	switch {
	case kind == "http" && !set("lock_address"):
		return "lock_address"
	case kind == "s3" && !set("dynamodb_table") && !set("use_lockfile"):
		return "use_lockfile or dynamodb_table"
	case kind == "consul" && config["lock"] == false:
		return "lock"
	}
	return ""
}

// original names the user's file instead of its copy.
func (s *session) original(text string) string {
	if s.o.Override != "" {
		text = strings.ReplaceAll(text, filepath.Join(s.root, overrideName), s.o.Override)
	}
	return strings.ReplaceAll(text, s.root, s.o.Root)
}

// backend is the type of the root's backend; empty if the root cannot be read.
func (s *session) backend() string {
	module, failed := tofu.Load(s.root)
	if len(failed) > 0 {
		return ""
	}
	found := "local"
	for _, block := range module.Blocks("terraform") {
		inside, _ := tofu.Inside(block, "backend", "cloud")
		for _, block := range inside {
			found = block.Type
			if block.Type == "backend" {
				found = block.Labels[0]
			}
		}
	}
	return found
}

func (s *session) plan(ctx context.Context) error {
	init := []string{"init", "-input=false", "-no-color"}
	for _, file := range s.o.BackendConfigs {
		init = append(init, "-backend-config="+file)
	}
	if s.o.PluginDir != "" {
		init = append(init, "-plugin-dir="+s.o.PluginDir)
	}
	if result, err := s.run(ctx, init...); err != nil {
		s.ended(ctx, "init", firstError(result.Stderr), err)
		return nil
	}
	if !s.initialised(ctx) {
		return nil
	}
	// Made first, since the program keeps the mode of a file that is there.
	file := filepath.Join(s.dir, "plan")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return fmt.Errorf("making the plan file: %w", err)
	}
	args := []string{"plan", "-input=false", "-no-color", "-json", "-detailed-exitcode", fmt.Sprintf("-lock-timeout=%ds", s.o.LockTimeout)}
	for _, path := range s.o.VarFiles {
		args = append(args, "-var-file="+path)
	}
	result, err := s.run(ctx, append(append(args, s.o.Arguments...), "-out="+file)...)
	if err != nil && result.Code != 2 {
		s.ended(ctx, "plan", diagnosed(result.Stdout), err)
		return nil
	}
	inside, err := readPlanFile(file)
	if err != nil {
		s.report.say("errored", "", "a plan file", err.Error())
		return nil
	}
	shown, err := s.run(ctx, "show", "-json", "-no-color", file)
	if err != nil {
		s.ended(ctx, "show", firstError(shown.Stderr), err)
		return nil
	}
	p, err := Read(shown.Stdout)
	if err != nil {
		s.report.say("format", "", "the JSON form of a plan", err.Error())
		return nil
	}
	s.report.Secrets = append(s.report.Secrets, p.Sensitive...)
	findings, unused := Judge(ctx, p, s.o.Rules)
	if inside.narrowed {
		s.report.say("targeted", "", "a plan of everything", "the plan was narrowed by -target or -exclude")
	}
	if inside.forced {
		s.report.say("argument", "", "a plan that the configuration asks for", "the plan was told to replace by -replace")
	}
	s.report.Findings = append(s.report.Findings, findings...)
	s.report.Unused = append(s.report.Unused, unused...)
	s.report.Changes = p.changes()
	if unrefreshed(result.Stdout, p) {
		s.report.say("unrefreshed", "", "what is there was looked at", "no resource of the state was refreshed")
	}
	return s.stale(ctx, inside.before)
}

// stale asks for the state once more: a plan is for the state that it was made of.
func (s *session) stale(ctx context.Context, planned Stamp) error {
	pulled, err := s.run(ctx, "state", "pull")
	if err != nil {
		s.ended(ctx, "state pull", firstError(pulled.Stderr), err)
		return nil
	}
	now, err := stamp(pulled.Stdout)
	if err != nil {
		s.report.say("stale", "", "the state that was planned against", err.Error())
		return nil
	}
	if now.Serial != planned.Serial || now.Lineage != planned.Lineage && planned.Serial > 0 {
		what := fmt.Sprintf("the state is at serial %d and the plan was made at %d", now.Serial, planned.Serial)
		if now.Lineage != planned.Lineage {
			what += ", of another lineage"
		}
		s.report.say("stale", "", "the state that was planned against", what)
	}
	return nil
}

// ended tells that a program failed, without the details that it printed: they may quote values.
func (s *session) ended(ctx context.Context, what, summary string, err error) {
	summary = plain(summary)
	rule, found := "errored", fmt.Sprintf("%s %s failed: %s", filepath.Base(s.binary), what, summary)
	if ctx.Err() != nil {
		rule, found = "incomplete", fmt.Sprintf("%s %s was stopped: time ran out, or the run was told to end", filepath.Base(s.binary), what)
	} else if summary == "" {
		found = fmt.Sprintf("%s %s failed, and did not say why (%s)", filepath.Base(s.binary), what, reason(err))
	}
	s.report.say(rule, "", "a run to its end", s.original(found))
}

func reason(err error) string {
	var failed *run.Error
	if errors.As(err, &failed) {
		return failed.Err.Error()
	}
	return "it could not be run"
}

// summaries are those of the programs' own errors. A provider's may quote
// whatever it was given, and so is not repeated.
var summaries = []string{
	"Argument or block definition required", "Backend configuration changed", "Backend initialization required",
	"Call to unknown function", "Duplicate output definition", "Duplicate provider configuration", "Duplicate required providers configuration",
	"Duplicate resource", "Duplicate variable declaration", "Error acquiring the state lock", "Error in function call",
	"Failed to get existing workspaces", "Failed to install provider", "Failed to load plugin schemas", "Failed to query available provider packages",
	"Inconsistent dependency lock file", "Incorrect attribute value type", "Incorrect condition type", "Instance cannot be destroyed",
	"Invalid combination of arguments", "Invalid count argument", "Invalid expression", "Invalid for_each argument", "Invalid function argument",
	"Invalid index", "Invalid reference", "Invalid template interpolation value", "Invalid value for variable", "Missing required argument",
	"Missing required provider", "Module not found", "Module not installed", "Moved object still exists", "No value for required variable",
	"Output refers to sensitive values", "Provider configuration not present", "Reference to undeclared input variable",
	"Reference to undeclared local value", "Reference to undeclared module", "Reference to undeclared resource",
	"Required plugins are not installed", "Resource postcondition failed", "Resource precondition failed", "Sensitive value in for_each",
	"Unreadable module directory", "Unsupported Terraform Core version", "Unsupported OpenTofu Core version", "Unsupported argument",
	"Unsupported attribute", "Unsupported block type", "Variables not allowed",
}

const reasonKept = "the reason may quote a value, so plan by hand to read it"

// plain keeps of an error's summary what cannot quote a value, and the place that follows it.
func plain(summary string) string {
	if summary == "" {
		return ""
	}
	text, place, _ := strings.Cut(summary, placeMark)
	text, _, _ = strings.Cut(text, ":")
	if !slices.Contains(summaries, text) {
		text = reasonKept
	}
	return text + place
}

// placeMark parts what an error says from where it is.
const placeMark = "\x00"

// firstError is the line of the first error, which names what failed.
func firstError(stderr []byte) string {
	for line := range strings.Lines(string(stderr)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(strings.Trim(line, "│╷╵ \n")), "Error: "); ok {
			return rest
		}
	}
	return ""
}

// event is a line that plan prints with -json.
type event struct {
	Type       string `json:"type"`
	Diagnostic struct {
		Severity string `json:"severity"`
		Summary  string `json:"summary"`
		Address  string `json:"address"`
		Range    struct {
			File  string `json:"filename"`
			Start struct {
				Line int `json:"line"`
			} `json:"start"`
		} `json:"range"`
	} `json:"diagnostic"`
}

func events(stdout []byte, each func(event)) {
	lines := bufio.NewScanner(bytes.NewReader(stdout))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) == nil {
			each(e)
		}
	}
}

func diagnosed(stdout []byte) (summary string) {
	events(stdout, func(e event) {
		d := e.Diagnostic
		if d.Severity != "error" || summary != "" {
			return
		}
		summary = d.Summary + placeMark
		if d.Address != "" {
			summary += " for " + d.Address
		}
		if d.Range.File != "" {
			summary += fmt.Sprintf(" at %s:%d", d.Range.File, d.Range.Start.Line)
		}
	})
	return summary
}

// unrefreshed tells whether resources stand in the state and none was looked at.
func unrefreshed(stdout []byte, p Plan) bool {
	there, looked := false, false
	for _, r := range p.Changes {
		there = there || r.Mode == "managed" && r.Change.Before != nil && r.Deposed == "" && !r.Change.importing()
	}
	events(stdout, func(e event) { looked = looked || e.Type == "refresh_start" || e.Type == "refresh_complete" })
	return there && !looked
}

var userinfo = lazyregexp.New(`://[^/@\s]*@`)

// mask takes secrets out of a text. Shorter ones would tear every text to pieces, and are too short to keep.
func mask(text string, secrets []string) string {
	text = userinfo.ReplaceAllString(text, "://(masked)@")
	sorted := slices.Clone(secrets)
	slices.SortFunc(sorted, func(a, b string) int { return len(b) - len(a) })
	for _, secret := range sorted {
		if len(secret) >= 4 {
			text = strings.ReplaceAll(text, secret, "(masked)")
		}
	}
	return text
}
