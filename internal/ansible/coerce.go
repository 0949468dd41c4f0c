// SPDX-License-Identifier: GPL-3.0-or-later

package ansible

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"os"
	"os/user"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The words that Ansible reads as booleans (module_utils/parsing/convert_bool.py).
var (
	trueWords  = []string{"y", "yes", "on", "1", "true", "t"}
	falseWords = []string{"n", "no", "off", "0", "false", "f"}
)

// Values are what decode yields: nil, bool, string, int64, float64, []any, map[string]any.

// kind names a value's type as Ansible's messages do.
func kind(value any) string {
	switch value.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case string:
		return "str"
	case int64:
		return "int"
	case float64:
		return "float"
	case []any:
		return "list"
	default:
		return "dict"
	}
}

func coerce(t Type, value any) (any, error) {
	switch t {
	case Str:
		return toStr(value), nil
	case Int:
		return toInt(value)
	case Float:
		return toFloat(value)
	case Bool:
		return toBool(value)
	case Path:
		return expandPath(toStr(value)), nil
	case List:
		return toList(value)
	case Dict:
		return toDict(value)
	case JSONArg:
		return toJSONArg(value)
	case Bytes:
		return toBytes(value)
	default:
		return value, nil
	}
}

func toStr(value any) string {
	if value == nil {
		return ""
	}
	return pythonString(value)
}

// decimal is what Python's decimal.Decimal takes for a finite number.
var decimal = regexp.MustCompile(`^[+-]?([0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)([eE][+-]?[0-9_]+)?$`)

func toInt(value any) (any, error) {
	switch v := value.(type) {
	case int64:
		return v, nil
	case bool:
		if v {
			return int64(1), nil
		}
		return int64(0), nil
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<63 {
			return int64(v), nil
		}
		return nil, fmt.Errorf("%s has a fractional part or is too large", pythonFloat(v))
	case string:
		// strings.TrimSpace and Python's str.strip agree but for a few separators that no number has.
		text := strings.ReplaceAll(strings.TrimSpace(v), "_", "")
		if !decimal.MatchString(strings.TrimSpace(v)) || len(text) > 64 {
			return nil, fmt.Errorf("%q is not a number", v)
		}
		if _, exponent, ok := strings.Cut(strings.ToLower(text), "e"); ok {
			// A huge exponent would make a number of as many digits.
			if n, err := strconv.Atoi(exponent); err != nil || n > 64 || n < -64 {
				return nil, fmt.Errorf("%q is not a whole number of 64 bits", v)
			}
		}
		number, ok := new(big.Rat).SetString(text)
		if !ok || !number.IsInt() || !number.Num().IsInt64() {
			return nil, fmt.Errorf("%q is not a whole number of 64 bits", v)
		}
		return number.Num().Int64(), nil
	}
	return nil, fmt.Errorf("a %s is not a number", kind(value))
}

func toFloat(value any) (any, error) {
	switch v := value.(type) {
	case float64:
		return v, nil
	case int64:
		return float64(v), nil
	case bool:
		if v {
			return 1.0, nil
		}
		return 0.0, nil
	case string:
		text := strings.TrimSpace(v)
		if !decimal.MatchString(text) || strings.Contains(text, "__") || strings.HasSuffix(text, "_") || strings.Contains(text, "_.") || strings.Contains(text, "._") ||
			strings.ContainsAny(text, "eE") && (strings.Contains(strings.ToLower(text), "_e") || strings.Contains(strings.ToLower(text), "e_")) {
			return nil, fmt.Errorf("%q is not a number", v)
		}
		f, err := strconv.ParseFloat(strings.ReplaceAll(text, "_", ""), 64)
		if err != nil && math.IsInf(f, 0) {
			return nil, fmt.Errorf("%q is too large", v)
		}
		return f, nil
	}
	return nil, fmt.Errorf("a %s is not a number", kind(value))
}

func toBool(value any) (any, error) {
	word := ""
	switch v := value.(type) {
	case bool:
		return v, nil
	case string:
		word = strings.ToLower(strings.TrimSpace(v))
	case int64:
		word = strconv.FormatInt(v, 10)
	case float64:
		if v == 0 || v == 1 {
			word = strconv.Itoa(int(v))
		}
	default:
		return nil, fmt.Errorf("a %s is not a boolean", kind(value))
	}
	switch {
	case slices.Contains(trueWords, word):
		return true, nil
	case slices.Contains(falseWords, word):
		return false, nil
	}
	return nil, fmt.Errorf("%s is not a boolean; yes, no, true, false, on, off, 1 and 0 are", pythonString(value))
}

func toList(value any) (any, error) {
	switch v := value.(type) {
	case []any:
		return v, nil
	case string:
		list := []any{}
		for part := range strings.SplitSeq(v, ",") {
			list = append(list, part)
		}
		return list, nil
	case bool, int64, float64:
		return []any{pythonString(v)}, nil
	}
	return nil, fmt.Errorf("a %s is not a list", kind(value))
}

