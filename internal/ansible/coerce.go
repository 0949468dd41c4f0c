// SPDX-License-Identifier: GPL-3.0-or-later

package ansible

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/arcodange-org/sandbox/internal/lazyregexp"
)

// Type is the type of an option, named as AnsibleModule names it.
type Type int

// The supported types of AnsibleModule. The zero Type is Str.
const (
	Str Type = iota
	Int
	Float
	Bool
	Path
	List
	Dict
	Raw
	Bytes
)

var typeNames = [...]string{"str", "int", "float", "bool", "path", "list", "dict", "raw", "bytes"}

// String is the name that AnsibleModule's argument_spec uses.
func (t Type) String() string {
	if t < 0 || int(t) >= len(typeNames) {
		return fmt.Sprintf("Type(%d)", int(t))
	}
	return typeNames[t]
}

// wanted describes valid values, for the end of an error message.
var wanted = map[Type]string{
	Str:   "give a string",
	Int:   "give a whole number such as 5",
	Float: "give a number such as 2.5",
	Bool:  "give true or false (also yes/no, on/off, y/n, t/f, 1/0)",
	Path:  "give a path",
	List:  "give a list, or one string with commas",
	Dict:  `give a dictionary, or one string of JSON such as {"key": "value"} or of key=value,other=value`,
	Bytes: "give a size such as 512M, 4G or 1073741824",
}

var errCoerce = errors.New("cannot be converted")

// coerce is AnsibleModule's check_type_<t>. Its error does not contain the value.
func coerce(t Type, value any) (any, error) {
	switch t {
	case Str:
		return coerceStr(value), nil
	case Int:
		return coerceInt(value)
	case Float:
		return coerceFloat(value)
	case Bool:
		return coerceBool(value)
	case Path:
		return expandUser(expandVars(coerceStr(value))), nil
	case List:
		return coerceList(value)
	case Dict:
		return coerceDict(value)
	case Raw:
		return value, nil
	case Bytes:
		return humanBytes(value)
	}
	return nil, errCoerce
}

func coerceStr(value any) string {
	if value == nil { // as templates before 2.19 convert None
		return ""
	}
	return pyStr(value)
}

func coerceBool(value any) (any, error) {
	switch value := value.(type) {
	case bool:
		return value, nil
	case string:
		switch pyStrip(strings.ToLower(value)) {
		case "y", "yes", "on", "1", "true", "t":
			return true, nil
		case "n", "no", "off", "0", "false", "f":
			return false, nil
		}
	case int64:
		if value == 0 || value == 1 {
			return value == 1, nil
		}
	case float64:
		if value == 0 || value == 1 {
			return value == 1, nil
		}
	}
	return nil, errCoerce
}

// coerceInt accepts what decimal.Decimal(value) converts to an int without loss.
func coerceInt(value any) (any, error) {
	switch value := value.(type) {
	case bool:
		if value {
			return int64(1), nil
		}
		return int64(0), nil
	case int64, *big.Int:
		return value, nil
	case float64:
		if value != math.Trunc(value) || math.IsInf(value, 0) {
			return nil, errCoerce
		}
		n, _ := big.NewFloat(value).Int(nil)
		return integer(n), nil
	case string:
		return decimalInt(strings.ReplaceAll(pyStrip(value), "_", ""))
	}
	return nil, errCoerce
}

func decimalInt(text string) (any, error) {
	unsigned := text
	if text != "" && (text[0] == '-' || text[0] == '+') {
		unsigned = text[1:]
	}
	if !decimal(unsigned, false) {
		return nil, errCoerce
	}
	mantissa, exponent := unsigned, 0
	if at := strings.IndexAny(unsigned, "eE"); at >= 0 {
		mantissa = unsigned[:at]
		n, err := strconv.Atoi(unsigned[at+1:])
		if err != nil {
			return nil, errCoerce
		}
		exponent = n
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	exponent -= len(fraction)
	digits := strings.TrimLeft(whole+fraction, "0")
	for exponent < 0 && strings.HasSuffix(digits, "0") {
		digits, exponent = digits[:len(digits)-1], exponent+1
	}
	if digits == "" {
		return int64(0), nil
	}
	if exponent < 0 || exponent > maxDigits || len(digits)+exponent > maxDigits {
		return nil, errCoerce
	}
	n, ok := new(big.Int).SetString(digits+strings.Repeat("0", exponent), 10)
	if !ok {
		return nil, errCoerce
	}
	if text[0] == '-' {
		n.Neg(n)
	}
	return integer(n), nil
}

func coerceFloat(value any) (any, error) {
	var f float64
	switch value := value.(type) {
	case bool:
		if value {
			f = 1
		}
	case float64:
		f = value
	case int64:
		f = float64(value)
	case *big.Int:
		f, _ = new(big.Float).SetInt(value).Float64()
	case string:
		text := strings.TrimSpace(value) // float, unlike int, does not take the separators of ASCII for space
		unsigned := text
		if text != "" && (text[0] == '-' || text[0] == '+') {
			unsigned = text[1:]
		}
		if !decimal(unsigned, true) {
			return nil, errCoerce
		}
		f, _ = strconv.ParseFloat(strings.ReplaceAll(text, "_", ""), 64)
	default:
		return nil, errCoerce
	}
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return nil, errCoerce
	}
	return f, nil
}

