// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/gate"
	"github.com/arcodange-org/sandbox/internal/lazyregexp"
)

// invocation are the arguments and the environment of a plan.
type invocation struct {
	Options
	env []string // of the gate's process
}

// flag is an argument of `plan` and its source.
type flag struct {
	word        string // unchanged: -refresh=false
	text        string // without the value: -refresh
	name, value string // refresh, false
	source      string // variable of the environment; empty for the option arguments
}

// flags are the arguments of the option and of TF_CLI_ARGS*.
func (i invocation) flags() []flag {
	var out []flag
	add := func(word, source string) {
		text, value, _ := strings.Cut(word, "=")
		out = append(out, flag{word, text, strings.TrimLeft(text, "-"), value, source})
	}
	for _, word := range i.Arguments {
		add(word, "")
	}
	for _, entry := range i.variables() {
		name, value, _ := strings.Cut(entry, "=")
		for _, word := range strings.Fields(strings.NewReplacer(`"`, "", `'`, "", `\`, "").Replace(value)) {
			add(word, name)
		}
	}
	return out
}

// variables returns the entries TF_CLI_ARGS* of the environment that are not empty.
func (i invocation) variables() []string {
	entries := slices.Clone(i.env)
	for _, name := range slices.Sorted(maps.Keys(i.Environment)) {
		entries = append(entries, name+"="+i.Environment[name])
	}
	return slices.DeleteFunc(entries, func(entry string) bool {
		name, value, _ := strings.Cut(entry, "=")
		return !strings.HasPrefix(name, "TF_CLI_ARGS") || strings.TrimSpace(value) == ""
	})
}

// narrowing is reported for a flag that limits the plan: the
// rules targeted, unrefreshed and unlocked, each with its flags.
type narrowing struct {
	id      string
	flags   []string
	summary string
}

func (n narrowing) Info() gate.Info {
	return gate.Info{ID: n.id, Summary: n.summary, NeverWaive: cannotTrust}
}

// breaks returns whether a flag violates the rule. refresh and lock do so only with a false value.
func (n narrowing) breaks(f flag) bool {
	if !slices.Contains(n.flags, f.name) {
		return false
	}
	return n.id == "targeted" || slices.Contains([]string{"false", "0", "f", "F", "FALSE", "False"}, f.value)
}

func (n narrowing) Check(_ context.Context, i invocation, report *gate.Report) {
	reported := map[string]bool{}
	for _, f := range i.flags() {
		if !n.breaks(f) || reported[f.source] && f.source != "" {
			continue
		}
		reported[f.source] = true
		report.Add(gate.Finding{Rule: n.id, Expected: "a plan of everything, refreshed and locked", Found: f.place()})
	}
}

func (f flag) place() string {
	if f.source != "" {
		return "the environment variable " + f.source + " adds arguments; unset it"
	}
	return "the arguments hold " + f.text
}

// argument is reported for any other argument that is not known to be harmless.
type argument struct{}

// harmless arguments of `plan` affect neither the plan nor its state.
var harmless = lazyregexp.New(`^-{1,2}(?:parallelism=\d+|compact-warnings|concise|consolidate-(?:warnings|errors)(?:=\w+)?|(?:refresh|lock)=true)$`)

func (argument) Info() gate.Info {
	return gate.Info{ID: "argument", Summary: "An argument or a variable may change what is planned", NeverWaive: "use the options of the module"}
}

func (argument) Check(_ context.Context, i invocation, report *gate.Report) {
	narrows := func(f flag) bool {
		return slices.ContainsFunc(invocationRules, func(r gate.Rule[invocation]) bool {
			n, ok := r.(narrowing)
			return ok && n.breaks(f)
		})
	}
	narrowed := map[string]bool{} // variables that other rules report
	for _, f := range i.flags() {
		switch {
		case narrows(f):
			narrowed[f.source] = true
		case f.source == "" && !harmless.MatchString(f.word):
			report.Add(gate.Finding{Rule: "argument", Expected: "an argument that does not change what is planned", Found: f.place()})
		}
	}
	for _, entry := range i.variables() {
		if name, _, _ := strings.Cut(entry, "="); !narrowed[name] {
			report.Add(gate.Finding{Rule: "argument", Expected: "no arguments from the environment", Found: flag{source: name}.place()})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(i.Environment)) {
		if strings.HasPrefix(name, "TF_") && !strings.HasPrefix(name, "TF_CLI_ARGS") {
			report.Add(gate.Finding{Rule: "argument", Expected: "an environment that does not change how it is planned", Found: "the environment sets " + name + "; use the options of the module"})
		}
	}
}
