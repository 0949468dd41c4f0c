// SPDX-License-Identifier: GPL-3.0-or-later

package docs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/internal/image"
	"github.com/arcodange-org/sandbox/modules/app_env_name"
	"github.com/arcodange-org/sandbox/modules/evidence"
	"github.com/arcodange-org/sandbox/modules/idempotence_gate"
	"github.com/arcodange-org/sandbox/modules/parity_assert"
	"github.com/arcodange-org/sandbox/modules/prod_ip_guard"
	"github.com/arcodange-org/sandbox/modules/prod_ip_guard/controller"
	"github.com/arcodange-org/sandbox/modules/promotion_gate"
	"github.com/arcodange-org/sandbox/modules/sandbox_fence"
	sandboximage "github.com/arcodange-org/sandbox/modules/sandbox_image"
	"github.com/arcodange-org/sandbox/modules/sandbox_services"
	"github.com/arcodange-org/sandbox/modules/sandbox_vm"
	"github.com/arcodange-org/sandbox/modules/sandbox_vm_info"
	"github.com/arcodange-org/sandbox/modules/tofu_plan_gate"
)

const root = "../.."

// child makes the test binary the kit of all modules, so that results are what Ansible would read.
const child = "DOCS_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(child) != "" {
		os.Exit(ansible.Main(os.Args, modules()...))
	}
	os.Exit(m.Run())
}

func modules() []ansible.Module {
	return []ansible.Module{appenvname.Module(), controller.Module(), evidence.Module(), idempotencegate.Module(), parityassert.Module(), promotiongate.Module(), sandboxfence.Module(), sandboximage.Module(), sandboxservices.Module(), sandboxvm.Module(), sandboxvminfo.Module(), tofuplangate.Module()}
}

// option is one option of a role's argument_specs.yml.
type option struct {
	Description any    `yaml:"description"`
	Type        string `yaml:"type"`
	Elements    string `yaml:"elements"`
	Required    bool   `yaml:"required"`
	Default     any    `yaml:"default"`
	Choices     []any  `yaml:"choices"`
}

// returned is one key of RETURN.
type returned struct {
	Description any                 `yaml:"description"`
	Returned    string              `yaml:"returned"`
	Type        string              `yaml:"type"`
	Elements    string              `yaml:"elements"`
	Sample      any                 `yaml:"sample"`
	Contains    map[string]returned `yaml:"contains"`
}

// block reads NAME = r"""...""" of a plugin; strict refuses a key that dst does not have.
func block(path, name string, strict bool, dst any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	found := regexp.MustCompile(`(?ms)^` + name + ` = r"""\n(.*?)^"""`).FindSubmatch(data)
	if found == nil {
		return fmt.Errorf("%s has no %s", path, name)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(found[1]))
	decoder.KnownFields(strict)
	return decoder.Decode(dst)
}

func modulePath(name string) string { return filepath.Join(root, "plugins", "modules", name+".py") }

func asJSON(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

func TestEveryModuleIsDocumented(t *testing.T) {
	t.Parallel()
	var names, found []string
	for _, m := range modules() {
		names = append(names, m.Name)
		var doc struct{ Module string }
		require.NoError(t, block(modulePath(m.Name), "DOCUMENTATION", false, &doc))
		assert.Equal(t, m.Name, doc.Module)
	}
	files, err := filepath.Glob(modulePath("*"))
	require.NoError(t, err)
	for _, file := range files {
		found = append(found, strings.TrimSuffix(filepath.Base(file), ".py"))
	}
	assert.ElementsMatch(t, names, found)
}

func TestEveryImageRecipeIsDocumented(t *testing.T) {
	t.Parallel()
	assert.Equal(t, image.Names(), sandboximage.Module().Spec.Options["recipe"].Choices)
}

func TestBothKitsTakeTheSameArgumentsForTheGuard(t *testing.T) {
	t.Parallel()
	assert.Equal(t, controller.Module().Spec, prodipguard.Module().Spec)
}

// returnsOf lists the keys that the sources of a module return.
func returnsOf(t *testing.T, directory string) []string {
	t.Helper()
	keys := map[string]bool{}
	err := filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if from, ok := method.X.(*ast.Ident); ok && from.Name == "gate" && method.Sel.Name == "Run" {
				for _, key := range append(returnsOf(t, filepath.Join(root, "internal", "gate", "run.go")), "evidence") {
					keys[key] = true // which it returns for each gate
				}
			}
			if method.Sel.Name != "Return" || len(call.Args) != 2 {
				return true
			}
			key, ok := call.Args[0].(*ast.BasicLit)
			require.True(t, ok, "%s: Return with a key that is not written out", path)
			text, err := strconv.Unquote(key.Value)
			require.NoError(t, err)
			keys[text] = true
			return true
		})
		return nil
	})
	require.NoError(t, err)
	return slices.Sorted(maps.Keys(keys))
}

