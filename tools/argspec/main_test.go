// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const top = "../.."

func TestTheGeneratedOptionsAreCurrent(t *testing.T) {
	t.Parallel()
	files, err := generate(top)
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(top, name))
		require.NoError(t, err)
		assert.Equal(t, string(want), string(got), "%s is not what DOCUMENTATION says; run `make generate`", name)
	}
	present, err := filepath.Glob(filepath.Join(top, "modules", "*", "spec_gen.go"))
	require.NoError(t, err)
	assert.Len(t, present, len(files))
}

func TestADocumentationThatIsNotUnderstoodIsRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ options, want string }{
		"an unknown key":       {"a: {description: x, type: str, defualt: y}", `unknown key "defualt"`},
		"an unknown type":      {"a: {description: x, type: string}", `type "string": not a type`},
		"no type":              {"a: {description: x}", `the key "type" is missing`},
		"no description":       {"a: {type: str}", `the key "description" is missing`},
		"an option twice":      {"a: {description: x, type: str}\n  a: {description: x, type: str}", `the key "a" is listed twice`},
		"a default of no kind": {"a: {description: x, type: dict, default: {b: c}}", "must be a scalar or a list"},
		"a fragment of others": {"{}\nextends_documentation_fragment: [other.one.two]", "not of this collection"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			folder := filepath.Join(root, "plugins", "modules")
			require.NoError(t, os.MkdirAll(folder, 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(folder, "x.py"), []byte("DOCUMENTATION = r\"\"\"\nmodule: x\noptions:\n  "+test.options+"\n\"\"\"\n"), 0o600))
			_, err := generate(root)
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestTheOptionsOfEvidenceAreTheSameByThemselves(t *testing.T) {
	t.Parallel()
	const file = "../../plugins/doc_fragments/evidence.py"
	nested, err := fragmentText(file, "")
	require.NoError(t, err)
	single, err := fragmentText(file, "subject")
	require.NoError(t, err)
	_, options, found := strings.Cut(nested, "suboptions:\n")
	require.True(t, found)
	assert.Equal(t, strings.ReplaceAll(single, "\n  ", "\n      "), "options:\n"+options)
}
