// SPDX-License-Identifier: GPL-3.0-or-later

package ansible

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// leaky does everything wrong that a module can do with its secrets.
func leaky() Module {
	inner := &Spec{Options: map[string]Option{"token": {NoLog: true, Aliases: []string{"t"}}, "size": {Type: Int}}}
	return Module{
		Name: "leaky",
		Spec: Spec{
			Options: map[string]Option{
				"password": {NoLog: true, Aliases: []string{"pw"}}, "pin": {Type: Int, NoLog: true},
				"keys": {Type: List, NoLog: true}, "map": {Type: Dict, NoLog: true},
				"user": {Type: Dict, Spec: inner}, "users": {Type: List, Elements: Dict, Spec: inner},
				"plain": {Type: Raw}, "count": {Type: Int}, "state": {Choices: []string{"present"}, Default: "present"},
			},
		},
		Run: func(_ context.Context, c *Call) error {
			args := plain(c.args).(map[string]any)
			c.Return("args", args)
			c.Return("text", fmt.Sprint(args))
			c.Differ("args", nil, args)
			c.DifferText("file", "", fmt.Sprintf("%q", args))
			c.Warn(fmt.Sprintf("warning %v", args))
			c.Deprecate(fmt.Sprintf("%v", args), "2.0.0")
			encoded, _ := json.Marshal(args)
			return fmt.Errorf("running sh -c %s", encoded)
		},
	}
}

func playLeaky(args string) string {
	var out bytes.Buffer
	p := process{stdin: strings.NewReader(args), stdout: &out, stderr: &out, modules: []Module{leaky()}}
	p.main(context.Background(), []string{"leaky", "-"})
	return out.String()
}

