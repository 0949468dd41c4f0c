// SPDX-License-Identifier: GPL-3.0-or-later

package ansible

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/oneline"
)

// Spec describes the options of a module, or of a dict.
type Spec struct {
	Options map[string]Option

	// Each group lists options by name. An option counts as given if it is in
	// the arguments, even as null, or has a default.
	MutuallyExclusive [][]string
	RequiredTogether  [][]string
	RequiredOneOf     [][]string
	RequiredIf        []RequiredIf
}

// Option is one argument.
type Option struct {
	Type     Type
	Elements Type // of a List; Raw keeps the items unchanged
	Required bool
	Default  any      // coerced like a given value; must be nil if Required
	Choices  []string // for Str and Int, and for a List of them
	Aliases  []string
	NoLog    bool  // its values are masked in all output
	Spec     *Spec // suboptions of a Dict or a List of Dict
}

// RequiredIf requires other options (all of Then, or any of it) if Option has the value Is.
type RequiredIf struct {
	Option string
	Is     any
	Then   []string
	AnyOf  bool
}

// check returns an error if the spec is invalid.
func (s *Spec) check(where string) error {
	owner := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(s.Options)) {
		o := s.Options[name]
		at := where + name
		if err := o.check(at); err != nil {
			return err
		}
		for _, known := range append([]string{name}, o.Aliases...) {
			if other, ok := owner[known]; ok {
				return fmt.Errorf("%s: the name %q belongs to %s already", at, known, other)
			}
			if known == CallKey || strings.HasPrefix(known, "_ansible_") {
				return fmt.Errorf("%s: the name %q is reserved", at, known)
			}
			owner[known] = at
		}
	}
	groups := slices.Concat(s.MutuallyExclusive, s.RequiredTogether, s.RequiredOneOf)
	for _, r := range s.RequiredIf {
		groups = append(groups, append([]string{r.Option}, r.Then...))
		if _, err := valueOf(r.Is); err != nil {
			return fmt.Errorf("%s%s: RequiredIf: %w", where, r.Option, err)
		}
	}
	for _, name := range slices.Concat(groups...) {
		if _, ok := s.Options[name]; !ok {
			return fmt.Errorf("%s%s: a group names an option that is not there", where, name)
		}
	}
	return nil
}

func (o *Option) check(at string) error {
	ofDicts := o.Type == Dict || o.Type == List && o.Elements == Dict
	item := o.Type
	if o.Type == List {
		item = o.Elements
	}
	switch {
	case int(o.Type) >= len(typeNames) || int(o.Elements) >= len(typeNames):
		return fmt.Errorf("%s: no such type", at)
	case o.Required && o.Default != nil:
		return fmt.Errorf("%s: it cannot be required and have a default", at)
	case o.Elements != Str && o.Type != List:
		return fmt.Errorf("%s: only a list has elements", at)
	case o.Spec != nil && !ofDicts:
		return fmt.Errorf("%s: only a dict or a list of dict has a spec inside", at)
	case len(o.Choices) > 0 && item != Str && item != Int:
		return fmt.Errorf("%s: only str and int have choices", at)
	}
	if _, err := valueOf(o.Default); err != nil {
		return fmt.Errorf("%s: default: %w", at, err)
	}
	if o.Spec != nil {
		return o.Spec.check(at + ".")
	}
	return nil
}

// parsed is the result of parsing arguments: coerced values and problems.
type parsed struct {
	args     *dict
	unknown  []string // paths of arguments that no option has
	problems []string
	warnings []string
	secrets  *secrets
}

func (p *parsed) problem(where, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if where != "" {
		text += " found in " + strings.TrimSuffix(where, ".")
	}
	p.problems = append(p.problems, text)
}

// parse applies s to the arguments in the order AnsibleModule does it.
// It changes given.
func (s *Spec) parse(given *dict, secrets *secrets) *parsed {
	p := &parsed{secrets: secrets}
	p.apply(s, given, "")
	p.args = s.only(given)
	return p
}

// only removes aliases and unknown keys, also in suboptions.
func (s *Spec) only(given *dict) *dict {
	out := newDict()
	for _, name := range slices.Sorted(maps.Keys(s.Options)) {
		value, _ := given.get(name)
		if inner := s.Options[name].Spec; inner != nil {
			switch v := value.(type) {
			case *dict:
				value = inner.only(v)
			case []any:
				items := slices.Clone(v)
				for i, item := range items {
					if item, ok := item.(*dict); ok {
						items[i] = inner.only(item)
					}
				}
				value = items
			}
		}
		out.set(name, value)
	}
	return out
}

