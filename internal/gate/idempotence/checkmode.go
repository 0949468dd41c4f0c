// SPDX-License-Identifier: GPL-3.0-or-later

package idempotence

import (
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/lazyregexp"
)

// keyword is a keyword of a task or a play, as written in its file.
type keyword struct {
	Name  string   `json:"keyword"`
	Value string   `json:"value"` // for messages, shortened
	Texts []string `json:"texts"` // expressions in it
}

// checkMode finds expressions that depend on check mode, directly or through the
// templates of variables. It identifies variables by name alone, so it may report
// too much, but not too little.
type checkMode struct {
	set       map[string]bool            // variables that a task of this run set from a dependent value
	templates map[string]map[string]bool // of the play's variables, its hosts' and its roles', by name
	cache     map[string]bool            // by name of a variable
	imported  map[string]bool            // values of files that were reported
}

var variableName = lazyregexp.New(`[A-Za-z_][A-Za-z0-9_]*`)

// resolve sets Dependencies of tasks and plays, and DependentWhen of results.
func resolve(events []event) {
	c := checkMode{set: map[string]bool{}, imported: map[string]bool{}}
	when := map[string][]string{} // by task
	for i := range events {
		e := &events[i]
		switch e.Kind {
		case "play":
			c.templates, c.cache = map[string]map[string]bool{}, map[string]bool{}
			// The variables follow the play.
			if i+1 < len(events) && events[i+1].Kind == "variables" {
				c.learn(events[i+1].Templates)
			}
			c.play(e)
		case "variables":
			c.learn(e.Templates)
		case "task":
			when[e.ID] = c.task(e)
		case "result":
			e.DependentWhen = when[e.ID]
		}
	}
}

func (c *checkMode) learn(templates map[string][]string) {
	for name, texts := range templates {
		if c.templates[name] == nil {
			c.templates[name] = map[string]bool{}
		}
		for _, text := range texts {
			c.templates[name][text] = true
		}
	}
	clear(c.cache)
}

// play sets the dependencies of a play, also of its keywords that take effect before its first task.
func (c *checkMode) play(e *event) {
	for _, k := range e.Keywords {
		if !c.depends(k.Texts, nil, nil) {
			continue
		}
		e.Dependencies = append(e.Dependencies, k)
		if strings.HasPrefix(k.Name, "import_") {
			c.imported[k.Value] = true
		}
	}
	e.unreadable()
}

// task sets the dependencies of a task, and returns its conditions that depend on check mode.
func (c *checkMode) task(e *event) (when []string) {
	short := e.Action[strings.LastIndex(e.Action, ".")+1:]
	for _, k := range e.Keywords {
		if c.depends(k.Texts, e.Vars, nil) {
			e.Dependencies = append(e.Dependencies, k)
		}
	}
	for _, k := range e.Files {
		if c.depends(k.Texts, e.Vars, nil) && !c.imported[k.Value] {
			c.imported[k.Value] = true
			e.Dependencies = append(e.Dependencies, k)
		}
	}
	// A skipped task has a result; meta has none.
	for _, condition := range e.When {
		if c.depends([]string{condition}, e.Vars, nil) {
			when = append(when, condition)
		}
	}
	if len(when) > 0 && short == "meta" {
		e.Dependencies = append(e.Dependencies, keyword{Name: "when", Value: strings.Join(when, " and ")})
	}
	if len(e.Sets) > 0 && (len(when) > 0 || c.depends(e.Args, e.Vars, nil)) {
		for _, name := range e.Sets {
			c.set[name] = true
		}
		clear(c.cache)
	}
	e.unreadable()
	return when
}

// unreadable treats keywords that the callback could not read as dependencies.
func (e *event) unreadable() {
	if e.Unreadable != "" {
		e.Dependencies = append(e.Dependencies, keyword{Name: "?", Value: "it cannot be read: " + e.Unreadable})
	}
}

// depends returns whether one of the expressions depends on check mode. own are
// the task's variables, seen the variables that are being resolved.
func (c *checkMode) depends(expressions []string, own map[string][]string, seen []string) bool {
	for _, text := range expressions {
		if mentionsCheckMode.MatchString(text) {
			return true
		}
		for _, name := range variableName.FindAllString(text, -1) {
			if c.variable(name, own, seen) {
				return true
			}
		}
	}
	return false
}

func (c *checkMode) variable(name string, own map[string][]string, seen []string) bool {
	if c.set[name] {
		return true
	}
	if slices.Contains(seen, name) {
		return false
	}
	// Variables of a task are visible in that task only.
	if found, ok := c.cache[name]; ok && len(own) == 0 {
		return found
	}
	inner := append(slices.Clone(seen), name)
	found := c.depends(own[name], own, inner)
	for text := range c.templates[name] {
		if found {
			break
		}
		found = c.depends([]string{text}, own, inner)
	}
	// In a cycle, a negative result depends on the variable at which it was entered, so it is not cached.
	if len(own) == 0 && (found || len(seen) == 0) {
		c.cache[name] = found
	}
	return found
}
