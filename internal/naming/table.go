// SPDX-License-Identifier: GPL-3.0-or-later

package naming

import (
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/arcodange-org/sandbox/internal/strictyaml"
)

//go:embed systems.yml
var shipped []byte

// maxConventions is the maximal size of a conventions file.
const maxConventions = 1 << 20

// Scopes: the owner of a name.
const (
	scopeInstance  = "instance"
	scopeApp       = "app"
	scopeWithinApp = "within_app"
)

// system is one row of a table.
type system struct {
	What   string `yaml:"what"`
	Scope  string `yaml:"scope"`
	Space  string `yaml:"space"`
	Prod   string `yaml:"prod"`
	Other  string `yaml:"other"`
	Allows string `yaml:"allows"`

	name        string
	prod, other pattern
	rule        *rule
}

// pattern returns the pattern for i's name.
func (s *system) pattern(i Instance) *pattern {
	if i.Env == Prod || s.Scope == scopeApp {
		return &s.prod
	}
	return &s.other
}

// owner returns the owner of i's name in this system.
func (s *system) owner(i Instance) Instance {
	if s.Scope == scopeApp {
		return Instance{App: i.App}
	}
	return i
}

// Table is a compiled table of systems. It does not change, and may be used by several goroutines.
type Table struct {
	systems      []*system // by name
	byName       map[string]*system
	reservedApps map[string]bool
	reservedEnvs map[string]bool
}

// reservedWords cannot be the name of an app or of an env.
type reservedWords struct {
	Apps []string `yaml:"apps"`
	Envs []string `yaml:"envs"`
}

// tableFile is systems.yml.
type tableFile struct {
	Reserved reservedWords      `yaml:"reserved"`
	Rules    map[string]*rule   `yaml:"rules"`
	Systems  map[string]*system `yaml:"systems"`
}

// conventionsFile is a user's own file.
type conventionsFile struct {
	Base     string             `yaml:"base"`
	Systems  map[string]*system `yaml:"systems"`
	Add      map[string]*system `yaml:"add"`
	Remove   []string           `yaml:"remove"`
	Rules    map[string]*rule   `yaml:"rules"`
	Reserved reservedWords      `yaml:"reserved"`
}

// Values of base in a conventions file.
const (
	baseShipped = "reference"
	baseNone    = "none"
)

// Shipped is the table that comes with the collection: the reference lab's.
func Shipped() (*Table, error) { return compileShipped() }

// compileShipped is cached, since one process may answer many calls.
var compileShipped = sync.OnceValues(func() (*Table, error) {
	file, err := readShipped()
	if err != nil {
		return nil, err
	}
	return file.compile()
})

func readShipped() (*tableFile, error) {
	var file tableFile
	if err := strictyaml.File("systems.yml").Decode(shipped, &file); err != nil {
		return nil, fmt.Errorf("reading the shipped table of names: %w", err)
	}
	return &file, nil
}

// Read returns the shipped table with the changes of a conventions file: other
// patterns, added and removed systems, more reserved words.
// An unknown key, system or rule is an error; name is the file's name in
// YAML errors.
func Read(name string, conventions []byte) (*Table, error) {
	if len(conventions) > maxConventions {
		return nil, fmt.Errorf("the conventions file has %d bytes; %d are read at most", len(conventions), maxConventions)
	}
	var own conventionsFile
	if err := strictyaml.File(name).Decode(conventions, &own); err != nil {
		return nil, err
	}
	file, err := readShipped()
	if err != nil {
		return nil, err
	}
	switch own.Base {
	case "", baseShipped:
	case baseNone:
		file.Systems = map[string]*system{}
	default:
		return nil, fmt.Errorf("base is %q; it must be %q (the shipped table) or %q", own.Base, baseShipped, baseNone)
	}
	if err := own.apply(file); err != nil {
		return nil, err
	}
	return file.compile()
}

// apply merges the user's file into file.
func (own *conventionsFile) apply(file *tableFile) error {
	var problems []error
	unknown := func(key, name string) {
		problems = append(problems, fmt.Errorf("%s: unknown system %q; known are %s; a system of your own goes under `add`",
			key, name, orNone(slices.Sorted(maps.Keys(file.Systems)))))
	}
	for _, name := range slices.Sorted(maps.Keys(own.Rules)) {
		if own.Rules[name] == nil {
			problems = append(problems, fmt.Errorf("rules: %q is empty", name))
			continue
		}
		file.Rules[name] = own.Rules[name]
	}
	for _, name := range slices.Sorted(maps.Keys(own.Systems)) {
		if file.Systems[name] == nil {
			unknown("systems", name)
		} else if own.Systems[name] == nil {
			problems = append(problems, fmt.Errorf("systems: %q is empty; give what is different, or name it under `remove`", name))
		} else {
			file.Systems[name].change(own.Systems[name])
		}
	}
	for _, name := range own.Remove {
		if file.Systems[name] == nil {
			unknown("remove", name)
		}
	}
	for _, name := range own.Remove {
		delete(file.Systems, name)
	}
	for _, name := range slices.Sorted(maps.Keys(own.Add)) {
		switch {
		case file.Systems[name] != nil:
			problems = append(problems, fmt.Errorf("add: the system %q is there already; change it under `systems`", name))
		case own.Add[name] == nil:
			problems = append(problems, fmt.Errorf("add: %q is empty; prod, other and allows are needed", name))
		default:
			file.Systems[name] = own.Add[name]
		}
	}
	file.Reserved.Apps = append(file.Reserved.Apps, own.Reserved.Apps...)
	file.Reserved.Envs = append(file.Reserved.Envs, own.Reserved.Envs...)
	return join(problems)
}

