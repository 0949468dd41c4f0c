// SPDX-License-Identifier: GPL-3.0-or-later

//go:build ansible

package naming

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/run"
)

// collection is the checkout's plugins under the collection's name, with a kit
// that writes down each of its starts.
type collection struct {
	root, log string
}

func install(t *testing.T) collection {
	t.Helper()
	c := collection{root: t.TempDir()}
	c.log = filepath.Join(c.root, "starts")
	at := filepath.Join(c.root, "ansible_collections", "arcodange", "sandbox")
	require.NoError(t, os.MkdirAll(filepath.Join(at, "meta"), 0o755))
	for _, room := range []string{"action", "doc_fragments", "filter", "lookup", "modules", "plugin_utils"} {
		entries, err := filepath.Glob(filepath.Join("..", "..", "plugins", room, "*.py"))
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Join(at, "plugins", room), 0o755))
		for _, entry := range entries {
			data, err := os.ReadFile(entry)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(at, "plugins", room, filepath.Base(entry)), data, 0o644))
		}
	}
	script := fmt.Sprintf("#!/bin/sh\necho \"$1\" >>%s\nexec %s \"$@\"\n", run.Quote(c.log), run.Quote(kit))
	name := fmt.Sprintf("target_%s_%s", runtime.GOOS, runtime.GOARCH)
	require.NoError(t, os.WriteFile(filepath.Join(at, "plugins", "modules", "__"+name), []byte(script), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(at, "plugins", "bin"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(at, "plugins", "bin", "SHA256SUMS"), fmt.Appendf(nil, "%x  %s\n", sha256.Sum256([]byte(script)), name), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(at, "meta", "runtime.yml"), []byte("---\nrequires_ansible: '>=2.15.0'\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(at, "galaxy.yml"), []byte("---\nnamespace: arcodange\nname: sandbox\nversion: 1.0.0\nreadme: README.md\nauthors: [a]\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(c.root, "ansible.cfg"), []byte("[defaults]\n"), 0o644))
	return c
}

func (c collection) starts(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile(c.log)
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(t, err)
	return strings.Fields(string(data))
}

// ansible runs one of Ansible's programs.
func (c collection) ansible(t *testing.T, program string, args ...string) (run.Result, error) {
	t.Helper()
	python := os.Getenv("ANSIBLE_PYTHON")
	require.NotEmpty(t, python, "set ANSIBLE_PYTHON to the Python that has Ansible; `make unit` does")
	return run.Exec{}.Run(t.Context(), run.Cmd{
		Name: filepath.Join(filepath.Dir(python), program), Args: args, Dir: c.root,
		Env: append(os.Environ(), "ANSIBLE_COLLECTIONS_PATH="+c.root, "ANSIBLE_LOCALHOST_WARNING=False", "ANSIBLE_INVENTORY_UNPARSED_WARNING=False",
			"ANSIBLE_CONFIG="+filepath.Join(c.root, "ansible.cfg"), "ANSIBLE_NOCOLOR=1", "ANSIBLE_HOME="+c.root, "ANSIBLE_LOCAL_TEMP="+c.root),
	})
}

func (c collection) play(t *testing.T, tasks string, args ...string) (string, error) {
	t.Helper()
	path := filepath.Join(c.root, "play.yml")
	require.NoError(t, os.WriteFile(path, []byte("- hosts: localhost\n  gather_facts: false\n  tasks:\n"+tasks), 0o644))
	res, err := c.ansible(t, "ansible-playbook", append([]string{path}, args...)...)
	return string(res.Stdout) + string(res.Stderr), err
}

func TestTheFilterOverAThousandItemsStartsOneProcess(t *testing.T) {
	t.Parallel()
	for name, expression := range map[string]string{
		"mapped in one template":    `(range(1000) | map('string') | map('regex_replace', '^', 'app-') | map('arcodange.sandbox.app_env_name', 'sandbox', system='postgres_role') | list)`,
		"given as one list of apps": `(range(1000) | map('string') | map('regex_replace', '^', 'app-') | list | arcodange.sandbox.app_env_name('sandbox', system='postgres_role'))`,
		"as terms of the lookup":    `query('arcodange.sandbox.app_env_name', *(range(1000) | map('string') | map('regex_replace', '^', 'app-') | list), env='sandbox', system='postgres_role')`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := install(t)
			out, err := c.play(t, `
    - ansible.builtin.set_fact:
        names: "{{ `+expression+` }}"
    - ansible.builtin.assert:
        that:
          - names | length == 1000
          - names | unique | length == 1000
          - names[7] == 'app-7_sandbox_role'
`)
			require.NoError(t, err, out)
			require.Equal(t, []string{"--lines"}, c.starts(t), out)
		})
	}
}

