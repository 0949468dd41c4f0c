// SPDX-License-Identifier: GPL-3.0-or-later

package ansible

import (
	"errors"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// pythonString writes a value as Python's str() does, which is how Ansible
// turns a number, a boolean or a list into a string.
func pythonString(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	return pythonRepr(value)
}

func pythonRepr(value any) string {
	switch v := value.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return pythonFloat(v)
	case string:
		return pythonQuote(v)
	case []any:
		parts := make([]string, len(v))
		for i, element := range v {
			parts[i] = pythonRepr(element)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		parts := make([]string, 0, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, pythonQuote(key)+": "+pythonRepr(v[key]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return ""
}

// pythonFloat is repr() of a float: the shortest digits that read back, with an exponent from 1e16 up and below 1e-4.
func pythonFloat(f float64) string {
	if f == 0 || math.Abs(f) >= 1e-4 && math.Abs(f) < 1e16 {
		text := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(text, ".") {
			text += ".0"
		}
		return text
	}
	return strconv.FormatFloat(f, 'e', -1, 64)
}

func pythonQuote(text string) string {
	quote := '\''
	if strings.Contains(text, "'") && !strings.Contains(text, `"`) {
		quote = '"'
	}
	var out strings.Builder
	out.WriteRune(quote)
	for _, r := range text {
		switch {
		case r == quote || r == '\\':
			out.WriteRune('\\')
			out.WriteRune(r)
		case r == '\n':
			out.WriteString(`\n`)
		case r == '\r':
			out.WriteString(`\r`)
		case r == '\t':
			out.WriteString(`\t`)
		case unicode.IsPrint(r):
			out.WriteRune(r)
		case r < 0x100:
			out.WriteString(`\x` + hex(r, 2))
		case r < 0x10000:
			out.WriteString(`\u` + hex(r, 4))
		default:
			out.WriteString(`\U` + hex(r, 8))
		}
	}
	out.WriteRune(quote)
	return out.String()
}

func hex(r rune, width int) string {
	text := strconv.FormatInt(int64(r), 16)
	return strings.Repeat("0", width-len(text)) + text
}

var errLiteral = errors.New("not a Python literal")

// deepest is how many brackets a literal may open: Python's own limit is of that order.
const deepest = 90

// parseLiteral reads the part of Python's literals that JSON has values for,
// as ast.literal_eval does: strings, numbers, True, False, None, lists, tuples
// and dictionaries with string keys.
func parseLiteral(text string) (any, error) {
	p := literal{text: text}
	value, err := p.value(0)
	if err != nil {
		return nil, err
	}
	p.blanks()
	if p.at != len(p.text) {
		return nil, errLiteral
	}
	return value, nil
}

type literal struct {
	text string
	at   int
}

func (p *literal) blanks() {
	for p.at < len(p.text) && strings.ContainsRune(" \t\r\n", rune(p.text[p.at])) {
		p.at++
	}
}

func (p *literal) next() byte {
	p.blanks()
	if p.at == len(p.text) {
		return 0
	}
	return p.text[p.at]
}

func (p *literal) value(depth int) (any, error) {
	if depth > deepest {
		return nil, errLiteral
	}
	switch c := p.next(); {
	case c == '{':
		return p.dict(depth)
	case c == '[':
		return p.list(']', depth)
	case c == '(':
		return p.list(')', depth)
	case c == '\'' || c == '"':
		return p.str()
	case c == 0:
		return nil, errLiteral
	}
	start := p.at
	for p.at < len(p.text) && !strings.ContainsRune(" \t\r\n,:]})", rune(p.text[p.at])) {
		p.at++
	}
	switch word := p.text[start:p.at]; word {
	case "True":
		return true, nil
	case "False":
		return false, nil
	case "None":
		return nil, nil
	default:
		if i, err := strconv.ParseInt(word, 10, 64); err == nil && (word == "0" || strings.TrimLeft(word, "+-")[0] != '0') {
			return i, nil
		}
		if decimal.MatchString(word) && strings.ContainsAny(word, ".eE") && !strings.Contains(word, "_") {
			if f, err := strconv.ParseFloat(word, 64); err == nil {
				return f, nil
			}
		}
		return nil, errLiteral
	}
}

func (p *literal) list(closing byte, depth int) (any, error) {
	p.at++
	list := []any{}
	commas := 0
	for p.next() != closing {
		value, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
		if p.next() == ',' {
			p.at++
			commas++
		} else if p.next() != closing {
			return nil, errLiteral
		}
	}
	p.at++
	if closing == ')' && commas == 0 && len(list) == 1 {
		return list[0], nil // brackets around one value are no tuple
	}
	return list, nil
}

func (p *literal) dict(depth int) (any, error) {
	p.at++
	dict := map[string]any{}
	for p.next() != '}' {
		key, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		name, ok := key.(string)
		if !ok || p.next() != ':' {
			return nil, errLiteral
		}
		p.at++
		value, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		dict[name] = value
		if p.next() == ',' {
			p.at++
		} else if p.next() != '}' {
			return nil, errLiteral
		}
	}
	p.at++
	return dict, nil
}

// str reads one string, or several side by side, which Python joins.
func (p *literal) str() (any, error) {
	var out strings.Builder
	for c := p.next(); c == '\'' || c == '"'; c = p.next() {
		if strings.HasPrefix(p.text[p.at:], strings.Repeat(string(c), 3)) {
			return nil, errLiteral // long strings do not occur in arguments
		}
		p.at++
		for {
			if p.at >= len(p.text) || p.text[p.at] == '\n' {
				return nil, errLiteral
			}
			if p.text[p.at] == c {
				p.at++
				break
			}
			if p.text[p.at] == '\\' {
				if err := p.escape(&out); err != nil {
					return nil, err
				}
				continue
			}
			r, n := utf8.DecodeRuneInString(p.text[p.at:])
			out.WriteRune(r)
			p.at += n
		}
	}
	return out.String(), nil
}

func (p *literal) escape(out *strings.Builder) error {
	p.at++
	if p.at >= len(p.text) {
		return errLiteral
	}
	c := p.text[p.at]
	p.at++
	simple := map[byte]string{'n': "\n", 't': "\t", 'r': "\r", '\\': "\\", '\'': "'", '"': `"`, 'a': "\a", 'b': "\b", 'f': "\f", 'v': "\v", '\n': ""}
	if text, ok := simple[c]; ok {
		out.WriteString(text)
		return nil
	}
	width := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
	if width == 0 {
		return errLiteral // octal and unknown escapes: nobody means them
	}
	if p.at+width > len(p.text) {
		return errLiteral
	}
	code, err := strconv.ParseUint(p.text[p.at:p.at+width], 16, 32)
	if err != nil || !utf8.ValidRune(rune(code)) {
		return errLiteral
	}
	out.WriteRune(rune(code))
	p.at += width
	return nil
}
