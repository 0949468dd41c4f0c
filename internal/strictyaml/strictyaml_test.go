// SPDX-License-Identifier: GPL-3.0-or-later

package strictyaml

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

func TestMapping(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ data, want string }{
		"what is right":               {"name: x\nlist: [a, b]\n", ""},
		"an optional key left out":    {"name: x\n", ""},
		"an empty file":               {"", "f.yml:1:1: it is empty"},
		"a comment alone":             {"# x\n", "f.yml:1:1: it is empty"},
		"a list for a mapping":        {"- x\n", "f.yml:1:1: not a mapping"},
		"a mapping for a list":        {"name: x\nlist: {}\n", "f.yml:2:7: not a list"},
		"an unknown key":              {"name: x\nnames: y\n", `f.yml:2:1: unknown key "names"; use list, name`},
		"a key twice":                 {"name: x\nname: y\n", `f.yml:2:1: the key "name" is listed twice`},
		"a required key missing":      {"list: []\n", `f.yml:1:1: the key "name" is missing`},
		"a list as a key":             {"[a]: x\n", "f.yml:1:1: a key must be text"},
		"an alias for a list":         {"name: &x [a]\nlist: *x\n", "f.yml:2:7: not a list"},
		"a merge key":                 {"name: x\n<<: {list: []}\n", `f.yml:2:1: unknown key "<<"`},
		"a second document":           {"name: x\n---\nname: y\n", "f.yml:2:1: a second YAML document begins here; keep one"},
		"no YAML":                     {"name: x\nlist: [\n", "f.yml:2:1: did not find"},
		"no YAML in a second":         {"name: x\n---\n}\n", "f.yml:2:1: did not find"},
		"what makes yaml.v3 panic":    {"#\n  - - \xef\xbb\xbf\n", "f.yml:"},
		"control characters":          {"name: \x01\n", "f.yml:1:1: control characters are not allowed"},
		"an error of a value's check": {"name: 7\n", "f.yml:1:7: not a string"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := File("f.yml")
			root, err := f.Document([]byte(test.data))
			if err == nil {
				err = f.Mapping(root, []string{"name"}, Keys{
					"name": func(n *yaml.Node) error {
						if n.Tag == "!!int" {
							return f.At(n, "not a %s", "string")
						}
						return nil
					},
					"list": func(n *yaml.Node) error { return f.List(n, func(*yaml.Node) error { return nil }) },
				})
			}
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
			assert.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	type inner struct {
		Size int `yaml:"size"`
	}
	type outer struct {
		Names []string         `yaml:"names"`
		Inner map[string]inner `yaml:"inner"`
	}
	var good outer
	require.NoError(t, File("f.yml").Decode([]byte("names: [a]\ninner: {x: {size: 3}}\n"), &good))
	assert.Equal(t, outer{[]string{"a"}, map[string]inner{"x": {3}}}, good)

	tests := map[string]struct{ data, want string }{
		"an empty file":       {"", "f.yml:1:1: it is empty"},
		"an unknown key":      {"inner:\n  x: {siez: 3}\n", `f.yml:2:7: unknown key "siez"`},
		"two unknown keys":    {"a: 1\nb: 2\n", `f.yml:1:1: unknown key "a"; f.yml:2:1: unknown key "b"`},
		"a key twice":         {"names: []\nnames: []\n", `f.yml:2:1: mapping key "names" already defined at line 1`},
		"a list for a struct": {"inner: {x: []}\n", "f.yml:1:1: cannot unmarshal !!seq into inner"},
		"a second document":   {"names: []\n---\n{}\n", "f.yml:2:1: a second YAML document begins here"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var into outer
			err := File("f.yml").Decode([]byte(test.data), &into)
			require.ErrorContains(t, err, test.want)
			assert.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	all, err := Documents([]byte("a: 1\n---\n- b\n---\n"))
	require.NoError(t, err)
	require.Len(t, all, 3)
	assert.Equal(t, yaml.SequenceNode, all[1].Kind)
	all, err = Documents(nil)
	require.NoError(t, err)
	assert.Empty(t, all)
	for data, want := range map[string]string{"a: [SECRET\n": "it is not YAML (line 1)", "a: \x01SECRET": "it is not YAML", "SECRET: *SECRET": "it is not YAML"} {
		_, err := Documents([]byte(data))
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "SECRET")
	}
}