func TestWorkersThatAskAtTheSameTimeDoNotHearEachOther(t *testing.T) {
	t.Parallel()
	c := install(t)
	var hosts []string
	for i := range 8 {
		hosts = append(hosts, fmt.Sprintf("app-%d", i))
	}
	path := filepath.Join(c.root, "play.yml")
	// The play's own name is templated in the main process, before workers are forked off.
	require.NoError(t, os.WriteFile(path, []byte(`
- name: "{{ 'erp' | arcodange.sandbox.app_env_name(system='dns') }}"
  hosts: "{{ 'erp' | arcodange.sandbox.app_env_name(system='dns') | regex_replace('.*', 'all') }}"
  gather_facts: false
  connection: local
  tasks:
    - ansible.builtin.assert:
        that: "(inventory_hostname | arcodange.sandbox.app_env_name(item, system='postgres_role')) == inventory_hostname ~ '_' ~ item ~ '_role'"
        quiet: true
      loop: "{{ range(100) | map('string') | map('regex_replace', '^', 'env-') | list }}"
`), 0o644))
	res, err := c.ansible(t, "ansible-playbook", "-i", strings.Join(hosts, ",")+",", "-f", "8", path)
	require.NoError(t, err, string(res.Stdout))
	assert.LessOrEqual(t, len(c.starts(t)), 1+8, "one for the main process, one for each worker")
}

func TestFilterAndLookupAnswerAsTheModuleDoes(t *testing.T) {
	t.Parallel()
	c := install(t)
	out, err := c.play(t, `
    - arcodange.sandbox.app_env_name: {app: erp, env: sandbox}
      register: module
      check_mode: true
    - ansible.builtin.assert:
        that:
          - module is not changed
          - module.names == ('erp' | arcodange.sandbox.app_env_name('sandbox'))
          - module.names == lookup('arcodange.sandbox.app_env_name', 'erp', env='sandbox')
          - module.names.dns == 'erp' | arcodange.sandbox.app_env_name(env='sandbox', system='dns')
          - "('erp' | arcodange.sandbox.app_env_name(system='postgres_role')) == 'erp_role'"
          - apps | arcodange.sandbox.app_env_name(system='postgres_database') == ['cms', 'erp', 'erp-sandbox']
          - query('arcodange.sandbox.app_env_name', *apps, system='postgres_database') == ['cms', 'erp', 'erp-sandbox']
          - ('erp' | arcodange.sandbox.app_env_name('x', system='dns', conventions=conventions)) == 'x.erp.example.org'
      vars:
        apps: [cms, {name: "{{ 'erp' }}", envs: [prod, "{{ 'sandbox' }}"]}]
        conventions: "{{ playbook_dir }}/names.yml"
`[1:])
	// The conventions file does not exist yet: the failure names it.
	require.Error(t, err, out)
	assert.Contains(t, out, "reading the conventions: open "+filepath.Join(c.root, "names.yml"))
	require.NoError(t, os.WriteFile(filepath.Join(c.root, "names.yml"), []byte("systems: {dns: {prod: <app>.example.org, other: <env>.<app>.example.org}}\n"), 0o600))
	res, err := c.ansible(t, "ansible-playbook", filepath.Join(c.root, "play.yml"))
	require.NoError(t, err, string(res.Stdout))
}

