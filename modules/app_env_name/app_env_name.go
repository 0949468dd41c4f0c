// SPDX-License-Identifier: GPL-3.0-or-later

// Package appenvname is the module app_env_name: it binds arguments and calls
// internal/naming.
package appenvname

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/internal/naming"
)

// Module describes app_env_name.
func Module() ansible.Module {
	return ansible.Module{
		Name:      "app_env_name",
		CheckMode: true,
		Spec: ansible.Spec{
			Options:           options(),
			MutuallyExclusive: [][]string{{"app", "apps"}, {"env", "apps"}},
			RequiredOneOf:     [][]string{{"app", "apps"}},
		},
		Run: run,
	}
}

type expectation struct {
	App   string         `arg:"app"`
	Env   string         `arg:"env"`
	Names map[string]any `arg:"names"`
}

type arguments struct {
	App         *string       `arg:"app"`
	Env         *string       `arg:"env"`
	Apps        []any         `arg:"apps"`
	Systems     []string      `arg:"systems"`
	Conventions string        `arg:"conventions"`
	WithTable   bool          `arg:"with_table"`
	Expect      []expectation `arg:"expect"`
}

// party, collision and difference are what the module returns besides names.
type party struct {
	System string  `json:"system"`
	App    string  `json:"app"`
	Env    *string `json:"env"` // null: the name belongs to all envs of the app
}

type collision struct {
	Name   string `json:"name"`
	First  party  `json:"first"`
	Second party  `json:"second"`
}

type difference struct {
	App      string  `json:"app"`
	Env      string  `json:"env"`
	System   string  `json:"system"`
	Expected string  `json:"expected"`
	Found    *string `json:"found"` // null: the instance or system no longer exists
}

func run(_ context.Context, c *ansible.Call) error {
	var args arguments
	if err := c.Bind(&args); err != nil {
		return err
	}
	table, err := table(args.Conventions)
	if err != nil {
		return err
	}
	if args.WithTable {
		data, err := table.Export()
		if err != nil {
			return err
		}
		c.Return("table", json.RawMessage(data))
	}
	instances, err := args.instances(table)
	if err != nil {
		return err
	}
	named, err := table.Names(instances, args.Systems...)
	if named == nil && err != nil {
		return err
	}
	c.Return("instances", returned(named))
	if args.App != nil && len(named) == 1 {
		c.Return("names", named[0].Names)
	}
	var shared naming.Collisions
	errors.As(err, &shared)
	c.Return("collisions", collisions(shared))
	if err != nil {
		return err
	}
	return compare(c, table, named, args)
}

func table(conventions string) (*naming.Table, error) {
	if conventions == "" {
		return naming.Shipped()
	}
	data, err := os.ReadFile(conventions)
	if err != nil {
		return nil, fmt.Errorf("reading the conventions: %w; name a file that is on the controller", err)
	}
	table, err := naming.Read(filepath.Base(conventions), data)
	if err != nil {
		return nil, fmt.Errorf("reading the conventions %s: %w", conventions, err)
	}
	return table, nil
}

func (a *arguments) instances(table *naming.Table) ([]naming.Instance, error) {
	if a.App != nil {
		env := naming.Prod
		if a.Env != nil {
			env = *a.Env
		}
		return table.Instances([]naming.App{{Name: *a.App, Envs: []string{env}}})
	}
	apps := make([]naming.App, len(a.Apps))
	for n, element := range a.Apps {
		var err error
		if apps[n], err = app(element); err != nil {
			return nil, fmt.Errorf("element %d of apps: %w", n, err)
		}
	}
	return table.Instances(apps)
}

// app reads one element of apps: a name, which means only production, or a mapping of name and envs.
func app(element any) (naming.App, error) {
	const form = "it must be a name, or a mapping of name and envs"
	switch element := element.(type) {
	case string:
		return naming.App{Name: element}, nil
	case map[string]any:
		var app naming.App
		for _, key := range slices.Sorted(maps.Keys(element)) {
			switch value := element[key].(type) {
			case string:
				if key != "name" {
					return app, fmt.Errorf("%s is a text; %s, and envs a list", key, form)
				}
				app.Name = value
			case []any:
				if key != "envs" {
					return app, fmt.Errorf("%s is a list; %s", key, form)
				}
				if len(value) == 0 {
					return app, errors.New("envs is empty; leave it out for production alone, or leave the app out")
				}
				for _, env := range value {
					text, ok := env.(string)
					if !ok {
						return app, fmt.Errorf("envs: %v is not a string", env)
					}
					app.Envs = append(app.Envs, text)
				}
			default:
				return app, fmt.Errorf("%s cannot be %v; %s", key, value, form)
			}
		}
		if _, ok := element["name"]; !ok {
			return app, fmt.Errorf("name is missing; %s", form)
		}
		return app, nil
	}
	return naming.App{}, fmt.Errorf("%v is neither a text nor a mapping; %s", element, form)
}

func returned(named []naming.Named) []any {
	list := make([]any, len(named))
	for n, one := range named {
		list[n] = map[string]any{"app": one.Instance.App, "env": one.Instance.Env, "key": one.Instance.Key(), "names": one.Names}
	}
	return list
}

func collisions(shared naming.Collisions) []collision {
	list := make([]collision, len(shared))
	for n, one := range shared {
		list[n] = collision{one.Name, side(one.First), side(one.Second)}
	}
	return list
}

func side(p naming.Party) party {
	side := party{System: p.System, App: p.Instance.App}
	if p.Instance.Env != "" {
		side.Env = &p.Instance.Env
	}
	return side
}

// compare fails if a recorded name has changed, or its app or env is gone.
func compare(c *ansible.Call, table *naming.Table, named []naming.Named, args arguments) error {
	now := make(map[naming.Instance]map[string]string, len(named))
	for _, one := range named {
		now[one.Instance] = one.Names
	}
	known := table.Systems()
	different := []difference{}
	for n, expected := range args.Expect {
		if len(expected.Names) == 0 {
			return fmt.Errorf("element %d of expect has no names; record what the module returned as instances", n)
		}
		for _, system := range slices.Sorted(maps.Keys(expected.Names)) {
			if len(args.Systems) > 0 && !slices.Contains(args.Systems, system) && slices.Contains(known, system) {
				continue // not requested
			}
			text, ok := expected.Names[system].(string)
			if !ok {
				return fmt.Errorf("element %d of expect: the name for %s is %v, not a string", n, system, expected.Names[system])
			}
			d := difference{App: expected.App, Env: expected.Env, System: system, Expected: text}
			if found, ok := now[naming.Instance{App: expected.App, Env: expected.Env}][system]; ok {
				if found == text {
					continue
				}
				d.Found = &found
			}
			different = append(different, d)
			c.Contrast(fmt.Sprintf("%s of %s", system, naming.Instance{App: expected.App, Env: expected.Env}.Key()), text, d.Found)
		}
	}
	if args.Expect != nil {
		c.Return("differences", different)
	}
	if len(different) == 0 {
		return nil
	}
	const shown = 20
	text := ""
	for _, d := range different[:min(len(different), shown)] {
		i := naming.Instance{App: d.App, Env: d.Env}
		if d.Found == nil {
			text += fmt.Sprintf("; %s of %s was %q and no longer exists", d.System, i.Key(), d.Expected)
		} else {
			text += fmt.Sprintf("; %s of %s was %q and would be %q", d.System, i.Key(), d.Expected, *d.Found)
		}
	}
	if more := len(different) - shown; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return fmt.Errorf("names are not what was recorded (%d): %s; change the rule back, or record the new names once everything has moved",
		len(different), text[2:])
}