// change copies the other row's values.
func (s *system) change(other *system) {
	for _, field := range []struct {
		into *string
		from string
	}{
		{&s.What, other.What}, {&s.Scope, other.Scope}, {&s.Space, other.Space},
		{&s.Prod, other.Prod}, {&s.Other, other.Other}, {&s.Allows, other.Allows},
	} {
		if field.from != "" {
			*field.into = field.from
		}
	}
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// compile checks all rows and returns the table.
func (file *tableFile) compile() (*Table, error) {
	t := &Table{byName: map[string]*system{}, reservedApps: map[string]bool{}, reservedEnvs: map[string]bool{}}
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(file.Rules)) {
		if err := file.Rules[name].compile(name); err != nil {
			problems = append(problems, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(file.Systems)) {
		s := file.Systems[name]
		if err := s.compile(name, file.Rules); err != nil {
			problems = append(problems, fmt.Errorf("system %q: %w", name, err))
			continue
		}
		t.systems = append(t.systems, s)
		t.byName[name] = s
	}
	for _, word := range file.Reserved.Apps {
		t.reservedApps[word] = true
	}
	for _, word := range file.Reserved.Envs {
		if word == Prod {
			problems = append(problems, fmt.Errorf("reserved: the env %q cannot be reserved, every app has it", Prod))
		}
		t.reservedEnvs[word] = true
	}
	if len(file.Systems) == 0 {
		problems = append(problems, errors.New("the table has no system; name at least one under `add`"))
	}
	if err := join(problems); err != nil {
		return nil, err
	}
	return t, nil
}

// compile checks one row.
func (s *system) compile(name string, rules map[string]*rule) error {
	s.name = name
	if !isIdentifier(name) {
		return errors.New("a system's name must be lower-case letters, digits and underscores, beginning with a letter")
	}
	if s.Scope == "" {
		s.Scope = scopeInstance
	}
	if s.Space == "" {
		s.Space = name
	}
	s.rule = rules[s.Allows]
	if s.rule == nil {
		return fmt.Errorf("allows: unknown rule %q; known are %s", s.Allows, orNone(slices.Sorted(maps.Keys(rules))))
	}
	if err := s.compilePatterns(); err != nil {
		return err
	}
	// The fixed text of a pattern must be allowed as well.
	for _, sample := range []Instance{{"a", Prod}, {"a", "b"}} {
		filled := s.pattern(sample).fill(sample)
		if found := s.rule.check(filled); found != nil {
			return fmt.Errorf("%q matches no valid name: %s (rule %q: %s)", s.pattern(sample).text, found.why, s.rule.name, s.rule.Says)
		}
	}
	return nil
}

func (s *system) compilePatterns() error {
	var err error
	if s.prod, err = parsePattern(s.Prod); err != nil {
		return fmt.Errorf("prod: %w", err)
	}
	if s.prod.hasEnv {
		return fmt.Errorf("prod: %q contains %s, which production's names must not", s.Prod, envMark)
	}
	if !s.prod.hasApp && s.Scope != scopeWithinApp {
		return fmt.Errorf("prod: %q lacks %s, so that all apps would have one name", s.Prod, appMark)
	}
	switch s.Scope {
	case scopeApp:
		if s.Other != "" {
			return fmt.Errorf("other: a name of scope %q is the same in every env; remove %q or the scope", scopeApp, s.Other)
		}
		return nil
	case scopeInstance, scopeWithinApp:
	default:
		return fmt.Errorf("scope is %q; it must be %s, %s or %s", s.Scope, scopeInstance, scopeApp, scopeWithinApp)
	}
	if s.other, err = parsePattern(s.Other); err != nil {
		return fmt.Errorf("other: %w", err)
	}
	if !s.other.hasEnv {
		return fmt.Errorf("other: %q lacks %s, so that all envs of an app would have one name", s.Other, envMark)
	}
	if !s.other.hasApp && s.Scope != scopeWithinApp {
		return fmt.Errorf("other: %q lacks %s, so that all apps would have one name", s.Other, appMark)
	}
	return nil
}

func isIdentifier(name string) bool {
	for at, r := range name {
		if (r < 'a' || r > 'z') && (at == 0 || r != '_' && (r < '0' || r > '9')) {
			return false
		}
	}
	return name != ""
}
