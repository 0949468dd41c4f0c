// SPDX-License-Identifier: GPL-3.0-or-later

package tofu

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/zclconf/go-cty/cty"
)

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}

func none(string) string { return "" }

func TestOverridingFilesComeLast(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{
		"z.tf": "", "a.tofu": "", "override.tf": "", "b_override.tf.json": "", "m.tofu.json": "", "c.tfvars": "", ".hidden.tf": "", "x.json": "", "tf": "",
	})
	require.NoError(t, os.Mkdir(filepath.Join(dir, "folder.tf"), 0o700))
	files, err := ConfigFiles(dir)
	require.NoError(t, err)
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	assert.Equal(t, []string{"a.tofu", "m.tofu.json", "z.tf", "b_override.tf.json", "override.tf"}, files)
}

func TestAFileThatCannotBeReadIsNamedAndNotQuoted(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ file, text, want string }{
		"no HCL":               {"x.tf", "\nprovider {{ SECRET\n", "x.tf:2: Argument or block definition required"},
		"no JSON":              {"x.tf.json", "{\"SECRET", "x.tf.json:1: "},
		"a file too large":     {"x.tf", strings.Repeat("#\n", 1<<19+1), "x.tf: larger than 1048576 bytes"},
		"nested without end":   {"x.tf", "x = " + strings.Repeat("[", 2000), "x.tf: nested too deep"},
		"a missing file":       {"", "", "no such file or directory"},
		"a block in its place": {"x.tf", "provider \"a\" \"SECRET\" {}\n", "x.tf:1: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.file == "" {
				_, err := ParseFile(filepath.Join(t.TempDir(), "x.tf"))
				require.ErrorContains(t, err, test.want)
				return
			}
			_, failed := Load(folder(t, map[string]string{test.file: test.text}))
			require.Len(t, failed, 1)
			assert.Contains(t, failed[0].Error(), test.want)
			assert.NotContains(t, failed[0].Error(), "SECRET")
		})
	}
	_, failed := Load(t.TempDir())
	require.Len(t, failed, 1)
	assert.Contains(t, failed[0].Error(), "it holds no configuration")
}

func TestValuesOfARoot(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{
		"main.tf": `
variable "default" { default = "d" }
variable "environment" { default = "d" }
variable "file" { default = "d" }
variable "given" {}
variable "open" {}
locals {
  joined = "${var.default}-${local.part}"
  part   = "x"
  chain  = local.part
}
provider "x" {
  plain   = "p"
  default = var.default
  env     = var.environment
  file    = var.file
  given   = var.given
  open    = "https://${var.open}.example.org"
  chain   = [local.chain, 7, true]
  run     = data.x.y.z
  called  = upper("x")
  inner { a = "one" }
  inner { a = "two" }
  dynamic "later" {
    for_each = []
    content {}
  }
}
check "c" {
  data "http" "x" { url = "u" }
}
`,
		"terraform.tfvars": "file = \"auto\"\n",
		"more.tfvars.json": `{"given": "named"}`,
	})
	module, failed := Load(dir)
	require.Empty(t, failed)
	getenv := func(name string) string { return map[string]string{"TF_VAR_environment": "e"}[name] }
	evaluator, failed := module.Evaluator(getenv, []string{filepath.Join(dir, "more.tfvars.json")})
	require.Empty(t, failed)
	require.Len(t, module.Blocks("data"), 1)
	provider := module.Blocks("provider")[0]
	assert.Equal(t, filepath.Join(dir, "main.tf")+":12", Position(provider))
	values := evaluator.Values(provider)
	for name, want := range map[string]string{"plain": "p", "default": "d", "env": "e", "file": "auto", "given": "named", "missing": ""} {
		got, known := Text(values, name)
		assert.True(t, known, name)
		assert.Equal(t, want, got, name)
	}
	for _, name := range []string{"open", "run", "called", "later"} {
		_, known := Text(values, name)
		assert.False(t, known, name)
	}
	list, known := Texts(values, "chain")
	assert.True(t, known)
	assert.Equal(t, []string{"x", "7", "true"}, list)
	assert.Equal(t, map[string]cty.Value{"a": cty.StringVal("one")}, Object(values["inner"]))
	assert.Len(t, Objects(values), 3)
	texts := evaluator.Texts(provider)
	assert.Equal(t, []string{"https://", ".example.org"}, texts["open"])
	assert.Equal(t, []string{"one", "two"}, texts["inner"])
}

func TestAValueThatGrowsWithoutEndIsUnknown(t *testing.T) {
	t.Parallel()
	text := "locals {\n a0 = \"xx\"\n"
	for i := range 40 {
		text += fmt.Sprintf(" a%d = \"${local.a%d}${local.a%d}\"\n", i+1, i, i)
	}
	module, failed := Load(folder(t, map[string]string{"main.tf": text + "}\nprovider \"x\" {\n a = local.a40\n b = local.a3\n}\n"}))
	require.Empty(t, failed)
	evaluator, _ := module.Evaluator(none, nil)
	values := evaluator.Values(module.Blocks("provider")[0])
	_, known := Text(values, "a")
	assert.False(t, known)
	_, known = Text(values, "b")
	assert.True(t, known)
}

func TestFromJSON(t *testing.T) {
	t.Parallel()
	values := map[string]cty.Value{"": FromJSON(map[string]any{"a": []any{"x", 1.5, true, nil}})}
	assert.Equal(t, []string{"a", "0", "x", "1", "1.5", "2", "3"}, appendStrings(nil, values[""]))
}
