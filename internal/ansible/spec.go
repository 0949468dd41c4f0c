// SPDX-License-Identifier: GPL-3.0-or-later

package ansible

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sort"
	"strings"
)

// Type is the type of an option, by AnsibleModule's names.
type Type int

// The types of AnsibleModule. The zero Type is Str, as there.
const (
	Str Type = iota
	Int
	Float
	Bool
	Path    // a string with ~ and $VARIABLES expanded
	List    // a list, or a string split at commas
	Dict    // a mapping, or a string of JSON or key=value words
	Raw     // whatever came
	JSONArg // a string of JSON; a list or mapping is written as JSON
	Bytes   // a size such as 2G, in bytes
)

var typeNames = [...]string{"str", "int", "float", "bool", "path", "list", "dict", "raw", "jsonarg", "bytes"}

// String is the name that module documentation uses.
func (t Type) String() string { return typeNames[t] }

// Option describes one argument of a module.
type Option struct {
	Type     Type
	Elements Type // of a List; Raw leaves the elements as they came
	Required bool
	Default  any      // nil means none; MUST already be of Type
	Choices  []string // what a Str, or every element of a List, may be
	Aliases  []string
	NoLog    bool  // a secret: its value never leaves the program
	Spec     *Spec // options of a Dict, or of each element of a List of Dict
}

// Spec is the argument spec of a module or of a nested option.
type Spec struct {
	Options           map[string]Option
	MutuallyExclusive [][]string
	RequiredTogether  [][]string
	RequiredOneOf     [][]string
	RequiredIf        []RequiredIf
}

// RequiredIf demands Then when Option is Is: all of it, or with AnyOf at least one.
type RequiredIf struct {
	Option string
	Is     any
	Then   []string
	AnyOf  bool
}

// check turns raw arguments into coerced ones, in place of the maps it is
// given. It collects every problem, in the order in which AnsibleModule does.
type check struct {
	problems []string
	warnings []string
	secrets  *secrets
}

