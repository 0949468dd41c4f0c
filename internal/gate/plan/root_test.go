// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/tofu"
)

const good = "terraform {\n  backend \"local\" {\n    path = \"/sandbox/x\"\n  }\n}\n"

func place(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}

func TestTheOverrideIsTheOnlyBackendLeft(t *testing.T) {
	t.Parallel()
	main := "terraform {\n  required_version = \">= 1.6\"\n  backend \"gcs\" {\n    bucket = \"prod\"\n  }\n}\nresource \"a\" \"b\" {}\n"
	dir := place(t, map[string]string{"root/main.tf": main, "root/prod_override.tf": "terraform {\n  cloud {\n    organization = \"prod\"\n  }\n}\n", "root/other.tofu": good, "new.tf": good})
	require.NoError(t, override(filepath.Join(dir, "root"), filepath.Join(dir, "new.tf")))
	files, err := tofu.ConfigFiles(filepath.Join(dir, "root"))
	require.NoError(t, err)
	left := 0
	for _, path := range files {
		body, data, err := parse(path)
		require.NoError(t, err)
		left += len(backends(body))
		assert.NotContains(t, string(data), "prod\"")
		if filepath.Base(path) == "main.tf" {
			assert.Equal(t, strings.Count(main, "\n"), strings.Count(string(data), "\n"), "lines stay where they are")
			assert.Contains(t, string(data), "resource \"a\" \"b\" {}")
			assert.Contains(t, string(data), "required_version")
		}
	}
	assert.Equal(t, 1, left)
}

func TestAnOverrideThatIsMoreOrLessThanABackendIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files map[string]string
		says  string
	}{
		"none":                              {map[string]string{"new.tf": "terraform {}\n"}, "one backend"},
		"two":                               {map[string]string{"new.tf": good + good}, "one backend"},
		"a resource beside it":              {map[string]string{"new.tf": good + "resource \"a\" \"b\" {}\n"}, "one backend"},
		"a version beside it":               {map[string]string{"new.tf": "terraform {\n  required_version = \"1\"\n  backend \"local\" {}\n}\n"}, "one backend"},
		"no HCL":                            {map[string]string{"new.tf": "terraform {"}, "cannot be parsed"},
		"a root with a backend in JSON":     {map[string]string{"new.tf": good, "root/b.tf.json": `{"terraform": {"backend": {"gcs": {}}}}`}, "write it in HCL"},
		"a root that takes the copy's name": {map[string]string{"new.tf": good, "root/zz_backend_override.tofu": ""}, "rename it"},
		"a root that cannot be parsed":      {map[string]string{"new.tf": good, "root/c.tf": "resource {"}, "cannot be parsed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.files["root/main.tf"] = ""
			dir := place(t, c.files)
			assert.ErrorContains(t, override(filepath.Join(dir, "root"), filepath.Join(dir, "new.tf")), c.says)
		})
	}
}

func TestTheFolderToCopyHoldsEveryModuleCalledByAPath(t *testing.T) {
	t.Parallel()
	dir := place(t, map[string]string{
		"a/live/root/main.tf": "module \"m\" {\n  source = \"../../modules/m\"\n}\nmodule \"r\" {\n  source = \"example/registry\"\n}\n",
		"a/modules/m/main.tf": "module \"n\" {\n  source = \"../../../b/n\"\n}\nmodule \"self\" {\n  source = \"../m\"\n}\n",
		"b/n/main.tf":         "", "alone/main.tf": "module \"in\" {\n  source = \"./in\"\n}\n", "alone/in/main.tf": "",
	})
	for root, wanted := range map[string]string{"a/live/root": "", "alone": "alone", "b/n": "b/n"} {
		found, err := base(filepath.Join(dir, root))
		require.NoError(t, err)
		assert.Equal(t, filepath.Join(dir, wanted), found, root)
	}
}

func TestACopyHasNeitherStatesNorWhatLiesOutside(t *testing.T) {
	t.Parallel()
	dir := place(t, map[string]string{
		"from/main.tf": "x", "from/.terraform/terraform.tfstate": "x", "from/terraform.tfstate": "x", "from/x.tfstate.backup": "x", "from/.terraform.lock.hcl": "x",
		"from/work/plan-1/plan": "x", "outside/file": "secret", "from/sub/f": "x",
	})
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	require.NoError(t, os.Symlink("../outside/file", filepath.Join(from, "linked")))
	require.NoError(t, os.Symlink("sub", filepath.Join(from, "within")))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(from, "dangling")))
	require.NoError(t, duplicate(from, to, filepath.Join(from, "work")))
	var names []string
	require.NoError(t, filepath.WalkDir(to, func(path string, entry os.DirEntry, err error) error {
		if !entry.IsDir() {
			rel, _ := filepath.Rel(to, path)
			names = append(names, rel)
		}
		return err
	}))
	assert.Equal(t, []string{".terraform.lock.hcl", "linked", "main.tf", "sub/f", "within"}, names)
	require.NoError(t, os.Symlink("../outside", filepath.Join(from, "escape")))
	assert.ErrorContains(t, duplicate(from, filepath.Join(dir, "again"), ""), "outside")
}

func TestABackendThatCannotLockIsNamed(t *testing.T) {
	t.Parallel()
	for kind, cases := range map[string]map[bool]map[string]any{
		"http":   {true: {"lock_address": "x"}, false: {"lock_address": ""}},
		"s3":     {true: {"use_lockfile": true}, false: {"use_lockfile": false, "dynamodb_table": nil}},
		"consul": {true: {"lock": nil}, false: {"lock": false}},
	} {
		for locks, config := range cases {
			assert.Equal(t, locks, unlockable(kind, config) == "", "%s %v", kind, config)
		}
	}
	assert.Empty(t, unlockable("gcs", nil))
}
