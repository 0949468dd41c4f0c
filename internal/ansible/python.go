// SPDX-License-Identifier: GPL-3.0-or-later

package ansible

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode"
)

// pyStr is str(value).
func pyStr(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	var out strings.Builder
	pyRepr(&out, value)
	return out.String()
}

func pyRepr(out *strings.Builder, value any) {
	switch value := value.(type) {
	case nil:
		out.WriteString("None")
	case bool:
		if value {
			out.WriteString("True")
		} else {
			out.WriteString("False")
		}
	case int64:
		out.WriteString(strconv.FormatInt(value, 10))
	case *big.Int:
		out.WriteString(value.String())
	case float64:
		out.WriteString(pyFloat(value))
	case string:
		pyQuote(out, value)
	case []any:
		out.WriteByte('[')
		for i, item := range value {
			if i > 0 {
				out.WriteString(", ")
			}
			pyRepr(out, item)
		}
		out.WriteByte(']')
	case *dict:
		out.WriteByte('{')
		for i, key := range value.keys {
			if i > 0 {
				out.WriteString(", ")
			}
			pyQuote(out, key)
			out.WriteString(": ")
			pyRepr(out, value.values[key])
		}
		out.WriteByte('}')
	}
}

// pyFloat is repr(f): the shortest digits that read back, an exponent below 1e-4 and from 1e16 on.
func pyFloat(f float64) string {
	if size := math.Abs(f); size != 0 && (size < 1e-4 || size >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.ContainsRune(text, '.') {
		text += ".0"
	}
	return text
}

func pyQuote(out *strings.Builder, text string) {
	quote := '\''
	if strings.ContainsRune(text, '\'') && !strings.ContainsRune(text, '"') {
		quote = '"'
	}
	out.WriteRune(quote)
	for _, r := range text {
		switch {
		case r == quote || r == '\\':
			out.WriteByte('\\')
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
			fmt.Fprintf(out, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(out, `\u%04x`, r)
		default:
			fmt.Fprintf(out, `\U%08x`, r)
		}
	}
	out.WriteRune(quote)
}

// pyJSON is json.dumps(value): ASCII only, a space after each comma and colon.
func pyJSON(out *strings.Builder, value any) {
	switch value := value.(type) {
	case nil:
		out.WriteString("null")
	case bool:
		out.WriteString(strconv.FormatBool(value))
	case string:
		pyJSONString(out, value)
	case []any:
		out.WriteByte('[')
		for i, item := range value {
			if i > 0 {
				out.WriteString(", ")
			}
			pyJSON(out, item)
		}
		out.WriteByte(']')
	case *dict:
		out.WriteByte('{')
		for i, key := range value.keys {
			if i > 0 {
				out.WriteString(", ")
			}
			pyJSONString(out, key)
			out.WriteString(": ")
			pyJSON(out, value.values[key])
		}
		out.WriteByte('}')
	default:
		pyRepr(out, value)
	}
}

func pyJSONString(out *strings.Builder, text string) {
	out.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			out.WriteByte('\\')
			out.WriteRune(r)
		case r == '\n':
			out.WriteString(`\n`)
		case r == '\r':
			out.WriteString(`\r`)
		case r == '\t':
			out.WriteString(`\t`)
		case r == '\f':
			out.WriteString(`\f`)
		case r == '\b':
			out.WriteString(`\b`)
		case r >= ' ' && r < 0x7f:
			out.WriteRune(r)
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		case r == 0x7f: // json.dumps leaves DEL alone
			out.WriteRune(r)
		default:
			fmt.Fprintf(out, `\u%04x`, r)
		}
	}
	out.WriteByte('"')
}

// pySpace is str.isspace, which counts the four separators of ASCII that unicode.IsSpace does not.
func pySpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

func pyStrip(text string) string { return strings.TrimFunc(text, pySpace) }

var errLiteral = errors.New("not a Python literal")

// pyLiteral reads the part of ast.literal_eval that a rendered dict can hold.
func pyLiteral(text string) (value any, err error) {
	p := &literal{text: text}
	if value, err = p.value(0); err != nil {
		return nil, err
	}
	p.space()
	if p.at < len(p.text) {
		return nil, errLiteral
	}
	return value, nil
}

type literal struct {
	text string
	at   int
}

func (p *literal) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\n\r\f", p.text[p.at]) >= 0 {
		p.at++
	}
}

func (p *literal) next(c byte) bool {
	p.space()
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *literal) value(depth int) (any, error) {
	p.space()
	if depth > maxDepth {
		return nil, errDepth
	}
	if p.at >= len(p.text) {
		return nil, errLiteral
	}
	switch c := p.text[p.at]; {
	case c == '{':
		p.at++
		return p.dict(depth)
	case c == '[':
		p.at++
		list, _, err := p.list(']', depth)
		return list, err
	case c == '(':
		p.at++
		list, comma, err := p.list(')', depth)
		if err == nil && len(list) == 1 && !comma {
			return list[0], nil
		}
		return list, err
	case c == '\'' || c == '"':
		return p.string(c)
	case c == '-' || c == '+' || c == '.' || c >= '0' && c <= '9':
		return p.number()
	}
	for word, value := range map[string]any{"None": nil, "True": true, "False": false} {
		rest := p.text[p.at:]
		if strings.HasPrefix(rest, word) && (len(rest) == len(word) || !wordByte(rest[len(word)])) {
			p.at += len(word)
			return value, nil
		}
	}
	return nil, errLiteral
}

func wordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

func (p *literal) list(end byte, depth int) (items []any, comma bool, err error) {
	items = []any{}
	for !p.next(end) {
		if len(items) > 0 && !comma {
			return nil, false, errLiteral
		}
		item, err := p.value(depth + 1)
		if err != nil {
			return nil, false, err
		}
		items = append(items, item)
		comma = p.next(',')
	}
	return items, comma, nil
}

func (p *literal) dict(depth int) (any, error) {
	out, comma := newDict(), true
	for !p.next('}') {
		if !comma {
			return nil, errLiteral
		}
		key, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		name, ok := pyKey(key)
		if !ok || !p.next(':') {
			return nil, errLiteral
		}
		item, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		out.set(name, item)
		comma = p.next(',')
	}
	return out, nil
}

// pyKey is how json.dumps writes a key that is not a string.
func pyKey(key any) (string, bool) {
	switch key := key.(type) {
	case string:
		return key, true
	case []any, *dict:
		return "", false
	default:
		var out strings.Builder
		pyJSON(&out, key)
		return out.String(), true
	}
}

func (p *literal) number() (any, error) {
	start := p.at
	for p.at < len(p.text) {
		c := p.text[p.at]
		sign := c == '-' || c == '+'
		if !wordByte(c) && c != '.' && !sign {
			break
		}
		if sign && p.at > start && p.text[p.at-1] != 'e' && p.text[p.at-1] != 'E' {
			break
		}
		p.at++
	}
	text := p.text[start:p.at]
	unsigned := strings.TrimLeft(text, "+-")
	if len(text)-len(unsigned) > 1 || !decimal(unsigned, true) {
		return nil, errLiteral
	}
	whole := !strings.ContainsAny(unsigned, ".eE")
	digits := strings.ReplaceAll(unsigned, "_", "")
	if whole && len(digits) > 1 && digits[0] == '0' && strings.Trim(digits, "0") != "" {
		return nil, errLiteral // 007
	}
	if text[0] == '-' {
		digits = "-" + digits
	}
	return number(digits)
}

// decimal tells whether text is digits with at most one point and one
// exponent; with underscores, one may stand between two digits.
func decimal(text string, underscores bool) bool {
	if underscores {
		for i := range len(text) {
			if text[i] == '_' && (i == 0 || i == len(text)-1 || !digit(text[i-1]) || !digit(text[i+1])) {
				return false
			}
		}
		text = strings.ReplaceAll(text, "_", "")
	}
	run := func() int {
		n := 0
		for n < len(text) && digit(text[n]) {
			n++
		}
		text = text[n:]
		return n
	}
	digits := run()
	if strings.HasPrefix(text, ".") {
		text = text[1:]
		digits += run()
	}
	if digits == 0 {
		return false
	}
	if text != "" && (text[0] == 'e' || text[0] == 'E') {
		text = text[1:]
		if text != "" && (text[0] == '-' || text[0] == '+') {
			text = text[1:]
		}
		if run() == 0 {
			return false
		}
	}
	return text == ""
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func (p *literal) string(quote byte) (any, error) {
	if strings.HasPrefix(p.text[p.at:], strings.Repeat(string(quote), 3)) {
		return nil, errLiteral // a rendered dict never holds these
	}
	var out strings.Builder
	for p.at++; p.at < len(p.text); p.at++ {
		c := p.text[p.at]
		switch c {
		case quote:
			p.at++
			p.space()
			if p.at < len(p.text) && (p.text[p.at] == '\'' || p.text[p.at] == '"') {
				return nil, errLiteral
			}
			return out.String(), nil
		case '\n', '\r':
			return nil, errLiteral
		case '\\':
			p.at++
			if err := p.escape(&out); err != nil {
				return nil, err
			}
		default:
			out.WriteByte(c)
		}
	}
	return nil, errLiteral
}

func (p *literal) escape(out *strings.Builder) error {
	if p.at >= len(p.text) {
		return errLiteral
	}
	simple := map[byte]string{
		'\\': `\`, '\'': `'`, '"': `"`, 'a': "\a", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v", '\n': "",
	}
	c := p.text[p.at]
	if text, ok := simple[c]; ok {
		out.WriteString(text)
		return nil
	}
	length, base, from := 0, 16, p.at+1
	switch {
	case c == 'x':
		length = 2
	case c == 'u':
		length = 4
	case c == 'U':
		length = 8
	case c >= '0' && c <= '7':
		base, from = 8, p.at
		for length < 3 && from+length < len(p.text) && p.text[from+length] >= '0' && p.text[from+length] <= '7' {
			length++
		}
	case c == 'N':
		return errLiteral
	default:
		out.WriteByte('\\')
		out.WriteByte(c)
		return nil
	}
	if from+length > len(p.text) {
		return errLiteral
	}
	code, err := strconv.ParseUint(p.text[from:from+length], base, 32)
	if err != nil || code > unicode.MaxRune || code >= 0xd800 && code < 0xe000 {
		return errLiteral
	}
	out.WriteRune(rune(code))
	p.at = from + length - 1
	return nil
}
