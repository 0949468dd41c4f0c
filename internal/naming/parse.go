// SPDX-License-Identifier: GPL-3.0-or-later

package naming

import (
	"fmt"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/oneline"
)

// Ambiguous is a name that several instances could have.
type Ambiguous struct {
	System     string
	Name       string
	Candidates []Instance
}

// Error has every candidate.
func (e *Ambiguous) Error() string {
	texts := make([]string, len(e.Candidates))
	for i, candidate := range e.Candidates {
		texts[i] = candidate.String()
	}
	return fmt.Sprintf("%s %q is ambiguous: it could be %s; give the known apps and envs", e.System, e.Name, strings.Join(texts, " or "))
}

// Parse returns the instance that has a name: one of the known instances, if
// given, else the only one that could have it. If several could, the
// error is an *Ambiguous. App or Env is empty if the system's names do
// not contain it.
func (t *Table) Parse(system, name string, known ...Instance) (Instance, error) {
	s, err := t.system(system)
	if err != nil {
		return Instance{}, err
	}
	if found := s.rule.check(name); found != nil {
		return Instance{}, fmt.Errorf("%s %q is not a valid name: %s; rule %s: %s", system, oneline.Cut(name, 80), found.why, s.rule.name, s.rule.Says)
	}
	candidates := t.candidates(s, name)
	if len(known) > 0 {
		candidates = among(s, candidates, known)
	}
	switch len(candidates) {
	case 0:
		return Instance{}, fmt.Errorf("%s %q cannot be the name of an app; names have the form %s", system, name, s.forms())
	case 1:
		return candidates[0], nil
	}
	return Instance{}, &Ambiguous{system, name, candidates}
}

func (s *system) forms() string {
	if s.Scope == scopeApp {
		return s.Prod
	}
	return fmt.Sprintf("%s in %s and %s in other envs", s.Prod, Prod, s.Other)
}

// candidates are the valid instances that have the name.
func (t *Table) candidates(s *system, name string) []Instance {
	var found []Instance
	add := func(i Instance) {
		if i.App != "" && t.CheckApp(i.App) != nil || i.Env != "" && t.CheckEnv(i.Env) != nil {
			return
		}
		if !slices.Contains(found, i) {
			found = append(found, i)
		}
	}
	for _, i := range s.prod.match(name) {
		if s.Scope != scopeApp {
			i.Env = Prod
		}
		add(i)
	}
	for _, i := range s.other.match(name) {
		if i.Env != Prod && i.Env != "" {
			add(i)
		}
	}
	return found
}

// among returns the known instances that match a candidate; if the system's names
// lack App or Env, these are taken from the known ones.
func among(s *system, candidates, known []Instance) []Instance {
	var found []Instance
	for _, k := range known {
		for _, c := range candidates {
			match := s.owner(k)
			if c.App == "" {
				match.App = ""
			}
			if match == c && !slices.Contains(found, s.owner(k)) {
				found = append(found, s.owner(k))
			}
		}
	}
	return found
}