func TestReturnNamesEveryKeyThatAModuleReturns(t *testing.T) {
	t.Parallel()
	for _, m := range modules() {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			var doc map[string]returned
			require.NoError(t, block(modulePath(m.Name), "RETURN", true, &doc))
			assert.Equal(t, returnsOf(t, filepath.Join(root, "modules", m.Name)), slices.Sorted(maps.Keys(doc)))
			for key, r := range doc {
				assert.NotEmpty(t, r.Returned, "%s: when is it returned?", key)
			}
		})
	}
}

// undocumented says what of a result RETURN does not have, or has as another type.
func undocumented(doc map[string]returned, result map[string]any, where string) []string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(result)) {
		r, ok := doc[key]
		if !ok {
			out = append(out, where+key+": not documented")
			continue
		}
		out = append(out, r.unlike(result[key], r.Type, where+key)...)
	}
	return out
}

func (r returned) unlike(value any, wanted, at string) []string {
	is := map[string]bool{"raw": true}
	switch value := value.(type) {
	case nil:
		return nil
	case bool:
		is["bool"] = true
	case string:
		is["str"], is["path"] = true, true
	case float64:
		is["float"], is["int"] = true, value == float64(int64(value))
	case []any:
		is["list"] = true
		if wanted != "list" {
			break
		}
		var out []string
		for n, item := range value {
			out = append(out, r.unlike(item, r.Elements, fmt.Sprintf("%s[%d]", at, n))...)
		}
		return out
	case map[string]any:
		is["dict"] = true
		if wanted == "dict" && r.Contains != nil {
			return undocumented(r.Contains, value, at+".")
		}
	}
	if !is[wanted] {
		return []string{fmt.Sprintf("%s: documented as %s, and is %v", at, wanted, value)}
	}
	return nil
}

// call runs a module as Ansible would, with a Docker engine that has nothing.
func call(t *testing.T, module string, args map[string]any) map[string]any {
	t.Helper()
	args[ansible.CallKey] = module
	args["_ansible_inject_invocation"] = false
	data, err := json.Marshal(args)
	require.NoError(t, err)
	home := t.TempDir()
	bin := filepath.Join(home, "bin")
	require.NoError(t, os.Mkdir(bin, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(bin, "docker"), []byte(emptyEngine), 0o700))
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(program, "-")
	cmd.Stdin = bytes.NewReader(data)
	cmd.Env = append(os.Environ(), child+"=1", "HOME="+home, "XDG_STATE_HOME="+home+"/state", "XDG_CACHE_HOME="+home+"/cache", "PATH="+bin+":"+os.Getenv("PATH"))
	out, _ := cmd.Output()
	var result map[string]any
	require.NoError(t, json.Unmarshal(out, &result), "%s", out)
	return result
}

const emptyEngine = `#!/bin/sh
case "$1 $2" in
*inspect*) echo "Error: No such object: $3" >&2; exit 1 ;;
esac
exit 0
`

