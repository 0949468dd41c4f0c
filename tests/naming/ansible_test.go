// SPDX-License-Identifier: GPL-3.0-or-later

//go:build ansible

package naming

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/run"
	"github.com/arcodange-org/sandbox/tests/ansibletest"
)

// collection has a binary that writes down each of its starts.
type collection struct {
	ansibletest.Site
	log string
}

func install(t *testing.T) collection {
	t.Helper()
	log := filepath.Join(t.TempDir(), "starts")
	return collection{ansibletest.Install(t, "", fmt.Sprintf("#!/bin/sh\necho \"$1\" >>%s\nexec %s \"$@\"\n", run.Quote(log), run.Quote(kit))), log}
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

func (c collection) play(t *testing.T, tasks string, args ...string) (string, error) {
	t.Helper()
	c.Write(t, "play.yml", "- hosts: localhost\n  gather_facts: false\n  tasks:\n"+tasks)
	return c.Play(t, append([]string{"play.yml"}, args...)...)
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

func TestConcurrentWorkersGetTheirOwnAnswers(t *testing.T) {
	t.Parallel()
	c := install(t)
	var hosts []string
	for i := range 8 {
		hosts = append(hosts, fmt.Sprintf("app-%d", i))
	}
	path := filepath.Join(c.Root, "play.yml")
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
	res, err := c.Run(t, "ansible-playbook", "-i", strings.Join(hosts, ",")+",", "-f", "8", path)
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
	assert.Contains(t, out, "reading the conventions: open "+filepath.Join(c.Root, "names.yml"))
	require.NoError(t, os.WriteFile(filepath.Join(c.Root, "names.yml"), []byte("systems: {dns: {prod: <app>.example.org, other: <env>.<app>.example.org}}\n"), 0o600))
	res, err := c.Run(t, "ansible-playbook", filepath.Join(c.Root, "play.yml"))
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
		`query('arcodange.sandbox.app_env_name', 'erp', 'erp')`:                                `is listed twice`,
		`query('arcodange.sandbox.app_env_name', 'erp', conventions='/nonexistent/names.yml')`: `reading the conventions: open /nonexistent/names.yml`,
	} {
		out, err := c.Run(t, "ansible", "localhost", "-m", "ansible.builtin.debug", "-a", "msg={{ "+expression+" }}")
		require.Error(t, err, expression)
		assert.Contains(t, strings.ReplaceAll(string(out.Stdout)+string(out.Stderr), `\"`, `"`), want, expression)
	}
}

func TestAKitThatIsMissingOrBroken(t *testing.T) {
	t.Parallel()
	c := install(t)
	kits, err := filepath.Glob(filepath.Join(c.Collection, "plugins/modules/__*"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(kits[0], []byte("#!/bin/sh\nexit 0\n"), 0o755))
	out, err := c.Run(t, "ansible", "localhost", "-m", "ansible.builtin.debug", "-a", "msg={{ 'erp' | arcodange.sandbox.app_env_name }}")
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
	res, err := c.Run(t, "ansible", "all", "-i", "host.invalid,", "-m", "arcodange.sandbox.app_env_name", "-a", "app=erp systems=dns")
	require.NoError(t, err, string(res.Stdout))
	assert.Contains(t, string(res.Stdout), "erp.arcodange.lab")
	assert.Equal(t, []string{"-"}, c.starts(t))
}

func TestDocumentationIsWhole(t *testing.T) {
	t.Parallel()
	c := install(t)
	for _, kind := range []string{"module", "filter", "lookup"} {
		res, err := c.Run(t, "ansible-doc", "-t", kind, "arcodange.sandbox.app_env_name")
		require.NoError(t, err)
		assert.Contains(t, string(res.Stdout), "env", kind)
		assert.Empty(t, string(res.Stderr), kind)
		res, err = c.Run(t, "ansible-doc", "-t", kind, "-l", "arcodange.sandbox")
		require.NoError(t, err)
		assert.Contains(t, string(res.Stdout), "arcodange.sandbox.app_env_name")
		assert.Empty(t, string(res.Stderr), kind)
	}
}