func TestWrongQuestionsToFilterAndLookup(t *testing.T) {
	t.Parallel()
	c := install(t)
	for expression, want := range map[string]string{
		`'Erp' | arcodange.sandbox.app_env_name('sandbox')`:                                    `has the capital`,
		`'erp' | arcodange.sandbox.app_env_name('Prod')`:                                       `write "prod"`,
		`'erp' | arcodange.sandbox.app_env_name(system='mysql')`:                               `unknown system "mysql"`,
		`7 | arcodange.sandbox.app_env_name`:                                                   `must be the name of an app`,
		`[{'name': 'erp', 'envs': ['x']}] | arcodange.sandbox.app_env_name('sandbox')`:         `has envs of its own`,
		`['erp-x', {'name': 'erp', 'envs': ['x']}] | arcodange.sandbox.app_env_name`:           `no two may share a name`,
		`query('arcodange.sandbox.app_env_name', 'erp_x')`:                                     `has an underscore`,
		`query('arcodange.sandbox.app_env_name', 'erp', 'erp')`:                                `stands in the list twice`,
		`query('arcodange.sandbox.app_env_name', 'erp', conventions='/nonexistent/names.yml')`: `reading the conventions: open /nonexistent/names.yml`,
	} {
		out, err := c.ansible(t, "ansible", "localhost", "-m", "ansible.builtin.debug", "-a", "msg={{ "+expression+" }}")
		require.Error(t, err, expression)
		assert.Contains(t, strings.ReplaceAll(string(out.Stdout)+string(out.Stderr), `\"`, `"`), want, expression)
	}
}

func TestAKitThatIsMissingOrBroken(t *testing.T) {
	t.Parallel()
	c := install(t)
	kits, err := filepath.Glob(filepath.Join(c.root, "ansible_collections/arcodange/sandbox/plugins/modules/__*"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(kits[0], []byte("#!/bin/sh\nexit 0\n"), 0o755))
	out, err := c.ansible(t, "ansible", "localhost", "-m", "ansible.builtin.debug", "-a", "msg={{ 'erp' | arcodange.sandbox.app_env_name }}")
	require.Error(t, err)
	assert.Contains(t, string(out.Stdout)+string(out.Stderr), "is not the one that was built")
}

func TestDifferencesAreShown(t *testing.T) {
	t.Parallel()
	c := install(t)
	out, err := c.play(t, `
    - arcodange.sandbox.app_env_name:
        app: erp
        expect: [{app: erp, names: {dns: erp.example.org, postgres_database: erp}}]
`, "--diff", "--check")
	require.Error(t, err)
	assert.Contains(t, out, "-dns of erp: erp.example.org\n+dns of erp: erp.arcodange.lab\n")
	assert.NotContains(t, out, "changed=1")
}

func TestTheModuleRunsOnTheControllerForAnyHost(t *testing.T) {
	t.Parallel()
	c := install(t)
	res, err := c.ansible(t, "ansible", "all", "-i", "host.invalid,", "-m", "arcodange.sandbox.app_env_name", "-a", "app=erp systems=dns")
	require.NoError(t, err, string(res.Stdout))
	assert.Contains(t, string(res.Stdout), "erp.arcodange.lab")
	assert.Equal(t, []string{"-"}, c.starts(t))
}

func TestDocumentationIsWhole(t *testing.T) {
	t.Parallel()
	c := install(t)
	for _, kind := range []string{"module", "filter", "lookup"} {
		res, err := c.ansible(t, "ansible-doc", "-t", kind, "arcodange.sandbox.app_env_name")
		require.NoError(t, err)
		assert.Contains(t, string(res.Stdout), "env", kind)
		assert.Empty(t, string(res.Stderr), kind)
		res, err = c.ansible(t, "ansible-doc", "-t", kind, "-l", "arcodange.sandbox")
		require.NoError(t, err)
		assert.Contains(t, string(res.Stdout), "arcodange.sandbox.app_env_name")
		assert.Empty(t, string(res.Stderr), kind)
	}
}
