// SPDX-License-Identifier: GPL-3.0-or-later

// Package plan checks a plan of OpenTofu or Terraform for a root module: its
// state, its external references, and its changes. It plans in a private copy, so
// that the user's tree does not change. Findings contain addresses and
// names of attributes, but no values, except the zones of records that are not
// sensitive.
//
// It does not interpret resources of providers, except DNS records.
package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// planJSON is the part of `tofu show -json` that the rules use.
type planJSON struct {
	Format    string
	Errored   bool
	Complete  *bool // only set by Terraform
	Applyable *bool // only set by Terraform
	Changes   []resource
	Drift     []resource
	Outputs   map[string]resourceChange
	Deferred  int      // deferred actions
	Unknown   []string // unknown parts that are not empty
	Checks    []checkResult
	Sensitive []string // values that must not be shown
}

// resource is a change of one resource.
type resource struct {
	Address         string         `json:"address"`
	PreviousAddress string         `json:"previous_address"`
	Mode            string         `json:"mode"`
	Type            string         `json:"type"`
	Deposed         string         `json:"deposed"`
	Change          resourceChange `json:"change"`
}

// resourceChange is a planned change of a value.
type resourceChange struct {
	Actions         []string        `json:"actions"`
	Before          any             `json:"before"`
	After           any             `json:"after"`
	AfterUnknown    any             `json:"after_unknown"`
	BeforeSensitive any             `json:"before_sensitive"`
	AfterSensitive  any             `json:"after_sensitive"`
	Importing       json.RawMessage `json:"importing"`
}

// checkResult is the result of a check block, or of the conditions of a resource or output.
type checkResult struct {
	Address struct {
		Display string `json:"to_display"`
	} `json:"address"`
	Status string `json:"status"`
}

// silent are parts of a plan that no rule uses.
var silent = []string{
	"format_version", "terraform_version", "variables", "planned_values", "prior_state", "configuration", "relevant_attributes", "timestamp",
}

// parsePlan parses the JSON form of a plan. Another major version is an error, since its keys may have another meaning.
func parsePlan(data []byte) (planJSON, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	var parts map[string]json.RawMessage
	if err := decoder.Decode(&parts); err != nil {
		return planJSON{}, errors.New("plan: not a JSON object; use `show -json`")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return planJSON{}, errors.New("plan: more than one JSON object; use `show -json` of one plan")
	}
	var p planJSON
	var deferred []json.RawMessage
	known := map[string]any{
		"format_version": &p.Format, "errored": &p.Errored, "complete": &p.Complete, "applyable": &p.Applyable, "resource_changes": &p.Changes, "resource_drift": &p.Drift,
		"output_changes": &p.Outputs, "deferred_changes": &deferred, "checks": &p.Checks,
	}
	for name, dst := range known {
		if part, ok := parts[name]; ok {
			if err := json.Unmarshal(part, dst); err != nil {
				return planJSON{}, fmt.Errorf("plan: %s has an unexpected form; use `show -json` of the program that made it", name)
			}
		}
	}
	p.Deferred = len(deferred)
	for name, part := range parts {
		if text := string(part); known[name] == nil && !slices.Contains(silent, name) && text != "null" && text != "[]" && text != "{}" {
			p.Unknown = append(p.Unknown, name)
		}
	}
	slices.Sort(p.Unknown)
	for _, r := range slices.Concat(p.Changes, p.Drift) {
		p.Sensitive = r.Change.secrets(p.Sensitive)
	}
	for _, change := range p.Outputs {
		p.Sensitive = change.secrets(p.Sensitive)
	}
	p.Sensitive = append(p.Sensitive, variables(parts)...)
	return p, nil
}

// variables returns the values of variables that the root declares sensitive.
func variables(parts map[string]json.RawMessage) []string {
	var given map[string]struct {
		Value any `json:"value"`
	}
	var config struct {
		Root struct {
			Variables map[string]struct {
				Sensitive bool `json:"sensitive"`
			} `json:"variables"`
		} `json:"root_module"`
	}
	if json.Unmarshal(parts["variables"], &given) != nil || json.Unmarshal(parts["configuration"], &config) != nil {
		return nil
	}
	var secrets []string
	for name, v := range given {
		if config.Root.Variables[name].Sensitive {
			secrets = leaves(v.Value, secrets)
		}
	}
	return secrets
}

func (c resourceChange) secrets(to []string) []string {
	return marked(c.After, c.AfterSensitive, marked(c.Before, c.BeforeSensitive, to))
}

// marked collects the texts in value that the tree of marks covers.
func marked(value, marks any, to []string) []string {
	switch m := marks.(type) {
	case bool:
		if m {
			return leaves(value, to)
		}
	case map[string]any:
		if v, ok := value.(map[string]any); ok {
			for name, inner := range m {
				to = marked(v[name], inner, to)
			}
		}
	case []any:
		if v, ok := value.([]any); ok {
			for n, inner := range m {
				if n < len(v) {
					to = marked(v[n], inner, to)
				}
			}
		}
	}
	return to
}

func leaves(value any, to []string) []string {
	switch v := value.(type) {
	case string:
		return append(to, v)
	case map[string]any:
		for _, inner := range v {
			to = leaves(inner, to)
		}
	case []any:
		for _, inner := range v {
			to = leaves(inner, to)
		}
	}
	return to
}

// covers reports whether a tree of marks has a mark for an attribute.
func covers(marks any, name string) bool {
	switch m := marks.(type) {
	case bool:
		return m
	case map[string]any:
		return holds(m[name])
	}
	return false
}

func holds(marks any) bool {
	switch m := marks.(type) {
	case bool:
		return m
	case map[string]any:
		for _, inner := range m {
			if holds(inner) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(m, holds)
	}
	return false
}

// attributes returns the names of attributes that would change.
func (c resourceChange) attributes() []string {
	before, _ := c.Before.(map[string]any)
	after, _ := c.After.(map[string]any)
	unknown, _ := c.AfterUnknown.(map[string]any)
	names := map[string]bool{}
	for _, side := range []map[string]any{before, after, unknown} {
		for name := range side {
			names[name] = true
		}
	}
	var out []string
	for name := range names {
		old, _ := json.Marshal(before[name])
		now, _ := json.Marshal(after[name])
		if bytes.Equal(old, now) && !holds(unknown[name]) {
			continue
		}
		if covers(c.BeforeSensitive, name) || covers(c.AfterSensitive, name) {
			name += " (sensitive)"
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// The gate's names of actions.
const (
	noop    = "no-op"
	remove  = "delete"
	replace = "replace"
	forget  = "forget"
)

// kind returns the gate's name for a list of actions; empty if unknown.
func (c resourceChange) kind() string {
	switch strings.Join(c.Actions, " ") {
	case noop, "create", "update", "read", remove, forget:
		return c.Actions[0]
	case "delete create", "create delete":
		return replace
	case "forget create", "create forget":
		return "forget and create"
	}
	return ""
}

func (c resourceChange) importing() bool {
	return len(c.Importing) > 0 && string(c.Importing) != "null"
}