func (c *check) problem(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

// found names the option that nested arguments were found in.
func found(context []string) string {
	if len(context) == 0 {
		return ""
	}
	return " found in " + strings.Join(context, " -> ")
}

// spec checks one level of arguments and then, through sub, those below.
func (c *check) spec(s *Spec, args map[string]any, context []string) {
	names := slices.Sorted(maps.Keys(s.Options))
	known := map[string]bool{}
	for _, name := range names {
		option := s.Options[name]
		known[name] = true
		for _, alias := range option.Aliases {
			known[alias] = true
			value, ok := args[alias]
			if !ok {
				continue
			}
			if _, both := args[name]; both {
				c.warnings = append(c.warnings, fmt.Sprintf("Both option %s and its alias %s are set%s.", name, alias, found(context)))
			}
			args[name] = value
		}
	}
	for _, name := range names {
		if s.Options[name].NoLog {
			c.secrets.add(args[name])
			c.secrets.add(s.Options[name].Default)
		}
	}
	c.unknown(s, args, known, context)
	c.exclusive(s, args, context)
	for _, name := range names {
		if _, ok := args[name]; !ok && s.Options[name].Default != nil {
			args[name] = s.Options[name].Default
		}
	}
	c.required(s, args, context)
	for _, name := range names {
		c.types(name, s.Options[name], args, context)
	}
	for _, name := range names {
		c.choices(name, s.Options[name], args, context)
	}
	c.relations(s, args, context)
	for _, name := range names {
		if _, ok := args[name]; !ok {
			args[name] = nil
		}
	}
	for _, name := range names {
		if s.Options[name].Spec != nil {
			c.sub(name, s.Options[name], args[name], context)
		}
	}
}

func (c *check) unknown(s *Spec, args map[string]any, known map[string]bool, context []string) {
	var unknown []string
	for name := range args {
		if !known[name] {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return
	}
	sort.Strings(unknown)
	var supported []string
	for name, option := range s.Options {
		if len(option.Aliases) > 0 {
			name += " (" + strings.Join(slices.Sorted(slices.Values(option.Aliases)), ", ") + ")"
		}
		supported = append(supported, name)
	}
	sort.Strings(supported)
	c.problem("unsupported arguments%s: %s; supported are: %s", found(context), strings.Join(unknown, ", "), strings.Join(supported, ", "))
}

// given counts the names that the arguments have; a null counts, as in AnsibleModule.
func given(names []string, args map[string]any) int {
	n := 0
	for _, name := range names {
		if _, ok := args[name]; ok {
			n++
		}
	}
	return n
}

func (c *check) exclusive(s *Spec, args map[string]any, context []string) {
	for _, names := range s.MutuallyExclusive {
		if given(names, args) > 1 {
			c.problem("arguments are mutually exclusive: %s%s; give only one of them", strings.Join(names, "|"), found(context))
		}
	}
}

func (c *check) required(s *Spec, args map[string]any, context []string) {
	var missing []string
	for name, option := range s.Options {
		if _, ok := args[name]; option.Required && !ok {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		sort.Strings(missing)
		c.problem("missing required arguments: %s%s", strings.Join(missing, ", "), found(context))
	}
}

func (c *check) relations(s *Spec, args map[string]any, context []string) {
	for _, names := range s.RequiredTogether {
		if n := given(names, args); n > 0 && n < len(names) {
			c.problem("arguments are required together: %s%s", strings.Join(names, ", "), found(context))
		}
	}
	for _, names := range s.RequiredOneOf {
		if given(names, args) == 0 {
			c.problem("one of the following is required: %s%s", strings.Join(names, ", "), found(context))
		}
	}
	for _, rule := range s.RequiredIf {
		value, ok := args[rule.Option]
		if !ok || !reflect.DeepEqual(value, rule.Is) {
			continue
		}
		n := given(rule.Then, args)
		switch {
		case rule.AnyOf && n == 0:
			c.problem("%s is %v but any of the following are missing: %s%s", rule.Option, rule.Is, strings.Join(rule.Then, ", "), found(context))
		case !rule.AnyOf && n < len(rule.Then):
			var missing []string
			for _, name := range rule.Then {
				if _, ok := args[name]; !ok {
					missing = append(missing, name)
				}
			}
			c.problem("%s is %v but all of the following are missing: %s%s", rule.Option, rule.Is, strings.Join(missing, ", "), found(context))
		}
	}
}

func (c *check) types(name string, option Option, args map[string]any, context []string) {
	value, ok := args[name]
	if !ok || value == nil && !option.Required && option.Default == nil {
		return
	}
	coerced, err := coerce(option.Type, value)
	if err != nil {
		c.problem("argument '%s' is of type %s%s and could not be converted to %s: %v", name, kind(value), found(context), option.Type, err)
		return
	}
	if option.Type == List && option.Elements != Raw {
		list := coerced.([]any)
		elements := make([]any, 0, len(list))
		for _, element := range list {
			e, err := coerce(option.Elements, element)
			if err != nil {
				c.problem("elements value for option '%s' is of type %s%s and could not be converted to %s: %v", name, kind(element), found(context), option.Elements, err)
				continue
			}
			elements = append(elements, e)
		}
		coerced = elements
	}
	args[name] = coerced
	if option.NoLog {
		// What was read from the value (a path with its variables expanded, say) is as secret as the value.
		c.secrets.add(coerced)
	}
}

func (c *check) choices(name string, option Option, args map[string]any, context []string) {
	value, ok := args[name]
	if !ok || option.Choices == nil {
		return
	}
	allowed := strings.Join(option.Choices, ", ")
	if list, ok := value.([]any); ok {
		var wrong []string
		for _, element := range list {
			if text, ok := element.(string); !ok || !slices.Contains(option.Choices, text) {
				wrong = append(wrong, pythonString(element))
			}
		}
		if len(wrong) > 0 {
			c.problem("value of %s must be one or more of: %s%s; got no match for: %s", name, allowed, found(context), strings.Join(wrong, ", "))
		}
		return
	}
	text, ok := value.(string)
	if ok && !slices.Contains(option.Choices, text) {
		// YAML reads yes and no as booleans; where only one choice can have been meant, it is taken.
		if word, ok := soleBoolean(text, option.Choices); ok {
			text = word
			args[name] = word
		}
	}
	if !ok || !slices.Contains(option.Choices, text) {
		c.problem("value of %s must be one of: %s%s; got: %s", name, allowed, found(context), pythonString(value))
	}
}

// soleBoolean is the one choice that spells the boolean text ("True" or "False").
func soleBoolean(text string, choices []string) (string, bool) {
	var words []string
	switch text {
	case "True":
		words = trueWords
	case "False":
		words = falseWords
	}
	word, n := "", 0
	for _, choice := range choices {
		if slices.Contains(words, choice) {
			word, n = choice, n+1
		}
	}
	return word, n == 1
}

func (c *check) sub(name string, option Option, value any, context []string) {
	if value == nil {
		return
	}
	below := append(slices.Clone(context), name)
	elements, ok := value.([]any)
	if !ok {
		elements = []any{value}
	}
	for _, element := range elements {
		args, ok := element.(map[string]any)
		if !ok {
			c.problem("value of '%s'%s must be of type dict or list of dicts", name, found(context))
			continue
		}
		c.spec(option.Spec, args, below)
	}
}
