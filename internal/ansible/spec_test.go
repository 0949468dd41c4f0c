// SPDX-License-Identifier: GPL-3.0-or-later

package ansible

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestASpecThatContradictsItselfIsRefused(t *testing.T) {
	t.Parallel()
	one := func(o Option) Spec { return Spec{Options: map[string]Option{"x": o}} }
	for message, s := range map[string]Spec{
		"cannot be required and have a default": one(Option{Required: true, Default: 1}),
		"only a list has elements":              one(Option{Elements: Int}),
		"only a dict or a list of dict":         one(Option{Spec: &Spec{}}),
		"only str and int have choices":         one(Option{Type: Bool, Choices: []string{"a"}}),
		"no such type":                          one(Option{Type: 99}),
		"default: json":                         one(Option{Default: func() {}}),
		"x.y: it cannot be required":            one(Option{Type: Dict, Spec: &Spec{Options: map[string]Option{"y": {Required: true, Default: 1}}}}),
		`the name "_ansible_y" is reserved`:     one(Option{Aliases: []string{"_ansible_y"}}),
		`the name "_kit_call" is reserved`:      {Options: map[string]Option{CallKey: {}}},
		"belongs to a already":                  {Options: map[string]Option{"a": {Aliases: []string{"b"}}, "b": {}}},
		"names an option that is not there":     {Options: map[string]Option{"a": {}}, RequiredTogether: [][]string{{"a", "b"}}},
		"q: a group names an option":            {RequiredIf: []RequiredIf{{Option: "q", Is: 1}}},
	} {
		t.Run(message, func(t *testing.T) {
			t.Parallel()
			m := Module{Name: "thing", Spec: s, Run: nothing}
			require.ErrorContains(t, m.Check(), message)
			result, code := play(t, m, `{}`)
			assert.Equal(t, 1, code)
			assert.Equal(t, true, result["failed"])
		})
	}
	require.Error(t, Module{Name: "a-b", Run: nothing}.Check())
	require.Error(t, Module{Name: "thing"}.Check())
}

func TestBindFillsAStruct(t *testing.T) {
	t.Parallel()
	type disk struct {
		Name string `arg:"name"`
		Size int64  `arg:"size"`
	}
	type all struct {
		Name    string            `arg:"name"`
		CPUs    *int              `arg:"cpus"`
		Unset   *int              `arg:"unset"`
		Port    uint16            `arg:"port"`
		Ratio   float64           `arg:"ratio"`
		On      bool              `arg:"on"`
		Disks   []disk            `arg:"disks"`
		Labels  map[string]string `arg:"labels"`
		Any     any               `arg:"any"`
		Inner   *disk             `arg:"inner"`
		Ignored int
	}
	spec := Spec{Options: map[string]Option{
		"name": {}, "cpus": {Type: Int}, "unset": {Type: Int}, "port": {Type: Int}, "ratio": {Type: Float}, "on": {Type: Bool},
		"labels": {Type: Dict}, "any": {Type: Raw},
		"disks": {Type: List, Elements: Dict, Spec: &Spec{Options: map[string]Option{"name": {}, "size": {Type: Bytes}}}},
		"inner": {Type: Dict, Spec: &Spec{Options: map[string]Option{"name": {}, "size": {Type: Bytes}}}},
	}}
	call := func(args string) *Call {
		value, err := parseJSON([]byte(args), false)
		require.NoError(t, err)
		var hidden secrets
		p := spec.parse(value.(*dict), &hidden)
		require.NoError(t, p.err("thing", &spec, false))
		return &Call{args: p.args, secrets: &hidden}
	}
	var got all
	require.NoError(t, call(`{"name": 5, "cpus": "4", "port": 22, "ratio": "0.5", "on": "yes", "disks": ["name=a,size=2K"],
		"labels": "a=1", "any": {"x": [1]}, "inner": {"size": "1G"}}`).Bind(&got))
	four := 4
	assert.Equal(t, all{
		Name: "5", CPUs: &four, Port: 22, Ratio: 0.5, On: true, Labels: map[string]string{"a": "1"},
		Any: map[string]any{"x": []any{int64(1)}}, Inner: &disk{Size: 1 << 30}, Disks: []disk{{}},
	}, func() all { got.Disks = []disk{{}}; return got }())

	require.ErrorContains(t, call(`{"port": 70000}`).Bind(&got), "argument port: 70000 is negative or too large")
	require.ErrorContains(t, call(`{"cpus": 123456789012345678901}`).Bind(&got), "argument cpus: 123456789012345678901 is too large")
	require.ErrorContains(t, call(`{}`).Bind(got), "not a pointer to a struct")
	require.ErrorContains(t, call(`{}`).Bind(&struct {
		X int `arg:"nme"`
	}{}), "the spec has no option nme")
	require.ErrorContains(t, call(`{"labels": "a=1"}`).Bind(&struct {
		X int `arg:"labels"`
	}{}), "labels is a dictionary, which a field of type int cannot hold")
	// Values of a dict may be of any type; a map of strings takes them as Ansible would write them.
	require.NoError(t, call(`{"labels": {"a": 1, "b": true, "c": null}}`).Bind(&got))
	assert.Equal(t, map[string]string{"a": "1", "b": "True", "c": ""}, got.Labels)
}

func TestAllProblemsAreReportedOnOneLine(t *testing.T) {
	t.Parallel()
	m := Module{Name: "thing", Run: nothing, Spec: Spec{Options: map[string]Option{
		"name": {Required: true}, "size": {Type: Bytes}, "disks": {Type: List, Elements: Dict, Spec: &Spec{Options: map[string]Option{
			"kind": {Choices: []string{"ssd", "hdd"}}, "id": {Type: Int, Required: true},
		}}},
	}}}
	_, _, err := m.Arguments([]byte(`{"size": "big", "disks": [{"kind": "tape", "typo": 1}]}`))
	assert.EqualError(t, err, `missing required arguments: name; argument size: "big" cannot be read as bytes; give a size such as 512M, 4G or 1073741824; `+
		`missing required arguments: id found in disks; value of kind must be one of: ssd, hdd, got: "tape" found in disks; `+
		`Unsupported parameters for (thing) module: disks.typo. Supported parameters include: id, kind.`)
}

func BenchmarkArguments(b *testing.B) {
	m := leaky()
	args, _ := json.Marshal(map[string]any{"password": "hunter2", "users": []any{map[string]any{"token": "x", "size": "5"}}, "plain": "x"})
	for b.Loop() {
		if _, _, err := m.Arguments(args); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCall(b *testing.B) {
	for b.Loop() {
		playLeaky(`{"password": "hunter2", "users": [{"token": "x", "size": "5"}], "plain": "x"}`)
	}
}
