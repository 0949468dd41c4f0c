// SPDX-License-Identifier: GPL-3.0-or-later

package ansible

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A value is nil, bool, int64, *big.Int (beyond int64 only), float64 (finite
// only), string, []any or *dict. A dict keeps its order, since Python's do and
// an option of type str shows it.

// dict is a JSON object in the order it was written.
type dict struct {
	keys   []string
	values map[string]any
}

func newDict() *dict { return &dict{values: map[string]any{}} }

func (d *dict) get(key string) (any, bool) {
	value, ok := d.values[key]
	return value, ok
}

func (d *dict) has(key string) bool {
	_, ok := d.values[key]
	return ok
}

func (d *dict) set(key string, value any) {
	if !d.has(key) {
		d.keys = append(d.keys, key)
	}
	d.values[key] = value
}

const (
	maxDepth  = 512
	maxDigits = 4300 // Python's own limit for the digits of an int
)

var (
	errDepth     = fmt.Errorf("more than %d levels of nesting", maxDepth)
	errNotFinite = errors.New("a number beyond what a float can hold")
	errDigits    = fmt.Errorf("an integer of more than %d digits", maxDigits)
)

// parseJSON reads exactly one JSON value. Its errors never quote the input, which may hold secrets.
func parseJSON(data []byte, duplicates bool) (any, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("it is not UTF-8")
	}
	if err := syntax(data); err != nil {
		return nil, err
	}
	if loneSurrogate(data) {
		return nil, errors.New(`it holds half of a surrogate pair (\ud800 to \udfff alone)`)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return decodeValue(dec, duplicates, 0)
}

// syntax returns an error with the line and column of invalid JSON.
func syntax(data []byte) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return errors.New("it is empty")
	}
	if json.Valid(data) {
		return nil
	}
	var raw json.RawMessage
	dec := json.NewDecoder(bytes.NewReader(data))
	err := dec.Decode(&raw)
	if err == nil {
		line, column := position(data, dec.InputOffset())
		return fmt.Errorf("there is more after the JSON value that ends at line %d column %d", line, column)
	}
	var broken *json.SyntaxError
	if errors.As(err, &broken) {
		line, column := position(data, broken.Offset)
		return fmt.Errorf("it is not JSON from line %d column %d on", line, column)
	}
	return errors.New("it is not JSON: it ends too early")
}

func position(data []byte, offset int64) (line, column int) {
	before := data[:min(int(offset), len(data))]
	line = bytes.Count(before, []byte{'\n'}) + 1
	column = len(before) - (bytes.LastIndexByte(before, '\n') + 1)
	return line, max(column, 1)
}

// loneSurrogate looks for an escape that encoding/json would silently replace. data is valid JSON.
func loneSurrogate(data []byte) bool {
	unit := func(i int) (rune, bool) {
		if i+6 > len(data) || data[i] != '\\' || data[i+1] != 'u' {
			return 0, false
		}
		n, err := strconv.ParseUint(string(data[i+2:i+6]), 16, 16)
		return rune(n), err == nil
	}
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		r, ok := unit(i)
		switch {
		case !ok:
			i++
		case r >= 0xd800 && r < 0xdc00:
			low, ok := unit(i + 6)
			if !ok || low < 0xdc00 || low > 0xdfff {
				return true
			}
			i += 11
		case r >= 0xdc00 && r <= 0xdfff:
			return true
		default:
			i += 5
		}
	}
	return false
}

func decodeValue(dec *json.Decoder, duplicates bool, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	token, err := dec.Token()
	if err != nil {
		return nil, errors.New("it is not JSON")
	}
	switch token := token.(type) {
	case json.Delim:
		if token == '[' {
			list := []any{}
			for dec.More() {
				item, err := decodeValue(dec, duplicates, depth+1)
				if err != nil {
					return nil, err
				}
				list = append(list, item)
			}
			_, err := dec.Token()
			return list, err
		}
		object := newDict()
		for dec.More() {
			key, err := dec.Token()
			if err != nil {
				return nil, errors.New("it is not JSON")
			}
			name, _ := key.(string)
			if object.has(name) && !duplicates {
				return nil, fmt.Errorf("the key %q is given twice in one object", name)
			}
			item, err := decodeValue(dec, duplicates, depth+1)
			if err != nil {
				return nil, err
			}
			object.set(name, item)
		}
		_, err := dec.Token()
		return object, err
	case json.Number:
		return number(token.String())
	default: // nil, bool, string
		return token, nil
	}
}

// number reads a JSON number as Python does: an int unless it has a point or an exponent.
func number(text string) (any, error) {
	if strings.ContainsAny(text, ".eE") {
		f, err := strconv.ParseFloat(text, 64)
		if math.IsInf(f, 0) {
			return nil, errNotFinite
		}
		return f, err
	}
	if len(text) > maxDigits {
		return nil, errDigits
	}
	n, ok := new(big.Int).SetString(text, 10)
	if !ok {
		return nil, errors.New("it is not JSON")
	}
	return integer(n), nil
}

