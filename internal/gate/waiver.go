// SPDX-License-Identifier: GPL-3.0-or-later

package gate

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/arcodange-org/sandbox/internal/oneline"
	"github.com/arcodange-org/sandbox/internal/strictyaml"
)

// longest is the maximal validity of a waiver: after a year a person must renew it.
const longest = 366 * 24 * time.Hour

// Waiver accepts findings of one rule, for a reason, until a date. Path, Task,
// Resource and Host are patterns: * is any text, in a path any text without a
// slash, and ** is any text. A resource without an index matches all of its
// instances. At least one of the four is needed; all that are set must match.
type Waiver struct {
	Rule     string `arg:"rule" json:"rule"` // id, or gate/id in a file for several gates
	Path     string `arg:"path" json:"path,omitempty"`
	Task     string `arg:"task" json:"task,omitempty"`
	Resource string `arg:"resource" json:"resource,omitempty"`
	Host     string `arg:"host" json:"host,omitempty"`
	Reason   string `arg:"reason" json:"reason"`
	Expires  string `arg:"expires" json:"expires"` // last day, YYYY-MM-DD in UTC
	Where    string `json:"where,omitempty"`       // file:line
}

// String returns the waiver for the evidence.
func (w Waiver) String() string {
	return fmt.Sprintf("%s %s until %s: %s", w.Rule, w.subject(), w.Expires, w.Reason)
}

// subject returns the patterns of the waiver.
func (w Waiver) subject() string {
	var out []string
	for _, part := range []string{w.Path, w.Task, w.Resource} {
		if part != "" {
			out = append(out, part)
		}
	}
	if w.Host != "" {
		out = append(out, "on "+w.Host)
	}
	return strings.Join(out, " ")
}

// ReadWaivers reads the waivers of a gate from a YAML file: a list of mappings
// with the keys of Waiver. Entries whose rule begins with another gate's name
// and a slash are left out.
func ReadWaivers(file, gate string) ([]Waiver, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("waivers: %w", err)
	}
	return parseWaivers(file, data, gate)
}

func parseWaivers(file string, data []byte, gate string) ([]Waiver, error) {
	f := strictyaml.File(file)
	root, err := f.Document(data)
	if err != nil {
		return nil, fmt.Errorf("waivers %w", err)
	}
	waivers := []Waiver{}
	seen := map[Waiver]string{}
	err = f.List(root, func(n *yaml.Node) error {
		w := Waiver{Where: fmt.Sprintf("%s:%d", file, n.Line)}
		text := func(into *string) func(*yaml.Node) error {
			return func(n *yaml.Node) error {
				if n.Kind != yaml.ScalarNode || n.Tag != "!!str" && n.Tag != "!!timestamp" {
					return f.At(n, "not text; put it in quotes")
				}
				*into = oneline.Join(n.Value)
				return nil
			}
		}
		err := f.Mapping(n, []string{"rule", "reason", "expires"}, strictyaml.Keys{
			"rule": text(&w.Rule), "path": text(&w.Path), "task": text(&w.Task), "resource": text(&w.Resource), "host": text(&w.Host),
			"reason": text(&w.Reason), "expires": text(&w.Expires),
		})
		if err != nil {
			return err
		}
		if name, rule, ok := strings.Cut(w.Rule, "/"); ok {
			if name != gate {
				return nil
			}
			w.Rule = rule
		}
		bare := w
		bare.Reason, bare.Expires, bare.Where = "", "", ""
		if first, ok := seen[bare]; ok {
			return f.At(n, "repeats the waiver at %s; remove one", first)
		}
		seen[bare] = w.Where
		waivers = append(waivers, w)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("waivers %w", err)
	}
	return waivers, nil
}

// validFor returns an error if a waiver is invalid for a gate with these rules.
func (w Waiver) validFor(rules map[string]Info, now time.Time) error {
	name := fmt.Sprintf("waiver %q", strings.TrimSpace(w.Rule+" "+w.subject()))
	if w.Where != "" {
		name += " at " + w.Where
	}
	info, ok := rules[w.Rule]
	switch {
	case !ok:
		return fmt.Errorf("%s: no rule of this gate is called %q; see docs/rules.md", name, w.Rule)
	case info.NeverWaive != "":
		return fmt.Errorf("%s: findings of %s cannot be waived; %s", name, w.Rule, info.NeverWaive)
	case strings.TrimSpace(w.Reason) == "":
		return fmt.Errorf("%s: reason is empty; write why this is acceptable", name)
	case strings.Trim(w.Path+w.Task+w.Resource+w.Host, "*/ ") == "":
		return fmt.Errorf("%s: it covers every finding of the rule; set path, task, resource or host", name)
	case strings.HasPrefix(w.Path, "*"):
		return fmt.Errorf("%s: path begins with a wildcard; name its first part", name)
	}
	day, err := time.Parse(time.DateOnly, w.Expires)
	if err != nil {
		return fmt.Errorf("%s: expires is not a day (got %q); write YYYY-MM-DD", name, w.Expires)
	}
	if day.Sub(now) > longest {
		return fmt.Errorf("%s: expires is more than a year ahead (got %s); choose a day by which it is looked at again", name, w.Expires)
	}
	return nil
}

// expired returns whether the last day of a valid waiver is over.
func (w Waiver) expired(now time.Time) bool {
	day, err := time.Parse(time.DateOnly, w.Expires)
	return err != nil || !now.Before(day.AddDate(0, 0, 1))
}

func (w Waiver) covers(f Finding) bool {
	return w.Rule == f.Rule &&
		(w.Path == "" || match(w.Path, f.Path, "[^/]*")) &&
		(w.Task == "" || match(w.Task, f.Task, ".*")) &&
		(w.Resource == "" || match(w.Resource, f.Resource, ".*") || !strings.Contains(w.Resource, "[") && match(w.Resource, withoutIndexes(f.Resource), ".*")) &&
		(w.Host == "" || match(w.Host, f.Host, ".*"))
}

// match returns whether a pattern matches a whole text; star is the
// regular expression for *.
func match(pattern, text, star string) bool {
	if pattern == text {
		return true
	}
	if !strings.Contains(pattern, "*") {
		return false
	}
	quoted := regexp.QuoteMeta(pattern)
	quoted = strings.ReplaceAll(quoted, `\*\*`, "\x00")
	quoted = strings.ReplaceAll(quoted, `\*`, star)
	quoted = strings.ReplaceAll(quoted, "\x00", ".*")
	return regexp.MustCompile(`(?s)\A` + quoted + `\z`).MatchString(text)
}

// index is an instance key in an address: [0], ["name"].
var index = regexp.MustCompile(`\[(?:\d+|"(?:[^"\\]|\\.)*")\]`)

func withoutIndexes(address string) string { return index.ReplaceAllString(address, "") }