func TestReturnDescribesWhatSampleCallsReturn(t *testing.T) {
	t.Parallel()
	boundary := filepath.Join(root, "inventory", "sandbox", "boundary.yml")
	for name, sample := range map[string]struct {
		module string
		args   map[string]any
		fails  bool
		keys   []string
	}{
		"the names of one app": {
			"app_env_name", map[string]any{"app": "erp", "env": "sandbox", "with_table": true}, false,
			[]string{"instances", "names", "collisions", "table"},
		},
		"apps that share a name": {
			"app_env_name", map[string]any{"apps": []any{"erp-sandbox", map[string]any{"name": "erp", "envs": []any{"sandbox"}}}}, true,
			[]string{"instances", "collisions"},
		},
		"a name that is not what was recorded": {
			"app_env_name", map[string]any{"app": "erp", "expect": []any{map[string]any{"app": "erp", "names": map[string]any{"dns": "erp.example.org"}}}}, true,
			[]string{"instances", "names", "collisions", "differences"},
		},
		"a target that is sandbox": {
			"prod_ip_guard", map[string]any{"boundary": boundary, "targets": []any{map[string]any{"host": "pi1", "address": "172.30.0.11"}}}, false,
			[]string{"verdicts", "overridden"},
		},
		"a target that is refused, and the machine itself": {
			"prod_ip_guard", map[string]any{"boundary": boundary, "check_remote_host": true, "targets": []any{map[string]any{"host": "pi1", "address": "192.0.2.1"}}}, true,
			[]string{"verdicts", "overridden"},
		},
		"external references that are read": {
			"prod_ip_guard", map[string]any{"boundary": boundary, "external_references": map[string]any{"kubeconfigs": []any{"missing"}}}, true,
			[]string{"verdicts", "overridden"},
		},
		"a machine that is absent": {
			"sandbox_vm", map[string]any{"name": "pi1", "sandbox": "documented", "state": "absent"}, false,
			[]string{"changes", "machine"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var doc map[string]returned
			require.NoError(t, block(modulePath(sample.module), "RETURN", true, &doc))
			result := call(t, sample.module, sample.args)
			failed, _ := result["failed"].(bool)
			require.Equal(t, sample.fails, failed, "%v", result["msg"])
			for _, common := range []string{"changed", "failed", "msg", "warnings", "diff"} {
				delete(result, common)
			}
			assert.Subset(t, slices.Collect(maps.Keys(result)), sample.keys)
			assert.Empty(t, undocumented(doc, result, ""))
		})
	}
}

func readYAML(t *testing.T, path string, strict bool, dst any) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(strict)
	require.NoError(t, decoder.Decode(dst), path)
}

func TestEveryRoleDocumentsItsOptions(t *testing.T) {
	t.Parallel()
	roles, err := filepath.Glob(filepath.Join(root, "roles", "*", "tasks"))
	require.NoError(t, err)
	require.NotEmpty(t, roles)
	for _, tasks := range roles {
		role := filepath.Dir(tasks)
		t.Run(filepath.Base(role), func(t *testing.T) {
			t.Parallel()
			var specs struct {
				Entries map[string]struct {
					Options map[string]struct {
						option  `yaml:",inline"`
						Options map[string]any `yaml:"options"`
					} `yaml:"options"`
					Rest map[string]any `yaml:",inline"`
				} `yaml:"argument_specs"`
			}
			readYAML(t, filepath.Join(role, "meta", "argument_specs.yml"), true, &specs)
			defaults := map[string]any{}
			readYAML(t, filepath.Join(role, "defaults", "main.yml"), false, &defaults)
			readme, err := os.ReadFile(filepath.Join(role, "README.md"))
			require.NoError(t, err)
			text := string(readme)

			options := specs.Entries["main"].Options
			for name, value := range defaults {
				o, ok := options[name]
				if !assert.True(t, ok, "%s has a default and stands in no argument spec", name) {
					continue
				}
				assert.False(t, o.Required, "%s has a default and is required", name)
				if computed := strings.Contains(asJSON(value), "{{"); computed {
					assert.True(t, o.Default == nil || o.Default == value, "%s is computed, and the spec says %v", name, o.Default)
				} else {
					assert.Equal(t, asJSON(value), asJSON(o.Default), "%s: the default, and what the spec says it is", name)
				}
			}
			for name, o := range options {
				_, ok := defaults[name]
				assert.True(t, ok || o.Required, "%s is not required and has no default", name)
				assert.NotNil(t, o.Description, "%s has no description", name)
				assert.True(t, strings.Contains(text, "`"+name+"`"), "the role's README does not name %s", name)
			}
			for entry, spec := range specs.Entries {
				assert.FileExists(t, filepath.Join(tasks, entry+".yml"))
				for name, o := range spec.Options {
					main, ok := options[name]
					assert.True(t, ok, "%s: %s is no option of main", entry, name)
					assert.Equal(t, asJSON(main.Default), asJSON(o.Default), "%s: %s", entry, name)
				}
			}
			for line := range strings.Lines(text) {
				if !strings.HasPrefix(line, "| `") {
					continue
				}
				first, _, _ := strings.Cut(line[1:], "|")
				for _, named := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(first, -1) {
					own := strings.HasPrefix(named[1], filepath.Base(role)+"_") || strings.HasPrefix(named[1], "_")
					if !own {
						continue // what it takes from the inventory, through its defaults
					}
					_, ok := options[named[1]]
					assert.True(t, ok, "the role's README names %s, which the role does not take", named[1])
				}
			}
		})
	}
}

