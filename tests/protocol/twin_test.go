// SPDX-License-Identifier: GPL-3.0-or-later

//go:build ansible

package protocol

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/tests/ansibletest"
)

func pointer(s ansible.Spec) *ansible.Spec { return &s }

// specs are the modules that both sides run.
var specs = map[string]ansible.Spec{
	"scalars": {Options: map[string]ansible.Option{
		"s": {}, "i": {Type: ansible.Int}, "f": {Type: ansible.Float}, "b": {Type: ansible.Bool}, "p": {Type: ansible.Path},
		"r": {Type: ansible.Raw}, "size": {Type: ansible.Bytes},
	}},
	"collections": {Options: map[string]ansible.Option{
		"l": {Type: ansible.List}, "li": {Type: ansible.List, Elements: ansible.Int}, "lf": {Type: ansible.List, Elements: ansible.Float},
		"lb": {Type: ansible.List, Elements: ansible.Bool}, "lr": {Type: ansible.List, Elements: ansible.Raw},
		"lp": {Type: ansible.List, Elements: ansible.Path}, "ld": {Type: ansible.List, Elements: ansible.Dict},
		"ll": {Type: ansible.List, Elements: ansible.List}, "d": {Type: ansible.Dict},
	}},
	"defaults": {Options: map[string]ansible.Option{
		"s": {Default: "word"}, "n": {Default: 5}, "i": {Type: ansible.Int, Default: "7"}, "f": {Type: ansible.Float, Default: 1},
		"b": {Type: ansible.Bool, Default: "yes"}, "l": {Type: ansible.List, Default: "a,b"}, "d": {Type: ansible.Dict, Default: "a=1"},
		"p": {Type: ansible.Path, Default: "~/x"}, "z": {Type: ansible.Bool, Default: false}, "size": {Type: ansible.Bytes, Default: "2K"},
	}},
	"required": {Options: map[string]ansible.Option{
		"s": {Required: true}, "i": {Type: ansible.Int, Required: true}, "r": {Type: ansible.Raw, Required: true}, "o": {},
	}},
	"choices": {Options: map[string]ansible.Option{
		"state": {Choices: []string{"present", "absent"}, Default: "present"},
		"word":  {Choices: []string{"yes", "no", "ask"}}, "both": {Choices: []string{"yes", "on", "off"}},
		"empty": {Choices: []string{"", "x"}}, "n": {Type: ansible.Int, Choices: []string{"1", "2", "30"}},
		"l": {Type: ansible.List, Choices: []string{"a", "b", "c"}}, "ln": {Type: ansible.List, Elements: ansible.Int, Choices: []string{"1", "2"}},
	}},
	"aliases": {Options: map[string]ansible.Option{
		"name": {Aliases: []string{"id", "title"}, Required: true}, "count": {Type: ansible.Int, Aliases: []string{"n"}, Default: 1},
		"inner": {Type: ansible.Dict, Aliases: []string{"in"}, Spec: pointer(ansible.Spec{Options: map[string]ansible.Option{
			"key": {Aliases: []string{"k"}, Required: true}, "secret": {NoLog: true, Aliases: []string{"pw"}},
		}})},
	}},
	"groups": {
		Options: map[string]ansible.Option{
			"a": {}, "b": {}, "c": {}, "d": {}, "e": {Default: "e"}, "state": {Default: "x"}, "n": {Type: ansible.Int}, "on": {Type: ansible.Bool},
		},
		MutuallyExclusive: [][]string{{"a", "b"}, {"b", "c", "d"}, {"a", "e"}},
		RequiredTogether:  [][]string{{"a", "c"}},
		RequiredOneOf:     [][]string{{"a", "b", "n", "e"}},
		RequiredIf: []ansible.RequiredIf{
			{Option: "state", Is: "y", Then: []string{"a", "c"}}, {Option: "state", Is: "z", Then: []string{"b", "n"}, AnyOf: true},
			{Option: "n", Is: 3, Then: []string{"d"}}, {Option: "on", Is: true, Then: []string{"n"}},
		},
	},
	"nested": {Options: map[string]ansible.Option{
		"disks": {Type: ansible.List, Elements: ansible.Dict, Spec: pointer(ansible.Spec{
			Options: map[string]ansible.Option{
				"name": {Required: true}, "size": {Type: ansible.Bytes, Default: "1G"}, "kind": {Choices: []string{"ssd", "hdd"}},
				"a": {}, "b": {}, "opts": {Type: ansible.Dict, Spec: pointer(ansible.Spec{
					Options:           map[string]ansible.Option{"x": {Type: ansible.Int}, "y": {Type: ansible.Int}, "t": {NoLog: true}},
					MutuallyExclusive: [][]string{{"x", "y"}},
				})},
			},
			RequiredTogether: [][]string{{"a", "b"}},
			RequiredIf:       []ansible.RequiredIf{{Option: "kind", Is: "hdd", Then: []string{"a"}}},
		})},
		"user": {Type: ansible.Dict, Spec: pointer(ansible.Spec{
			Options:       map[string]ansible.Option{"name": {}, "id": {Type: ansible.Int}, "password": {NoLog: true}},
			RequiredOneOf: [][]string{{"name", "id"}},
		})},
	}},
}

