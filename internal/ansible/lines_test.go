// SPDX-License-Identifier: GPL-3.0-or-later

package ansible

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func lineResults(t *testing.T, in string, modules ...Module) ([]map[string]any, int) {
	t.Helper()
	var out bytes.Buffer
	p := process{stdin: strings.NewReader(in), stdout: &out, stderr: &bytes.Buffer{}, modules: modules}
	code := p.lines(context.Background(), "kit")
	var results []map[string]any
	for scanner := bufio.NewScanner(&out); scanner.Scan(); {
		var result map[string]any
		require.NoError(t, json.Unmarshal(scanner.Bytes(), &result))
		results = append(results, result)
	}
	return results, code
}

func TestEveryLineIsACallWithAResultOfItsOwn(t *testing.T) {
	t.Parallel()
	echo := Module{Name: "echo", Spec: Spec{Options: map[string]Option{"text": {}, "password": {NoLog: true}}}, Run: func(_ context.Context, c *Call) error {
		if c.Arg("text") == "fail" {
			return errors.New("as asked")
		}
		c.Return("text", c.Arg("text"))
		return nil
	}}
	results, code := lineResults(t, `{"_kit_call":"echo","text":"one","password":"two"}
no JSON

{"_kit_call":"echo","text":"fail"}
{"_kit_call":"none"}
{"_kit_call":"echo","text":"two"}`, echo)
	assert.Equal(t, 0, code)
	require.Len(t, results, 5, "a blank line is no call, and the last line needs no end")
	assert.Equal(t, "one", results[0]["text"])
	assert.Equal(t, true, results[1]["failed"])
	assert.Equal(t, "as asked", results[2]["msg"])
	assert.Equal(t, true, results[3]["failed"])
	assert.Equal(t, "two", results[4]["text"], "a secret of one call is none of the next")
}

func TestAContrastIsShownAndIsNoChange(t *testing.T) {
	t.Parallel()
	for _, also := range []bool{false, true} {
		result, _ := play(t, does(func(_ context.Context, c *Call) error {
			c.Contrast("same", "a", "a")
			c.Contrast("name", "erp", "Erp")
			if also {
				c.Differ("file", 1, 2)
			}
			assert.Equal(t, also, c.Changed())
			return nil
		}), `{"_ansible_diff": true}`)
		assert.Equal(t, also, result["changed"])
		before := result["diff"].(map[string]any)["before"].(map[string]any)
		assert.Equal(t, "erp", before["name"])
		assert.NotContains(t, before, "same")
	}
}

func TestValuesTakeTheSameFormByBothWays(t *testing.T) {
	t.Parallel()
	for _, value := range []any{
		nil, "text", "with \"quotes\" and <tags> \u2028 \x7f", "", int64(7), true, []any{}, []any{"a", nil, map[string]string{"b": "c"}},
		map[string]any{"z": 1, "a": []string{"x"}}, map[string]string{"b": "2", "a": "1"}, "not \xff UTF-8", map[string]string{"\xff": "x"},
		[]any(nil), map[string]any(nil), map[string]string(nil), struct {
			A string `json:"a"`
		}{"b"},
	} {
		data, err := json.Marshal(value)
		require.NoError(t, err)
		want, err := parseJSON(data, true)
		require.NoError(t, err)
		got, err := valueOf(value)
		require.NoError(t, err)
		wantText, err := jsonBytes(want)
		require.NoError(t, err)
		gotText, err := jsonBytes(got)
		require.NoError(t, err)
		assert.Equal(t, string(wantText), string(gotText))
		var again any
		require.NoError(t, json.Unmarshal(gotText, &again))
	}
}
