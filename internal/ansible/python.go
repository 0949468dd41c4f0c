// SPDX-License-Identifier: GPL-3.0-or-later

package ansible

import (
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

// pyJSONString is json.dumps(text), which is ASCII only.
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

// decimal reports whether text is digits with at most one point and one
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