// python writes a spec as AnsibleModule's arguments.
func python(s ansible.Spec) map[string]any {
	out := map[string]any{"argument_spec": options(s)}
	relations(s, out)
	return out
}

func relations(s ansible.Spec, out map[string]any) {
	var ifs []any
	for _, r := range s.RequiredIf {
		ifs = append(ifs, []any{r.Option, r.Is, r.Then, r.AnyOf})
	}
	for key, value := range map[string]any{
		"mutually_exclusive": s.MutuallyExclusive, "required_together": s.RequiredTogether, "required_one_of": s.RequiredOneOf, "required_if": ifs,
	} {
		if !reflect.ValueOf(value).IsNil() {
			out[key] = value
		}
	}
}

func options(s ansible.Spec) map[string]any {
	out := map[string]any{}
	for name, o := range s.Options {
		option := map[string]any{"type": o.Type.String()}
		item := o.Type
		if o.Type == ansible.List {
			if item = o.Elements; item != ansible.Raw {
				option["elements"] = item.String()
			}
		}
		if o.Required {
			option["required"] = true
		}
		if o.Default != nil {
			option["default"] = o.Default
		}
		if o.NoLog {
			option["no_log"] = true
		}
		if o.Aliases != nil {
			option["aliases"] = o.Aliases
		}
		var choices []any
		for _, choice := range o.Choices {
			if n, err := strconv.Atoi(choice); err == nil && item == ansible.Int {
				choices = append(choices, n)
			} else {
				choices = append(choices, choice)
			}
		}
		if choices != nil {
			option["choices"] = choices
		}
		if o.Spec != nil {
			option["options"] = options(*o.Spec)
			relations(*o.Spec, option)
		}
		out[name] = option
	}
	return out
}

type testCase struct {
	Spec string `json:"spec"`
	Args string `json:"args"`
}

type reply struct {
	OK       bool     `json:"ok"`
	Infinite bool     `json:"infinite"` // accepted, but with a number that JSON has no way to write
	Params   any      `json:"params"`
	Error    string   `json:"error"`
	Warnings []string `json:"warnings"`
}

// ask runs every case through one Python process.
func ask(t *testing.T, cases []testCase) []reply {
	t.Helper()
	interpreter := ansibletest.Python(t)
	var in bytes.Buffer
	all := map[string]any{}
	for name, s := range specs {
		all[name] = python(s)
	}
	enc := json.NewEncoder(&in)
	require.NoError(t, enc.Encode(all))
	for _, c := range cases {
		require.NoError(t, enc.Encode(c))
	}
	cmd := exec.CommandContext(context.Background(), interpreter, "twin.py")
	cmd.Stdin = &in
	cmd.Env = environment()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	var replies []reply
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		dec := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		dec.UseNumber()
		var r reply
		require.NoError(t, dec.Decode(&r), lines.Text())
		replies = append(replies, r)
	}
	require.Len(t, replies, len(cases))
	return replies
}

func environment() []string { return append(os.Environ(), "PYTHONIOENCODING=utf-8") }

func compare(t *testing.T, cases []testCase) (accepted int) {
	t.Helper()
	differ := 0
	for i, python := range ask(t, cases) {
		c := cases[i]
		args, warnings, err := ansible.Module{Name: "twin", Spec: specs[c.Spec], Run: nothing}.Arguments([]byte(c.Args))
		switch {
		case python.Infinite:
			assert.Error(t, err, "%s %s", c.Spec, c.Args)
		case err != nil && python.OK && pythonDict(decoded(t, c.Args)): // a deviation
		case (err == nil) != python.OK:
			t.Errorf("%s %s\n  Python: ok=%v %s %v\n  Go:     %v %v", c.Spec, c.Args, python.OK, python.Error, python.Params, err, args)
			differ++
		case err == nil:
			accepted++
			if path := difference("", python.Params, args); path != "" {
				t.Errorf("%s %s\n  differ at %s\n  Python: %#v\n  Go:     %#v", c.Spec, c.Args, path, python.Params, args)
				differ++
			}
			if !assert.ElementsMatch(t, python.Warnings, warnings, "%s %s", c.Spec, c.Args) {
				differ++
			}
		}
		require.Less(t, differ, 20, "too many differences")
	}
	return accepted
}