func toDict(value any) (any, error) {
	switch v := value.(type) {
	case map[string]any:
		return v, nil
	case string:
		switch {
		case strings.HasPrefix(v, "{"):
			if parsed, err := decode([]byte(v)); err == nil {
				return parsed, nil
			}
			if parsed, err := parseLiteral(v); err == nil {
				if dict, ok := parsed.(map[string]any); ok {
					return dict, nil
				}
			}
			return nil, errors.New("the string is neither JSON nor a Python dictionary")
		case strings.Contains(v, "="):
			return keyValues(v)
		}
		return nil, errors.New("the string is neither JSON nor key=value")
	}
	return nil, fmt.Errorf("a %s is not a mapping", kind(value))
}

// keyValues reads `k1=v1 k2="v 2"`, separated by blanks or commas.
func keyValues(text string) (any, error) {
	var fields []string
	var field strings.Builder
	var quote rune
	escaped := false
	end := func() {
		if field.Len() > 0 {
			fields = append(fields, field.String())
			field.Reset()
		}
	}
	for _, r := range strings.TrimSpace(text) {
		switch {
		case escaped:
			field.WriteRune(r)
			escaped = false
		case r == '\\':
			escaped = true
		case quote == 0 && (r == '\'' || r == '"'):
			quote = r
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == ',' || r == ' '):
			end()
		default:
			field.WriteRune(r)
		}
	}
	end()
	dict := map[string]any{}
	for _, f := range fields {
		key, value, ok := strings.Cut(f, "=")
		if !ok {
			return nil, fmt.Errorf("the word %q has no =", f)
		}
		dict[key] = value
	}
	return dict, nil
}

func toJSONArg(value any) (any, error) {
	switch v := value.(type) {
	case string:
		return strings.TrimSpace(v), nil
	case []any, map[string]any:
		var out bytes.Buffer
		encoder := json.NewEncoder(&out)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(v); err != nil {
			return nil, err
		}
		return strings.TrimSuffix(out.String(), "\n"), nil
	}
	return nil, fmt.Errorf("a %s is not JSON", kind(value))
}

var size = regexp.MustCompile(`^([0-9]*\.?[0-9]+)(?:\s*([A-Za-z]+))?\s*$`)

// toBytes reads a size as Ansible's human_to_bytes does: 2K, 1.5 GB, 100; K is 1024.
func toBytes(value any) (any, error) {
	text := pythonString(value)
	if value == nil {
		text = "None"
	}
	match := size.FindStringSubmatch(text)
	if match == nil {
		return nil, fmt.Errorf("%q is not a size such as 512M or 2G", text)
	}
	number, err := strconv.ParseFloat(match[1], 64)
	if err != nil {
		return nil, fmt.Errorf("%q is not a size: %w", text, err)
	}
	unit := match[2]
	factor := 1.0
	if unit != "" {
		power := strings.Index("BKMGTPEZY", strings.ToUpper(unit[:1]))
		long := []string{"byte", "kilobyte", "megabyte", "gigabyte", "terabyte", "petabyte", "exabyte", "zettabyte", "yottabyte"}
		if power < 0 {
			return nil, fmt.Errorf("%q has no unit of size; B, K, M, G, T, P and E are", text)
		}
		short := strings.ToUpper(unit[:1]) + "B"
		if power == 0 {
			short = "B"
		}
		if len(unit) > 1 && unit != short && strings.ToLower(unit) != long[power] {
			return nil, fmt.Errorf("%q has no unit of size; write %s or %s", text, short, strings.ToUpper(unit[:1]))
		}
		factor = math.Pow(1024, float64(power))
	}
	bytes := math.RoundToEven(number * factor)
	if bytes >= 1<<63 {
		return nil, fmt.Errorf("%q is too large", text)
	}
	return int64(bytes), nil
}

var variable = regexp.MustCompile(`\$(\w+|\{[^}]*\})`)

// expandPath does what os.path.expanduser(os.path.expandvars(path)) does in Python.
func expandPath(path string) string {
	path = variable.ReplaceAllStringFunc(path, func(match string) string {
		name := strings.Trim(match[1:], "{}")
		if value, ok := os.LookupEnv(name); ok {
			return value
		}
		return match
	})
	if !strings.HasPrefix(path, "~") {
		return path
	}
	name, rest, slash := strings.Cut(path[1:], "/")
	home := ""
	if name == "" {
		home = os.Getenv("HOME")
		if home == "" {
			if u, err := user.Current(); err == nil {
				home = u.HomeDir
			}
		}
	} else if u, err := user.Lookup(name); err == nil {
		home = u.HomeDir
	}
	if home == "" {
		return path
	}
	home = strings.TrimRight(home, "/")
	if !slash {
		if home == "" {
			return "/"
		}
		return home
	}
	return home + "/" + rest
}