func coerceList(value any) (any, error) {
	switch value := value.(type) {
	case []any:
		return value, nil
	case string:
		list := []any{}
		for item := range strings.SplitSeq(value, ",") {
			list = append(list, item)
		}
		return list, nil
	case bool, int64, *big.Int, float64:
		return []any{pyStr(value)}, nil
	}
	return nil, errCoerce
}

func coerceDict(value any) (any, error) {
	switch value := value.(type) {
	case *dict:
		return value, nil
	case string:
		if strings.HasPrefix(value, "{") {
			object, err := parseJSON([]byte(value), true)
			if err != nil {
				return nil, errCoerce
			}
			return object, nil
		}
		if strings.Contains(value, "=") {
			return keyValues(pyStrip(value))
		}
	}
	return nil, errCoerce
}

// keyValues reads "k1=v1, k2=v2" or "k1=v1 k2=v2" with quotes and backslashes.
func keyValues(text string) (any, error) {
	var fields []string
	var field strings.Builder
	flush := func() {
		if field.Len() > 0 {
			fields = append(fields, field.String())
		}
		field.Reset()
	}
	var quote rune
	escaped := false
	for _, r := range text {
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
			flush()
		default:
			field.WriteRune(r)
		}
	}
	flush()
	out := newDict()
	for _, field := range fields {
		key, value, ok := strings.Cut(field, "=")
		if !ok {
			return nil, errCoerce
		}
		out.set(key, value)
	}
	return out, nil
}

var (
	human = lazyregexp.New(`^([0-9]*\.?[0-9]+)$`)
	units = map[byte]string{'B': "", 'K': "kilo", 'M': "mega", 'G': "giga", 'T': "tera", 'P': "peta", 'E': "exa", 'Z': "zetta", 'Y': "yotta"}
	sizes = "BKMGTPEZY"
)

func humanBytes(value any) (any, error) {
	text := strings.TrimRightFunc(pyStr(value), pySpace)
	digits := strings.TrimRightFunc(text, func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' })
	unit := text[len(digits):]
	if unit != "" {
		digits = strings.TrimRightFunc(digits, pySpace)
	}
	if !human.MatchString(digits) {
		return nil, errCoerce
	}
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return nil, errCoerce
	}
	if unit != "" {
		prefix := strings.ToUpper(unit[:1])[0]
		name, ok := units[prefix]
		if !ok {
			return nil, errCoerce
		}
		long, short := name+"byte", string(prefix)+"B"
		if prefix == 'B' {
			short = short[1:]
		}
		if len(unit) > 1 && strings.ToLower(unit) != long && unit != short {
			return nil, errCoerce
		}
		f *= math.Ldexp(1, 10*strings.IndexByte(sizes, prefix))
	}
	if math.IsInf(f, 0) {
		return nil, errCoerce
	}
	n, _ := big.NewFloat(math.RoundToEven(f)).Int(nil)
	return integer(n), nil
}

var variable = lazyregexp.New(`\$([A-Za-z0-9_]+|\{[^}]*\})`)

// expandVars is os.path.expandvars: unset variables stay unexpanded.
func expandVars(path string) string {
	return variable.ReplaceAllStringFunc(path, func(match string) string {
		name := match[1:]
		if strings.HasPrefix(name, "{") {
			name = name[1 : len(name)-1]
		}
		if value, ok := os.LookupEnv(name); ok {
			return value
		}
		return match
	})
}

// expandUser is os.path.expanduser: an unknown user stays unexpanded.
func expandUser(path string) string {
	if !strings.HasPrefix(path, "~") {
		return path
	}
	name, rest := path[1:], ""
	if at := strings.IndexByte(name, '/'); at >= 0 {
		name, rest = name[:at], name[at:]
	}
	home, set := os.LookupEnv("HOME")
	if name != "" || !set {
		var who *user.User
		var err error
		if name == "" {
			who, err = user.Current()
		} else {
			who, err = user.Lookup(name)
		}
		if err != nil {
			return path
		}
		home = who.HomeDir
	}
	if path = strings.TrimRight(home, "/") + rest; path == "" {
		return "/"
	}
	return path
}