func decoded(t *testing.T, args string) (value any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(args), &value))
	return value
}

// pythonDict reports whether a value holds a dict as a string that is not JSON, such as "{'a': True}".
func pythonDict(value any) bool {
	switch value := value.(type) {
	case string:
		return strings.HasPrefix(value, "{") && !json.Valid([]byte(value))
	case []any:
		return slices.ContainsFunc(value, pythonDict)
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(value)), pythonDict)
	}
	return false
}

func nothing(context.Context, *ansible.Call) error { return nil }

// difference is the path of the first value that the two sides do not share. An
// int that was given as a bool is the one thing that may look different: Python
// keeps True, which is equal to 1.
func difference(path string, python, ours any) string {
	ok := false
	switch python := python.(type) {
	case map[string]any:
		ours, isMap := ours.(map[string]any)
		if !isMap || len(ours) != len(python) {
			return path + "{}"
		}
		for key := range python {
			if found := difference(path+"."+key, python[key], ours[key]); found != "" {
				return found
			}
		}
		return ""
	case []any:
		ours, isList := ours.([]any)
		if !isList || len(ours) != len(python) {
			return path + "[]"
		}
		for i := range python {
			if found := difference(fmt.Sprintf("%s[%d]", path, i), python[i], ours[i]); found != "" {
				return found
			}
		}
		return ""
	case json.Number:
		switch ours := ours.(type) {
		case int64:
			ok = strconv.FormatInt(ours, 10) == python.String()
		case *big.Int:
			ok = ours.String() == python.String()
		case float64:
			f, err := python.Float64()
			ok = err == nil && f == ours && strings.ContainsAny(python.String(), ".e")
		}
	case bool:
		n, isInt := ours.(int64)
		ok = ours == python || isInt && (n == 1) == python && n <= 1
	default:
		ok = reflect.DeepEqual(python, ours)
	}
	if ok {
		return ""
	}
	return path + " "
}

