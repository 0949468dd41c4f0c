// SPDX-License-Identifier: GPL-3.0-or-later

package naming

import (
	"errors"
	"fmt"
	"strings"
)

// The placeholders of a pattern.
const (
	appMark = "<app>"
	envMark = "<env>"
)

// pattern is a template such as <app>-<env>, split into fields and literal text.
type pattern struct {
	text   string
	tokens []string
	hasApp bool
	hasEnv bool
}

func isMark(token string) bool { return token == appMark || token == envMark }

func parsePattern(text string) (pattern, error) {
	p := pattern{text: text}
	for rest := text; rest != ""; {
		open := strings.IndexAny(rest, "<>")
		if open < 0 {
			p.tokens = append(p.tokens, rest)
			break
		}
		if open > 0 {
			p.tokens = append(p.tokens, rest[:open])
			rest = rest[open:]
		}
		end := strings.IndexByte(rest, '>')
		if rest[0] == '>' || end < 0 {
			return p, fmt.Errorf("%q has a < or > that belongs to no placeholder", text)
		}
		mark := rest[:end+1]
		if !isMark(mark) {
			return p, fmt.Errorf("%q has the placeholder %s; %s and %s are known", text, mark, appMark, envMark)
		}
		if n := len(p.tokens); n > 0 && isMark(p.tokens[n-1]) {
			return p, fmt.Errorf("%q has %s right after %s, so that the boundary is ambiguous; put a separator between them", text, mark, p.tokens[n-1])
		}
		p.hasApp = p.hasApp || mark == appMark
		p.hasEnv = p.hasEnv || mark == envMark
		p.tokens = append(p.tokens, mark)
		rest = rest[end+1:]
	}
	if text == "" {
		return p, errors.New("it is empty")
	}
	return p, nil
}

// fill returns the name of an instance.
func (p *pattern) fill(i Instance) string {
	var out strings.Builder
	out.Grow(len(p.text) + len(i.App) + len(i.Env))
	for _, token := range p.tokens {
		switch token {
		case appMark:
			out.WriteString(i.App)
		case envMark:
			out.WriteString(i.Env)
		default:
			out.WriteString(token)
		}
	}
	return out.String()
}

// match returns every instance for which the pattern gives name. Fields without a
// placeholder stay empty.
func (p *pattern) match(name string) []Instance {
	var found []Instance
	var walk func(tokens []string, rest string, i Instance)
	walk = func(tokens []string, rest string, i Instance) {
		if len(tokens) == 0 {
			if rest == "" {
				found = append(found, i)
			}
			return
		}
		token := tokens[0]
		if !isMark(token) {
			if after, ok := strings.CutPrefix(rest, token); ok {
				walk(tokens[1:], after, i)
			}
			return
		}
		word := &i.App
		if token == envMark {
			word = &i.Env
		}
		if *word != "" {
			if after, ok := strings.CutPrefix(rest, *word); ok {
				walk(tokens[1:], after, i)
			}
			return
		}
		first := 1
		if len(tokens) == 1 {
			first = len(rest) // the last placeholder matches the rest
		}
		for n := max(first, 1); n <= min(len(rest), maxWord); n++ {
			*word = rest[:n]
			walk(tokens[1:], rest[n:], i)
		}
	}
	walk(p.tokens, name, Instance{})
	return found
}