// integer returns n as int64 if it fits, else unchanged.
func integer(n *big.Int) any {
	if n.IsInt64() {
		return n.Int64()
	}
	return n
}

// plain replaces *dict by map[string]any in a value.
func plain(value any) any {
	switch value := value.(type) {
	case *dict:
		if value == nil {
			return nil
		}
		out := make(map[string]any, len(value.keys))
		for key, item := range value.values {
			out[key] = plain(item)
		}
		return out
	case []any:
		out := make([]any, len(value))
		for i, item := range value {
			out[i] = plain(item)
		}
		return out
	default:
		return value
	}
}

// valueOf converts anything that encodes as JSON to a value. Invalid UTF-8 in
// strings is replaced.
func valueOf(anything any) (any, error) {
	switch anything := anything.(type) {
	case nil, bool, int64, *dict:
		return anything, nil
	case error: // encoding/json would write {}
		return valueOf(anything.Error())
	}
	if value, ok := direct(anything, 0); ok {
		return value, nil
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(anything); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(&out)
	dec.UseNumber()
	value, err := decodeValue(dec, true, 0)
	if errors.Is(err, io.EOF) {
		return nil, io.ErrUnexpectedEOF
	}
	return value, err
}

// direct is valueOf for strings, and lists and maps of them, without encoding
// JSON: ten times as fast for a result of a hundred thousand names.
func direct(anything any, depth int) (any, bool) {
	if depth > maxDepth {
		return nil, false
	}
	switch anything := anything.(type) {
	case nil, bool, int64:
		return anything, true
	case string:
		return anything, utf8.ValidString(anything)
	case []any:
		out := make([]any, len(anything))
		for i, item := range anything {
			value, ok := direct(item, depth+1)
			if !ok {
				return nil, false
			}
			out[i] = value
		}
		return out, anything != nil
	case map[string]string:
		out := sizedDict(len(anything))
		for _, key := range slices.Sorted(maps.Keys(anything)) {
			if !utf8.ValidString(key) || !utf8.ValidString(anything[key]) {
				return nil, false
			}
			out.set(key, anything[key])
		}
		return out, anything != nil
	case map[string]any:
		out := sizedDict(len(anything))
		for _, key := range slices.Sorted(maps.Keys(anything)) {
			value, ok := direct(anything[key], depth+1)
			if !ok || !utf8.ValidString(key) {
				return nil, false
			}
			out.set(key, value)
		}
		return out, anything != nil
	}
	return nil, false
}

func sizedDict(n int) *dict {
	return &dict{keys: make([]string, 0, n), values: make(map[string]any, n)}
}

// MarshalJSON keeps the order.
func (d *dict) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	err := encode(&out, d)
	return out.Bytes(), err
}

// encode writes value as JSON without the escapes for HTML and without a line end.
func encode(out *bytes.Buffer, value any) error {
	switch value := value.(type) {
	case string:
		if plainText(value) {
			out.WriteByte('"')
			out.WriteString(value)
			out.WriteByte('"')
			return nil
		}
	case []any:
		if value == nil {
			break
		}
		out.WriteByte('[')
		for i, item := range value {
			if i > 0 {
				out.WriteByte(',')
			}
			if err := encode(out, item); err != nil {
				return err
			}
		}
		out.WriteByte(']')
		return nil
	case *dict:
		if value == nil {
			break
		}
		out.WriteByte('{')
		for i, key := range value.keys {
			if i > 0 {
				out.WriteByte(',')
			}
			if err := encode(out, key); err != nil {
				return err
			}
			out.WriteByte(':')
			if err := encode(out, value.values[key]); err != nil {
				return err
			}
		}
		out.WriteByte('}')
		return nil
	}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return err
	}
	out.Truncate(out.Len() - 1)
	return nil
}

// plainText reports whether JSON encodes text unescaped.
func plainText(text string) bool {
	for i := range len(text) {
		if b := text[i]; b < ' ' || b >= utf8.RuneSelf || b == '"' || b == '\\' || b == 0x7f {
			return false
		}
	}
	return true
}

// equal is Python's ==: 1, 1.0 and True are one number.
func equal(a, b any) bool {
	if x, ok := rational(a); ok {
		y, ok := rational(b)
		return ok && x.Cmp(y) == 0
	}
	switch a := a.(type) {
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !equal(a[i], b[i]) {
				return false
			}
		}
		return true
	case *dict:
		b, ok := b.(*dict)
		if !ok || len(a.keys) != len(b.keys) {
			return false
		}
		for key, item := range a.values {
			other, ok := b.get(key)
			if !ok || !equal(item, other) {
				return false
			}
		}
		return true
	case string:
		b, ok := b.(string)
		return ok && a == b
	default:
		return a == nil && b == nil
	}
}

func rational(value any) (*big.Rat, bool) {
	switch value := value.(type) {
	case bool:
		if value {
			return big.NewRat(1, 1), true
		}
		return new(big.Rat), true
	case int64:
		return new(big.Rat).SetInt64(value), true
	case *big.Int:
		return new(big.Rat).SetInt(value), true
	case float64:
		return new(big.Rat).SetFloat64(value), true
	}
	return nil, false
}