// tracked lists the files that git knows, or would.
func tracked(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	require.NoError(t, err)
	var files []string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if info, err := os.Lstat(filepath.Join(root, name)); err == nil && info.Mode().IsRegular() {
			files = append(files, name)
		}
	}
	require.NotEmpty(t, files)
	return files
}

var (
	fence   = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	link    = regexp.MustCompile(`\]\(([^)\s]+)(?: "[^"]*")?\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	noSlug  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

func anchors(text string) []string {
	var out []string
	for _, h := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		out = append(out, strings.ReplaceAll(noSlug.ReplaceAllString(strings.ToLower(strings.TrimSpace(h[1])), ""), " ", "-"))
	}
	return out
}

// broken lists the links of a text that lead to no file or heading.
func broken(path, text string) []string {
	var out []string
	for _, found := range link.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		file, anchor, _ := strings.Cut(found[1], "#")
		if strings.Contains(file, "://") || strings.HasPrefix(file, "mailto:") {
			continue
		}
		target := text
		if file != "" {
			file = filepath.Join(filepath.Dir(path), file)
			if _, err := os.Stat(file); err != nil {
				out = append(out, path+": "+found[1]+" is not there")
				continue
			}
			if anchor == "" || !strings.HasSuffix(file, ".md") {
				continue
			}
			data, err := os.ReadFile(file)
			if err != nil {
				out = append(out, err.Error())
				continue
			}
			target = string(data)
		}
		if !slices.Contains(anchors(target), anchor) {
			out = append(out, path+": "+found[1]+" names no heading")
		}
	}
	return out
}

func TestEveryLinkPointsToAFile(t *testing.T) {
	t.Parallel()
	for _, name := range tracked(t) {
		if strings.HasSuffix(name, ".md") {
			data, err := os.ReadFile(filepath.Join(root, name))
			require.NoError(t, err)
			assert.Empty(t, broken(filepath.Join(root, name), string(data)))
		}
	}
	directory := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(directory, "other.md"), []byte("# The other `one`\n"), 0o600))
	text := "# Here\n[a](other.md) [b](other.md#the-other-one) [c](#here) [d](https://example.org/x)\n"
	assert.Empty(t, broken(filepath.Join(directory, "a.md"), text))
	assert.Len(t, broken(filepath.Join(directory, "a.md"), text+"[e](missing.md) [f](other.md#x) [g](#x)\n"), 3)
}

func TestProductionsAddressesAreOnlyWhereTheyAreBoundedOrExplained(t *testing.T) {
	t.Parallel()
	address := regexp.MustCompile(`192\.168\.1\.20[1-3]\b`)
	for _, name := range tracked(t) {
		base := filepath.Base(name)
		switch {
		case name == "inventory/sandbox/boundary.yml", strings.HasPrefix(name, "docs/"), strings.HasPrefix(name, "tests/"),
			base == "README.md", base == "CHANGELOG.md", strings.HasPrefix(name, "changelogs/"),
			strings.HasSuffix(base, "_test.go"), strings.HasSuffix(base, "-test.sh"), strings.Contains(name, "/testdata/"):
			continue
		}
		data, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		assert.False(t, address.Match(data), "%s holds an address of production", name)
	}
}