func (p *parsed) apply(s *Spec, given *dict, where string) {
	names := slices.Sorted(maps.Keys(s.Options))
	p.aliases(s, names, given, where)
	p.hide(s, names, given, where)
	p.refuseUnknown(s, names, given, where)
	for _, group := range s.MutuallyExclusive {
		if count(group, given) > 1 {
			p.problem(where, "parameters are mutually exclusive: %s", strings.Join(group, "|"))
		}
	}
	for _, name := range names {
		if o := s.Options[name]; o.Default != nil && !given.has(name) {
			value, _ := valueOf(o.Default)
			if o.NoLog {
				p.secrets.addValue(value)
			}
			given.set(name, value)
		}
	}
	var missing []string
	for _, name := range names {
		if s.Options[name].Required && !given.has(name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		p.problem(where, "missing required arguments: %s", strings.Join(missing, ", "))
	}
	for _, name := range names {
		p.coerce(name, s.Options[name], given, where)
	}
	for _, name := range names {
		p.choices(name, s.Options[name], given, where)
	}
	p.groups(s, given, where)
	for _, name := range names {
		if !given.has(name) {
			given.set(name, nil)
		}
	}
	for _, name := range names {
		p.inside(name, s.Options[name], given, where)
	}
}

func count(group []string, given *dict) int {
	n := 0
	for _, name := range group {
		if given.has(name) {
			n++
		}
	}
	return n
}

// aliases copies the values of aliases to their options. An alias overrides the
// name, with a warning; the last alias overrides the others.
func (p *parsed) aliases(s *Spec, names []string, given *dict, where string) {
	for _, name := range names {
		for _, alias := range s.Options[name].Aliases {
			value, ok := given.get(alias)
			if !ok {
				continue
			}
			if given.has(name) {
				p.warnings = append(p.warnings, fmt.Sprintf("Both option %s%s and its alias %s%s are set.", where, name, where, alias))
				if old, _ := given.get(name); s.Options[name].NoLog {
					p.secrets.addValue(old)
				}
			}
			given.set(name, value)
		}
	}
}

// hide collects the secrets, before any error message can quote them.
func (p *parsed) hide(s *Spec, names []string, given *dict, where string) {
	for _, name := range names {
		o := s.Options[name]
		value, ok := given.get(name)
		if !ok || value == nil {
			continue
		}
		if o.NoLog {
			p.secrets.addValue(value)
		}
		if o.Spec == nil {
			continue
		}
		items, isList := value.([]any)
		if !isList {
			items = []any{value}
		}
		for _, item := range items {
			inner, err := coerceDict(item)
			object, ok := inner.(*dict)
			if err != nil || !ok {
				if text, ok := item.(string); ok && o.Spec.hasSecrets() {
					p.secrets.add(text)
				}
				p.problem(where, "%s: an item cannot be read as dict; %s", name, wanted[Dict])
				continue
			}
			p.hide(o.Spec, slices.Sorted(maps.Keys(o.Spec.Options)), object, where+name+".")
			for _, innerOption := range o.Spec.Options {
				if innerOption.NoLog {
					for _, alias := range innerOption.Aliases {
						value, _ := object.get(alias)
						p.secrets.addValue(value)
					}
				}
			}
		}
	}
}

func (s *Spec) hasSecrets() bool {
	for _, o := range s.Options {
		if o.NoLog || o.Spec != nil && o.Spec.hasSecrets() {
			return true
		}
	}
	return false
}

func (p *parsed) refuseUnknown(s *Spec, names []string, given *dict, where string) {
	known := map[string]bool{}
	for _, name := range names {
		known[name] = true
		for _, alias := range s.Options[name].Aliases {
			known[alias] = true
		}
	}
	for _, key := range given.keys {
		if !known[key] {
			p.unknown = append(p.unknown, where+key)
		}
	}
}

// supported lists the options with their aliases.
func (s *Spec) supported() string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(s.Options)) {
		if aliases := s.Options[name].Aliases; len(aliases) > 0 {
			name += " (" + strings.Join(slices.Sorted(slices.Values(aliases)), ", ") + ")"
		}
		out = append(out, name)
	}
	return strings.Join(out, ", ")
}

// at returns the spec that has the option with a path such as "disks.size".
func (s *Spec) at(path string) *Spec {
	for {
		name, rest, deeper := strings.Cut(path, ".")
		inner := s.Options[name].Spec
		if !deeper || inner == nil {
			return s
		}
		s, path = inner, rest
	}
}

func (p *parsed) coerce(name string, o Option, given *dict, where string) {
	value, ok := given.get(name)
	if !ok || value == nil && !o.Required && o.Default == nil {
		return
	}
	result, err := coerce(o.Type, value)
	if err != nil {
		p.cannot(where+name, o, value, o.Type)
		return
	}
	if list, ok := result.([]any); ok && o.Type == List {
		items := make([]any, 0, len(list))
		for i, item := range list {
			item, err := coerce(o.Elements, item)
			if err != nil {
				p.cannot(fmt.Sprintf("%s%s[%d]", where, name, i), o, list[i], o.Elements)
				continue
			}
			items = append(items, item)
		}
		result = items
	}
	if o.NoLog {
		p.secrets.addValue(result)
	}
	given.set(name, result)
}

