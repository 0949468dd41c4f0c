// SPDX-License-Identifier: GPL-3.0-or-later

package naming

import (
	"fmt"
	"slices"
	"strings"
)

// Systems returns the names of the table's systems, sorted.
func (t *Table) Systems() []string {
	names := make([]string, len(t.systems))
	for i, s := range t.systems {
		names[i] = s.name
	}
	return names
}

func (t *Table) system(name string) (*system, error) {
	s := t.byName[name]
	if s == nil {
		return nil, fmt.Errorf("unknown system %q; known are %s", name, orNone(t.Systems()))
	}
	return s, nil
}

// pick returns the systems with these names, or all if there are none.
func (t *Table) pick(names []string) ([]*system, error) {
	if len(names) == 0 {
		return t.systems, nil
	}
	picked := make([]*system, 0, len(names))
	for at, name := range names {
		s, err := t.system(name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(names[:at], name) {
			picked = append(picked, s)
		}
	}
	return picked, nil
}

// refusedError is a name that a system would refuse, truncate or reserve.
type refusedError struct {
	System   string
	Instance Instance
	Name     string
	Rule     string // the rule's name
	Says     string // the rule in words
	Part     string // the invalid part of the name
	Why      string
}

// Error has the instance, the system, the name with its length, the invalid part and the rule.
func (e *refusedError) Error() string {
	return fmt.Sprintf("%s: its %s would be %q (%d bytes), which is refused: %s; rule %s: %s; shorten or change %s",
		e.Instance, e.System, e.Name, len(e.Name), e.Why, e.Rule, e.Says, e.blame())
}

// blame returns the word to change.
func (e *refusedError) blame() string {
	if e.Instance.Env != Prod && e.Instance.Env != "" && len(e.Instance.Env) > len(e.Instance.App) {
		return fmt.Sprintf("the env %q", e.Instance.Env)
	}
	return fmt.Sprintf("the app %q", e.Instance.App)
}

// Name returns the name of one instance in one system.
func (t *Table) Name(system string, i Instance) (string, error) {
	s, err := t.system(system)
	if err != nil {
		return "", err
	}
	if err := t.check(i); err != nil {
		return "", err
	}
	return s.nameOf(i)
}

func (t *Table) check(i Instance) error {
	if err := t.CheckApp(i.App); err != nil {
		return err
	}
	return t.CheckEnv(i.Env)
}

func (s *system) nameOf(i Instance) (string, error) {
	name := s.pattern(i).fill(i)
	if found := s.rule.check(name); found != nil {
		return name, &refusedError{
			System: s.name, Instance: s.owner(i), Name: name,
			Rule: s.rule.name, Says: s.rule.Says, Part: found.part, Why: found.why,
		}
	}
	return name, nil
}

// Named is an instance with its names.
type Named struct {
	Instance Instance
	Names    map[string]string // by system
}

// Names computes the names of instances in the given systems, or in all. It
// reports every name that a system refuses, and all collisions as one
// Collisions; it returns the valid names even then.
func (t *Table) Names(instances []Instance, systems ...string) ([]Named, error) {
	picked, err := t.pick(systems)
	if err != nil {
		return nil, err
	}
	named := make([]Named, len(instances))
	var problems []error
	for n, i := range instances {
		if err := t.check(i); err != nil {
			problems = append(problems, err)
		}
		names := make(map[string]string, len(picked))
		for _, s := range picked {
			name, err := s.nameOf(i)
			if err != nil {
				problems = append(problems, err)
				continue
			}
			names[s.name] = name
		}
		named[n] = Named{i, names}
	}
	if found := t.collisions(instances, picked); len(found) > 0 {
		problems = append(problems, Collisions(found))
	}
	return named, join(dedupe(problems))
}

// dedupe removes errors with the same text: a name of scope app is refused once per env.
func dedupe(problems []error) []error {
	seen := make(map[string]bool, len(problems))
	return slices.DeleteFunc(problems, func(err error) bool {
		text := err.Error()
		defer func() { seen[text] = true }()
		return seen[text]
	})
}

// Party is one side of a collision.
type Party struct {
	System   string
	Instance Instance // without Env if the name belongs to all envs of the app
}

// String returns the party for messages.
func (p Party) String() string { return fmt.Sprintf("%s as %s", p.Instance, p.System) }

// Collision is one name that two parties would share.
type Collision struct {
	Name   string
	First  Party
	Second Party
}

// String returns the collision for messages.
func (c Collision) String() string {
	if c.First.System == c.Second.System {
		return fmt.Sprintf("%s %q would be both %s and %s", c.First.System, c.Name, c.First.Instance, c.Second.Instance)
	}
	return fmt.Sprintf("%q would be both %s and %s", c.Name, c.First, c.Second)
}

// Collisions is an error: names that several instances would share.
type Collisions []Collision

// Error has the number of collisions, and the first few with both parties.
func (c Collisions) Error() string {
	const shown = 20
	texts := make([]string, 0, shown)
	for _, one := range c[:min(len(c), shown)] {
		texts = append(texts, one.String())
	}
	more := ""
	if len(c) > shown {
		more = fmt.Sprintf(" and %d more", len(c)-shown)
	}
	return fmt.Sprintf("no two may share a name, and %d would be shared: %s%s; rename one party of each", len(c), strings.Join(texts, ", "), more)
}

// collisions reports every name that two of the instances, or two systems of
// one space, would share: each pair once, in the order of the instances.
func (t *Table) collisions(instances []Instance, picked []*system) []Collision {
	spaces := map[string][]*system{}
	var order []string
	for _, s := range picked {
		if spaces[s.Space] == nil {
			order = append(order, s.Space)
		}
		spaces[s.Space] = append(spaces[s.Space], s)
	}
	var found []Collision
	for _, space := range order {
		found = append(found, collisionsIn(spaces[space], instances)...)
	}
	return found
}

// collisionsIn returns the collisions in one space.
func collisionsIn(systems []*system, instances []Instance) []Collision {
	type key struct{ within, name string }
	first := make(map[key]Party, len(instances)*len(systems))
	further := map[key][]Party{} // second and later parties: rare
	var found []Collision
	for _, i := range instances {
		for _, s := range systems {
			k := key{name: s.pattern(i).fill(i)}
			if s.Scope == scopeWithinApp {
				k.within = i.App
			}
			party := Party{s.name, s.owner(i)}
			earlier, taken := first[k]
			if !taken {
				first[k] = party
				continue
			}
			if earlier == party && s.Scope == scopeApp || slices.Contains(further[k], party) && s.Scope == scopeApp {
				continue // the same object, for another env
			}
			found = append(found, Collision{k.name, earlier, party})
			for _, other := range further[k] {
				found = append(found, Collision{k.name, other, party})
			}
			further[k] = append(further[k], party)
		}
	}
	return found
}