// literals are values in every spelling that a playbook, an ad hoc call or a template hands over.
var literals = []string{
	`null`, `true`, `false`, `0`, `1`, `2`, `-1`, `5`, `30`, `0.0`, `1.0`, `2.0`, `-0.0`, `1.5`, `1e3`, `1E40`, `1e16`, `1e-5`, `0.0001`, `123456789012345678`,
	`9223372036854775807`, `9223372036854775808`, `-9223372036854775809`, `123456789012345678901234567890`, `1e22`, `0.1`, `1e100`, `-0`,
	`""`, `" "`, `"a"`, `"a,b"`, `"a, b"`, `","`, `"word"`, `"True"`, `"False"`, `"true"`, `"yes"`, `"no"`, `"on"`, `"OFF"`, `" Yes "`, `"y"`, `"t"`, `"f"`, `"n"`, `"None"`, `"null"`,
	`"0"`, `"1"`, `"2"`, `"5"`, `" 5 "`, `"+5"`, `"-5"`, `"05"`, `"5.0"`, `"5.5"`, `"1e3"`, `"1e-3"`, `"1_000"`, `"_1"`, `"1__0"`, `"1_"`, `"0x10"`, `"1."`, `".5"`, `"."`, `"+-5"`, `"5e"`, `"1e+2"`, `"10e-1"`, `"1 2"`, `"1,2"`, `"1.0,2"`, `"--1"`,
	`"1\n"`, `"\u00a05"`, `"\u001c7"`, `"\u20286"`, `"1e5000"`, `"1e-5000"`, `"0e9999999"`, `"1e99999999999999999999"`,
	`"512M"`, `"1G"`, `"1 g"`, `"1.5K"`, `"2KB"`, `"2Kb"`, `"2kb"`, `"2 kilobyte"`, `"2KiloBytes"`, `"2MB"`, `"1Mb"`, `"3b"`, `"3B"`, `"3byte"`, `"3bit"`, `"8Y"`, `"1X"`, `"-1K"`, `"1K\n"`, `"K"`, `"1.K"`, `".5K"`, `"1.2.3M"`, `"2.5"`, `"3.5"`, `"0.5B"`,
	`"~"`, `"~/x"`, `"~root/y"`, `"~nosuchuser/z"`, `"$HOME/x"`, `"${HOME}x"`, `"$NOSUCH/x"`, `"${NO"`, `"$"`, `"$$HOME"`, `"a$TWIN_A b"`, `"${TWIN_A}${TWIN_B}"`, `"/a//b/"`, `"~~"`,
	`"a=1"`, `"a=1,b=2"`, `"a=1, b=2"`, `"a=1 b=2"`, `"a=1 b"`, `"="`, `"a="`, `"=b"`, `"a=b=c"`, `"a='x y' b=\"z,w\""`, `"a=x\\ y"`, `"a='x"`, `"a=1,,b=2 "`, `" a=1"`, `"a=1\tb=2"`,
	`"{}"`, `"{\"a\": 1}"`, `"{\"a\": 1, \"a\": 2}"`, `"{'a': 1}"`, `"{'a': True, 'b': None, 'c': [1, 2.5, 'x'], 'd': {'e': -1}}"`, `"{'a': (1, 2), 1: 'x', 1.5: 'y', None: 'z'}"`,
	`"{'a': 'it\\'s', \"b\": \"q\\\"\"}"`, `"{'a': '\\x41\\u00e9\\n'}"`, `"{'a'}"`, `"{'a': 1,}"`, `"{a: 1}"`, `"{'a': 1} x"`, `"{'a': 1_0}"`, `"{'a': 1__0}"`, `"{'a': 007}"`, `"{'a': 00}"`, `"{'a': .5}"`, `"{'a': 1.}"`, `"{'a': +1}"`, `"{"`, `"{,}"`, `"{'a': (1)}"`, `"{'a': ()}"`, `"{'a': (1,)}"`, `"{'a': [1,,2]}"`,
	`"{\"a\": 1} "`, `" {\"a\": 1}"`, `"{\"a\": 1}}"`, `"[1, 2]"`, `"[]"`, `"{\"k\": \"{}\"}"`, `"{\"a\":1},{\"b\":2}"`, `"name=x,size=2K"`, `"name=x"`,
	`[]`, `["a"]`, `["a","b"]`, `[1,2]`, `["1","2"]`, `[1.0]`, `[true]`, `[null]`, `[[]]`, `[["a,b"],"c,d"]`, `["a",1,null,{"k":"v"}]`, `[{}]`, `[{"a":1}]`, `["a=1"]`, `["{}"]`, `["x=1,y=2"]`, `[{"name":"n"}]`,
	`{}`, `{"a":1}`, `{"b":[1,2.5,true,null,"it's"],"a":{"c":"\u00e9\u0007\u2028\ud83d\ude00"}}`, `{"name":"n"}`, `{"name":"n","size":"2M","kind":"ssd"}`, `{"":""}`,
	`"\u00e9t\u00e9"`, `"\ud83d\ude00"`, `"\u0000"`, `"it's"`, `"say \"hi\""`, `"both ' and \""`, `"\\"`, `"line\nline"`, `"\u007f\u0085\u00ad"`, `{"x":"\u00ad\u0378\ue000"}`,
	`"present"`, `"absent"`, `"ask"`, `"x"`, `"y"`, `"z"`, `"ssd"`, `"hdd"`,
}

// names are every option and alias a spec has, and some that it has not.
func names(s ansible.Spec) []string {
	var out []string
	for name, o := range s.Options {
		out = append(append(out, name), o.Aliases...)
	}
	return out
}

func TestEveryOptionTakesEveryLiteralAsAnsibleModuleDoes(t *testing.T) {
	setup(t)
	var cases []testCase
	for name, s := range specs {
		for _, option := range names(s) {
			for _, literal := range literals {
				cases = append(cases, testCase{name, with(s, option, literal)})
			}
		}
	}
	accepted := compare(t, cases)
	t.Logf("%d argument sets, %d accepted", len(cases), accepted)
	assert.Greater(t, accepted, len(cases)/10)
}

// with gives option a value, and what else is required something harmless.
func with(s ansible.Spec, option, literal string) string {
	args := []string{fmt.Sprintf("%q: %s", option, literal)}
	for name, o := range s.Options {
		if o.Required && name != option {
			args = append(args, fmt.Sprintf("%q: \"1\"", name))
		}
	}
	return "{" + strings.Join(args, ", ") + "}"
}

func setup(t *testing.T) {
	t.Setenv("TWIN_A", "expanded $TWIN_B")
	t.Setenv("TWIN_B", "")
}