// cannot adds a problem with the argument's path, its value unless that may be secret, and the valid values.
func (p *parsed) cannot(path string, o Option, value any, t Type) {
	shown := kind(value)
	if !o.NoLog && (o.Spec == nil || !o.Spec.hasSecrets()) {
		shown = show(value)
	}
	p.problems = append(p.problems, fmt.Sprintf("argument %s: %s cannot be read as %s; %s", path, shown, t, wanted[t]))
}

// kind returns the type of a JSON value, for messages.
func kind(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case []any:
		return "a list"
	case *dict:
		return "a dictionary"
	default:
		return "a number"
	}
}

// show is kind with the value of a scalar, cut to a readable length.
func show(value any) string {
	switch v := value.(type) {
	case nil, []any, *dict:
		return kind(value)
	case string:
		return fmt.Sprintf("%q", oneline.Cut(v, 60))
	default:
		return pyStr(value)
	}
}

func (p *parsed) choices(name string, o Option, given *dict, where string) {
	value, ok := given.get(name)
	if len(o.Choices) == 0 || !ok {
		return
	}
	is := func(item any) bool {
		switch item.(type) {
		case string:
			return (o.Type == Str || o.Elements == Str && o.Type == List) && slices.Contains(o.Choices, pyStr(item))
		case nil, []any, *dict:
			return false
		default:
			return slices.Contains(o.Choices, pyStr(item))
		}
	}
	items, isList := value.([]any)
	if !isList {
		items = []any{value}
	}
	if text, ok := value.(string); ok && !is(value) {
		if word := unbool(text, o.Choices); word != "" {
			given.set(name, word)
			return
		}
	}
	for _, item := range items {
		if is(item) {
			continue
		}
		shown := kind(item)
		if !o.NoLog {
			shown = show(item)
		}
		p.problem(where, "value of %s must be one of: %s, got: %s", name, strings.Join(o.Choices, ", "), shown)
	}
}

// unbool converts a boolean that YAML made of yes or off back to the choice, if only one matches.
func unbool(text string, choices []string) string {
	words := map[string][]string{
		"True":  {"y", "yes", "on", "1", "true", "t"},
		"False": {"n", "no", "off", "0", "false", "f"},
	}[text]
	found := ""
	for _, choice := range choices {
		if slices.Contains(words, choice) {
			if found != "" {
				return ""
			}
			found = choice
		}
	}
	return found
}

func (p *parsed) groups(s *Spec, given *dict, where string) {
	for _, group := range s.RequiredTogether {
		if n := count(group, given); n > 0 && n < len(group) {
			p.problem(where, "parameters are required together: %s", strings.Join(group, ", "))
		}
	}
	for _, group := range s.RequiredOneOf {
		if count(group, given) == 0 {
			p.problem(where, "one of the following is required: %s", strings.Join(group, ", "))
		}
	}
	for _, r := range s.RequiredIf {
		is, _ := valueOf(r.Is)
		if value, ok := given.get(r.Option); !ok || !equal(value, is) {
			continue
		}
		var missing []string
		for _, name := range r.Then {
			if !given.has(name) {
				missing = append(missing, name)
			}
		}
		need := "all"
		if r.AnyOf {
			need = "any"
		}
		if len(missing) > 0 && (!r.AnyOf || len(missing) == len(r.Then)) {
			p.problem(where, "%s is %s but %s of the following are missing: %s",
				r.Option, pyStr(is), need, strings.Join(missing, ", "))
		}
	}
}

// inside parses the suboptions of dicts.
func (p *parsed) inside(name string, o Option, given *dict, where string) {
	value, _ := given.get(name)
	if o.Spec == nil || value == nil {
		return
	}
	if object, ok := value.(*dict); ok {
		p.apply(o.Spec, object, where+name+".")
		return
	}
	items, _ := value.([]any)
	for _, item := range items {
		if object, ok := item.(*dict); ok {
			p.apply(o.Spec, object, where+name+".")
		}
	}
}

// err returns all problems as one line, in order.
func (p *parsed) err(module string, spec *Spec, ignoreUnknown bool) error {
	problems := slices.Compact(slices.Clone(p.problems))
	if len(p.unknown) > 0 && !ignoreUnknown {
		unknown := slices.Compact(slices.Sorted(slices.Values(p.unknown)))
		problems = append(problems, fmt.Sprintf("Unsupported parameters for (%s) module: %s. Supported parameters include: %s.",
			module, strings.Join(unknown, ", "), spec.at(unknown[0]).supported()))
	}
	if len(problems) == 0 {
		return nil
	}
	return errors.New(strings.Join(problems, "; "))
}