func TestNoSecretLeavesInAnyField(t *testing.T) {
	t.Parallel()
	for name, args := range map[string]string{
		"an option":                            `{"password": "hunter2", "plain": "my hunter2!"}`,
		"by its alias":                         `{"pw": "hunter2", "plain": {"hunter2": ["hunter2"]}}`,
		"alias and name":                       `{"pw": "hunter2", "password": "hunter2x", "plain": "hunter2x hunter2"}`,
		"the list's items":                     `{"keys": "hunter2,other", "plain": "hunter2"}`,
		"the dict's values":                    `{"map": "a=hunter2", "plain": "hunter2"}`,
		"inside a dict":                        `{"user": {"token": "hunter2"}, "plain": "hunter2"}`,
		"inside a dict, by its alias":          `{"user": {"t": "hunter2", "token": "y"}, "plain": "hunter2"}`,
		"inside a dict written as text":        `{"user": "token=hunter2", "plain": "hunter2"}`,
		"inside a dict that cannot be read":    `{"user": "{\"token\": \"hunter2\""}`,
		"inside a list of dict":                `{"users": [{"token": "a"}, {"token": "hunter2"}], "plain": "hunter2"}`,
		"inside a list that cannot be read":    `{"users": ["token=hunter2", 5]}`,
		"with another argument wrong":          `{"password": "hunter2", "count": "hunter2"}`,
		"with a choice wrong":                  `{"password": "hunter2", "state": "hunter2"}`,
		"with an argument unknown":             `{"password": "hunter2", "hunter2": 1}`,
		"an alias beside what is unknown":      `{"user": {"t": "hunter2", "x": 1}, "count": "hunter2"}`,
		"of the wrong type for a secret":       `{"pin": "hunter2"}`,
		"in one option though not in another":  `{"password": "hunter2", "user": {"token": "hunter2hunter2"}, "plain": "xhunter2hunter2x"}`,
		"overlapping with another secret":      `{"keys": ["hunter2", "2hunter"], "plain": "2hunter2hunter2"}`,
		"in a dict of a secret that is a list": `{"keys": [{"a": "hunter2"}], "plain": "hunter2"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := playLeaky(args)
			assert.NotContains(t, out, "hunter2")
			object(t, []byte(out))
		})
	}
}

func TestSecretsAreMaskedInTheSpellingsThatMessagesGiveThem(t *testing.T) {
	t.Parallel()
	secret := "pa\"ss 'w\\ö\trd\n<&"
	for name, spelling := range map[string]string{
		"quoted by Go": fmt.Sprintf("%q", secret), "as JSON": mustJSON(secret), "for a URL": url.QueryEscape(secret),
		"for a URL's path": url.PathEscape(secret), "for a shell": "'" + strings.ReplaceAll(secret, "'", `'\''`) + "'",
		"in base64": base64.StdEncoding.EncodeToString([]byte(secret)), "without the blanks around": strings.TrimSpace(secret),
	} {
		var s secrets
		s.add(secret)
		masked := s.text("before " + spelling + " after")
		assert.NotContains(t, masked, "ss", name)
		assert.Contains(t, masked, maskPart, name)
	}
}

func mustJSON(value any) string {
	out, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(out)
}

func TestMasking(t *testing.T) {
	t.Parallel()
	key := "-----BEGIN KEY-----\nAAAABBBBCCCC\nDDDDEEEEFFFF\n-----END KEY-----\n"
	for name, c := range map[string]struct {
		secrets []string
		value   any
		want    any
	}{
		"a whole value":                         {[]string{"hunter2"}, "hunter2", maskWhole},
		"a part":                                {[]string{"hunter2"}, "a hunter2 b", "a ******** b"},
		"the longer of two":                     {[]string{"abcd", "abcdef"}, "xabcdefx", "x********x"},
		"two that overlap":                      {[]string{"abcd", "cdef"}, "abcdef!", "********!"},
		"a number":                              {[]string{"12345"}, int64(12345), maskWhole},
		"a number inside a number":              {[]string{"12345"}, int64(9123459), maskWhole},
		"a number that is another one":          {[]string{"12345"}, int64(54321), int64(54321)},
		"a boolean never":                       {[]string{"true"}, true, true},
		"null never":                            {[]string{"None"}, nil, nil},
		"a short one as a whole":                {[]string{"ab"}, "ab", maskWhole},
		"a short one as a word":                 {[]string{"ab"}, "is ab, or", "is ********, or"},
		"a short one inside a word stays":       {[]string{"a"}, "changed again", "changed again"},
		"a short number as a whole":             {[]string{"5"}, int64(5), maskWhole},
		"a short number inside another":         {[]string{"5"}, int64(1500), int64(1500)},
		"a line of a key":                       {[]string{key}, "error near AAAABBBBCCCC", "error near ********"},
		"nothing but asterisks is no secret":    {[]string{"****"}, "a **** b", "a **** b"},
		"one that a mask would complete":        {[]string{"hunter2", "x********"}, "xhunter2", maskPart},
		"one that the word for a secret holds":  {[]string{"NO_LOG", "hunter2"}, "hunter2", maskPart},
		"no secrets, no masks":                  {nil, "hunter2", "hunter2"},
		"an empty secret":                       {[]string{""}, "x", "x"},
		"letters of many bytes":                 {[]string{"пароль"}, "мой пароль", "мой ********"},
		"a short one between letters of others": {[]string{"ö"}, "schön", "schön"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s secrets
			for _, secret := range c.secrets {
				s.add(secret)
			}
			assert.Equal(t, c.want, s.value(c.value))
		})
	}
}

// FuzzSecrets is the property that matters: whatever the secret, and whatever
// stands around it, it is in nothing that the module prints.
func FuzzSecrets(f *testing.F) {
	for _, seed := range [][3]string{
		{"hunter2", "before ", " after"}, {"aaaa", "a", "a"}, {"\n\n\n\n", "\n", ""}, {"abab", "ab", "ab"}, {"x***", "x", "*"},
		{`a\"b\n`, `\`, `"`}, {"пароль", "п", "ь"}, {"1234", "5", "6"}, {"    ", " ", " "}, {"null", "", ""}, {"********", "", ""}, {"changed", "", ""},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, secret, before, after string) {
		if !utf8.ValidString(secret) || !utf8.ValidString(before) || !utf8.ValidString(after) || utf8.RuneCountInString(secret) < shortest {
			t.Skip()
		}
		// A secret that stands in what every result of this module holds, or is made of the mask, cannot be told from it.
		if strings.Trim(secret, "*") == "" || strings.Contains(playLeaky(`{"plain": "-"}`), secret) || strings.Contains(maskWhole+maskPart, secret) {
			t.Skip()
		}
		args, err := json.Marshal(map[string]any{
			"password": secret, "plain": []any{before + secret + after, map[string]any{secret + after: secret}}, "users": []any{map[string]any{"token": before + secret}},
		})
		require.NoError(t, err)
		out := playLeaky(string(args))
		var result any
		require.NoError(t, json.Unmarshal([]byte(out), &result))
		walk(result, func(text string) {
			assert.NotContains(t, text, secret)
		})
	})
}

func walk(value any, visit func(string)) {
	switch value := value.(type) {
	case string:
		visit(value)
	case []any:
		for _, item := range value {
			walk(item, visit)
		}
	case map[string]any:
		for key, item := range value {
			visit(key)
			walk(item, visit)
		}
	}
}

// FuzzArguments feeds anything to the parser: it must never panic, must answer
// with exactly one object, and what it accepts it must accept again unchanged.
func FuzzArguments(f *testing.F) {
	for _, seed := range []string{
		`{}`, ``, `null`, `{"password": 1}`, `{"user": {"size": "1e3"}}`, `{"users": "token=a,size=5"}`, `{"keys": [1, null, {"a": true}]}`,
		`{"map": "{'a': (1, -2.5, [None])}"}`, `{"plain": "\ud83d\ude00"}`, `{"count": "1_0"}`, `{"_ansible_x": [], "_kit_call": "leaky"}`,
		`{"count": 1e22}`, `{"pin": "00009e2"}`, `{"user": "{\"token\": \"\\ud800\"}"}`, `{"a":{"a":{"a":1}}}`, "{\"state\": \"\xff\"}", `{"map": "a='b\\"}`,
	} {
		f.Add([]byte(seed))
	}
	m := leaky()
	f.Fuzz(func(t *testing.T, data []byte) {
		args, _, err := m.Arguments(data)
		var out bytes.Buffer
		p := process{stdin: bytes.NewReader(data), stdout: &out, stderr: io.Discard, modules: []Module{m}}
		p.main(context.Background(), []string{"leaky", "-"})
		result := object(t, out.Bytes())
		require.Equal(t, true, result["failed"])
		require.True(t, utf8.Valid(out.Bytes()))
		require.NotContains(t, result["msg"], "protocol panicked")
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		again, err := json.Marshal(args)
		require.NoError(t, err)
		twice, _, err := m.Arguments(again)
		require.NoError(t, err)
		thrice, err := json.Marshal(twice)
		require.NoError(t, err)
		require.Equal(t, string(again), string(thrice))
	})
}
