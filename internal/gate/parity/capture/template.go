// SPDX-License-Identifier: GPL-3.0-or-later

package capture

import (
	"errors"
	"fmt"
	"strings"

	"github.com/arcodange-org/sandbox/internal/lazyregexp"
)

// variables are the values of a template's plain variables.
type variables map[string]string

// hole replaces expressions that could not be filled. It is in Unicode's
// private use area, which manifests do not use.
const hole = '\uE000'

func unfilled(text string) bool {
	return strings.ContainsRune(text, hole) || strings.Contains(text, "{{") || strings.Contains(text, "{%")
}

var (
	expression = lazyregexp.New(`(?s)\{\{.*?\}\}`)
	comment    = lazyregexp.New(`(?s)\{#.*?#\}`)
	variable   = lazyregexp.New(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// simple matches scalars that never need quotes in YAML.
	simple  = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._+/@:-]*$`)
	control = lazyregexp.New(`^(if|else|end|range|with|define|block|template|break|continue)\b`)
)

// jinja fills the plain variables of a Jinja template, {{ name }}. Other
// expressions become holes. A statement is an error, since it can add or remove
// text.
func jinja(text string, known variables) (string, error) {
	text = comment.ReplaceAllString(text, "")
	if strings.Contains(text, "{%") {
		return "", errors.New("it is a template with statements ({% %})")
	}
	return expression.ReplaceAllStringFunc(text, func(found string) string { return fill(found, known, 0) }), nil
}

// fill returns the value of {{ name }}, or a hole.
func fill(found string, known variables, depth int) string {
	name := strings.Trim(strings.TrimSuffix(strings.TrimPrefix(found, "{{"), "}}"), "- \t\n")
	value, ok := known[name]
	if !ok || !variable.MatchString(name) || depth > 8 {
		return string(hole)
	}
	value = expression.ReplaceAllStringFunc(value, func(inner string) string { return fill(inner, known, depth+1) })
	if !simple.MatchString(value) {
		return string(hole)
	}
	return value
}

// goTemplate replaces each expression of a Helm template by a hole, since its
// value depends on the values of the installation.
func goTemplate(text string) (string, error) {
	var bad error
	text = expression.ReplaceAllStringFunc(text, func(found string) string {
		inner := strings.Trim(strings.TrimSuffix(strings.TrimPrefix(found, "{{"), "}}"), "- \t\n")
		if strings.HasPrefix(inner, "/*") {
			return ""
		}
		if word := control.FindString(inner); word != "" && bad == nil {
			bad = fmt.Errorf("it is a template with statements ({{ %s }})", word)
		}
		return string(hole)
	})
	return text, bad
}