func TestThousandsOfGeneratedArgumentSetsMeanTheSame(t *testing.T) {
	setup(t)
	random := rand.New(rand.NewPCG(2026, 11))
	var all []string
	for name := range specs {
		all = append(all, name)
	}
	// Maps iterate in any order; the seed must decide alone.
	sort.Strings(all)
	var cases []testCase
	for range 12000 {
		name := all[random.IntN(len(all))]
		cases = append(cases, testCase{name, object(random, specs[name], 0)})
	}
	accepted := compare(t, cases)
	t.Logf("%d argument sets, %d accepted", len(cases), accepted)
	assert.Greater(t, accepted, len(cases)/20)
}

func object(random *rand.Rand, s ansible.Spec, depth int) string {
	var args []string
	options := names(s)
	sort.Strings(options)
	odds := 2 + random.IntN(4)
	for _, option := range options {
		o := s.Options[option]
		if !o.Required && random.IntN(odds) > 0 || o.Required && random.IntN(12) == 0 {
			continue
		}
		value := literal(random, o, depth)
		args = append(args, fmt.Sprintf("%q: %s", option, value))
	}
	if random.IntN(40) == 0 {
		args = append(args, `"unknown": 1`)
	}
	random.Shuffle(len(args), func(i, j int) { args[i], args[j] = args[j], args[i] })
	return "{" + strings.Join(args, ", ") + "}"
}

// literal is a value that may well fit the option, more often than not.
func literal(random *rand.Rand, o ansible.Option, depth int) string {
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	if random.IntN(12) == 0 {
		return pick(literals...)
	}
	if len(o.Choices) > 0 && random.IntN(4) > 0 {
		return strconv.Quote(pick(o.Choices...))
	}
	if o.Spec != nil && depth < 3 {
		if o.Type == ansible.List {
			var items []string
			for range random.IntN(3) {
				items = append(items, object(random, *o.Spec, depth+1))
			}
			return "[" + strings.Join(items, ",") + "]"
		}
		return object(random, *o.Spec, depth+1)
	}
	switch o.Type {
	case ansible.Int:
		return pick(`3`, `"3"`, `3.0`, `true`, text(random, "0123456789+-_. e"))
	case ansible.Float:
		return pick(`3`, `"3.25"`, `3.5`, `false`, text(random, "0123456789+-_. e"))
	case ansible.Bool:
		return pick(`true`, `"no"`, `1`, `0.0`, text(random, "yesnotruf01 "))
	case ansible.Bytes:
		return pick(`7`, `"7K"`, text(random, "0123456789.KMGBbitye "))
	case ansible.Dict:
		return pick(`{"a": 1}`, text(random, `a1=, '"\{}:`), `"{`+strings.Trim(text(random, `a1, ':[]()`), `"`)+`}"`)
	case ansible.List:
		return pick(`["1", 2]`, text(random, `ab1, `), `[`+text(random, "ab1=,")+`, 3]`)
	case ansible.Path:
		return text(random, `~/${}HOMEaT_WIN`)
	}
	return pick(`"x"`, `1`, text(random, "abcé'\"\\ \n\t☃"))
}

func text(random *rand.Rand, alphabet string) string {
	runes := []rune(alphabet)
	var out []rune
	for range random.IntN(9) {
		out = append(out, runes[random.IntN(len(runes))])
	}
	quoted, _ := json.Marshal(string(out))
	return string(quoted)
}

// The package doc of internal/ansible lists these: Python goes on, and this side refuses.
func TestDeviationsAreTheOnesThatAreDocumented(t *testing.T) {
	setup(t)
	cases := []testCase{
		{"scalars", `{"s": "a", "s": "b"}`},
		{"scalars", `{"f": "inf"}`}, {"scalars", `{"f": "nan"}`}, {"scalars", `{"r": 1e999}`}, {"scalars", `{"f": "1e999"}`},
		{"scalars", `{"s": "\ud800"}`},
		{"scalars", `{"i": "\u0663"}`}, {"scalars", `{"f": "\u0663"}`},
		{"scalars", `{"i": [0, [1, 2], 0]}`},
		{"collections", `{"d": "{'a': True}"}`}, {"collections", `{"ld": ["{'a': 1}"]}`}, {"collections", `{"d": "{\"a\": 1,}"}`},
	}
	for i, python := range ask(t, cases) {
		_, _, err := ansible.Module{Name: "twin", Spec: specs[cases[i].Spec], Run: nothing}.Arguments([]byte(cases[i].Args))
		assert.True(t, python.OK, "Python refuses too, so this is no deviation: %s: %s", cases[i].Args, python.Error)
		require.Error(t, err, cases[i].Args)
	}
}
