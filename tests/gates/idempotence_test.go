// SPDX-License-Identifier: GPL-3.0-or-later

//go:build ansible

package gates

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/evidence"
	kit "github.com/arcodange-org/sandbox/internal/gate"
	"github.com/arcodange-org/sandbox/internal/gate/idempotence"
	"github.com/arcodange-org/sandbox/internal/run"
	"github.com/arcodange-org/sandbox/tests/ansibletest"
)

// site is a playbook in a folder of its own, with two hosts that are this machine.
type site struct {
	playbook string // whole, or the tasks of one play of all hosts if it does not begin with "- hosts:"
	files    map[string]string
	config   string
	env      []string
	options  idempotence.Options
}

const inventory = `
[web]
web1
web2

[web:vars]
ansible_connection=local
ansible_python_interpreter=%s
`

func gate(t *testing.T, s site) (idempotence.Report, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "gates-") // a test's own folder has its name, and Ansible reads a comma in a source as a list of hosts
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o644))
	}
	playbook := s.playbook
	if !strings.HasPrefix(strings.TrimSpace(playbook), "- ") || !strings.Contains(playbook, "- hosts:") {
		playbook = "- hosts: web1\n  gather_facts: false\n  tasks:" + playbook
	}
	write("site.yml", playbook)
	write("hosts", fmt.Sprintf(inventory, ansibletest.Python(t)))
	write("there", "it is there\n")
	write("watched/there", "it is there\n")
	write("ansible.cfg", "[defaults]\n"+s.config)
	for name, text := range s.files {
		write(name, text)
	}
	callbacks, err := filepath.Abs("../../plugins/callback")
	require.NoError(t, err)
	o := s.options
	o.Playbook, o.Dir = filepath.Join(dir, "site.yml"), dir
	if o.Inventory == nil {
		o.Inventory = []string{filepath.Join(dir, "hosts")}
	}
	if o.Converge {
		o.Watch, o.Snapshot = []string{filepath.Join(dir, "watched")}, []string{"files"}
	}
	g := idempotence.Gate{
		Runner: run.Exec{}, Program: ansibletest.Program(t, "ansible-playbook"), Callbacks: callbacks,
		Env: append(append(os.Environ(), "ANSIBLE_HOME="+dir, "ANSIBLE_LOCAL_TEMP="+dir, "ANSIBLE_LOCALHOST_WARNING=False",
			"ANSIBLE_CONFIG="+filepath.Join(dir, "ansible.cfg")), s.env...),
	}
	report, err := g.Evaluate(t.Context(), o)
	require.NoError(t, err)
	return report, dir
}

func lines(r idempotence.Report) string {
	var out []string
	for _, f := range r.Findings {
		out = append(out, f.Run+" "+f.Message)
	}
	return strings.Join(out, "\n")
}

// fault is one playbook with one defect, and what the gate must say of it.
type fault struct {
	site
	rule  string
	says  string // part of the message
	where string // the file and line it names
	count int    // of findings; 1 if not given
}

func faults() map[string]fault {
	proved := idempotence.Options{Converge: true}
	return map[string]fault{
		"a file that is not there yet": {
			site: site{playbook: "\n    - name: Make it\n      ansible.builtin.copy: {dest: DIR/new, content: x, mode: '0644'}\n"},
			rule: "changed", says: `task "Make it"`, where: "site.yml:4",
		},
		"a file of another content": {
			site: site{playbook: "\n    - name: Write it\n      ansible.builtin.copy: {dest: DIR/there, content: other, mode: '0644'}\n"},
			rule: "changed", says: "it would change something", where: "site.yml:4",
		},
		"a file of another mode": {
			site: site{playbook: "\n    - ansible.builtin.file: {path: DIR/there, mode: '0600'}\n"}, rule: "changed", where: "site.yml:4",
		},
		"a line that is missing": {
			site: site{playbook: "\n    - ansible.builtin.lineinfile: {path: DIR/there, line: more}\n"}, rule: "changed", where: "site.yml:4",
		},
		"a command that says it changes, allowed to run in check mode": {
			site: site{playbook: "\n    - ansible.builtin.command: 'true'\n      check_mode: false\n"}, rule: "changed",
			says: "it changed something", where: "site.yml:4",
		},
		"one item of a loop that changes": {
			site: site{playbook: `
    - name: Touch them
      ansible.builtin.file: {path: "DIR/{{ item }}", mode: "{{ '0600' if item == 'there' else '0644' }}"}
      loop: [hosts, there, site.yml]
`}, rule: "changed", says: "(item there)", where: "site.yml:4",
		},
		"a change in a role": {
			site: site{playbook: "- hosts: web1\n  gather_facts: false\n  roles: [app]\n", files: map[string]string{
				"roles/app/tasks/main.yml": "- name: Make a folder\n  ansible.builtin.file: {path: DIR/new, state: directory, mode: '0755'}\n",
			}}, rule: "changed", says: `"app : Make a folder"`, where: "roles/app/tasks/main.yml:1",
		},
		"a change in an included file": {
			site: site{playbook: "\n    - ansible.builtin.include_tasks: more.yml\n", files: map[string]string{
				"more.yml": "- ansible.builtin.file: {path: DIR/new, state: directory, mode: '0755'}\n",
			}}, rule: "changed", where: "more.yml:1",
		},
		"a handler that is notified each time": {
			site: site{playbook: `
    - ansible.builtin.debug: {msg: hello}
      changed_when: true
      notify: Restart
  handlers:
    - name: Restart
      ansible.builtin.debug: {msg: restarted}
`}, rule: "changed", where: "site.yml:4",
		},
		"a change that hides its words": {
			site: site{playbook: "\n    - ansible.builtin.copy: {dest: DIR/new, content: s3cr3t, mode: '0600'}\n      no_log: true\n"},
			rule: "changed", where: "site.yml:4",
		},
		"a change on the one to whom it is delegated": {
			site: site{playbook: "\n    - ansible.builtin.file: {path: DIR/new, state: directory, mode: '0755'}\n      delegate_to: web2\n"},
			rule: "changed", says: "web1 → web2", where: "site.yml:4",
		},
		"changed_when false over a difference": {
			site: site{playbook: "\n    - ansible.builtin.copy: {dest: DIR/there, content: other, mode: '0644'}\n      changed_when: false\n"},
			rule: "hidden_change", says: "changed_when is False", where: "site.yml:4",
		},
		"a task that fails": {
			site: site{playbook: "\n    - ansible.builtin.fail: {msg: no such luck}\n"}, rule: "failed", says: "no such luck", where: "site.yml:4",
		},
		"a failure that ignore_errors hides": {
			site: site{playbook: "\n    - ansible.builtin.fail: {msg: no such luck}\n      ignore_errors: true\n    - ansible.builtin.debug: {msg: on}\n"},
			rule: "ignored_failure", says: "no such luck", where: "site.yml:4",
		},
		"a failure that ignore_errors of the play hides": {
			site: site{playbook: "- hosts: web1\n  gather_facts: false\n  ignore_errors: true\n  tasks:\n    - ansible.builtin.fail: {msg: no such luck}\n"},
			rule: "ignored_failure", where: "site.yml:5",
		},
		"a failure that is rescued": {
			site: site{playbook: "\n    - block:\n        - ansible.builtin.fail: {msg: no such luck}\n      rescue:\n        - ansible.builtin.debug: {msg: never mind}\n"},
			rule: "rescued_failure", says: "a block with a rescue", where: "site.yml:5",
		},
		"an undefined variable": {
			site: site{playbook: "\n    - ansible.builtin.debug: {msg: '{{ nobody_set_this }}'}\n"}, rule: "failed", says: "nobody_set_this", where: "site.yml:4",
		},
		"a host that does not answer": {
			site: site{playbook: "- hosts: web1\n  gather_facts: false\n  vars: {ansible_connection: ssh, ansible_host: 127.0.0.1, ansible_port: 1}\n  tasks:\n    - ansible.builtin.ping:\n"},
			rule: "unreachable", where: "site.yml:5",
		},
		"a host that does not answer, ignored": {
			site: site{playbook: `- hosts: web1
  gather_facts: false
  tasks:
    - ansible.builtin.debug: {msg: hello}
    - ansible.builtin.ping:
      ignore_unreachable: true
      vars: {ansible_connection: ssh, ansible_host: 127.0.0.1, ansible_port: 1}
`}, rule: "unreachable", says: "ignore_unreachable hides it", where: "site.yml:5",
		},
		"a command that check mode skips": {
			site: site{playbook: "\n    - name: Ask\n      ansible.builtin.command: 'true'\n      changed_when: false\n"},
			rule: "check_mode_skip", says: "if not in check mode", where: "site.yml:4",
		},
		"a raw command, which is skipped without a word": {
			site: site{playbook: "\n    - ansible.builtin.raw: 'true'\n      changed_when: false\n"}, rule: "check_mode_skip", where: "site.yml:4",
		},
		"a module that does not know check mode": {
			site: site{playbook: "\n    - ansible.builtin.uri: {url: 'http://127.0.0.1:1/'}\n"},
			rule: "check_mode_skip", says: "does not support check mode", where: "site.yml:4",
		},
		"a task that leaves itself out in check mode": {
			site: site{playbook: "\n    - ansible.builtin.debug: {msg: hello}\n    - ansible.builtin.debug: {msg: on}\n      when: not ansible_check_mode\n"},
			rule: "check_mode_skip", says: "not ansible_check_mode", where: "site.yml:5",
		},
		"one item of a loop that check mode skips": {
			site: site{playbook: "\n    - ansible.builtin.command: 'echo {{ item }}'\n      loop: [a, b]\n      when: item == 'b'\n      changed_when: false\n"},
			rule: "check_mode_skip", says: "(item b)", where: "site.yml:4",
		},
		"a play that matches no host": {
			site: site{playbook: "- hosts: web1\n  gather_facts: false\n  tasks:\n    - ansible.builtin.debug: {msg: hello}\n- hosts: wbe\n  tasks:\n    - ansible.builtin.debug: {msg: hello}\n"},
			rule: "no_hosts", where: "site.yml:5",
		},
		"a limit that leaves a play without hosts": {
			site: site{playbook: "- hosts: web1\n  gather_facts: false\n  tasks:\n    - ansible.builtin.debug: {msg: hello}\n- hosts: web2\n  tasks:\n    - ansible.builtin.debug: {msg: hello}\n",
				options: idempotence.Options{Limit: "web1"}},
			rule: "no_hosts", where: "site.yml:5",
		},
		"a limit that matches no host": {
			site: site{playbook: "\n    - ansible.builtin.debug: {msg: hello}\n", options: idempotence.Options{Limit: "wbe"}},
			rule: "nothing_ran", says: "limit",
		},
		"a host that was expected and takes no part": {
			site: site{playbook: "\n    - ansible.builtin.debug: {msg: hello}\n", options: idempotence.Options{Hosts: []string{"web1", "web2"}}},
			rule: "missing_host", says: "on web2",
		},
		"a host of which every task is skipped": {
			site: site{playbook: "- hosts: web\n  gather_facts: false\n  tasks:\n    - ansible.builtin.debug: {msg: hello}\n      when: inventory_hostname == 'web1'\n"},
			rule: "missing_host", says: "on web2",
		},
		"a play that ends before it begins": {
			site: site{playbook: "\n    - ansible.builtin.meta: end_play\n    - ansible.builtin.debug: {msg: hello}\n"}, rule: "nothing_ran",
		},
		"only facts are gathered": {
			site: site{playbook: "- hosts: web1\n  tasks: []\n"}, rule: "nothing_ran",
		},
		"a tag that no task has": {
			site: site{playbook: "\n    - ansible.builtin.debug: {msg: hello}\n", options: idempotence.Options{Tags: []string{"nosuch"}}},
			rule: "nothing_ran",
		},
		"a playbook that cannot be read": {
			site: site{playbook: "- hosts: web1\n  task: [\n"}, rule: "nothing_ran",
		},
		"a module that does not exist": {
			site: site{playbook: "\n    - ansible.builtin.nosuchmodule:\n"}, rule: "nothing_ran", says: "nosuchmodule",
		},
		"tags that come from ansible.cfg": {
			site: site{playbook: "\n    - ansible.builtin.debug: {msg: hello}\n    - ansible.builtin.file: {path: DIR/new, state: directory}\n      tags: hidden\n", config: "[tags]\nskip=hidden\n"},
			rule: "narrowed", says: "hidden",
		},
		"a play that ends itself in check mode": {
			site: site{playbook: "\n    - ansible.builtin.debug: {msg: hello}\n    - name: Leave\n      ansible.builtin.meta: end_play\n      when: ansible_check_mode\n    - ansible.builtin.command: rm DIR/there\n"},
			rule: "check_mode_skip", says: `task "Leave"`, where: "site.yml:5",
		},
		"a host that ends itself in check mode, through a variable": {
			site: site{playbook: `- hosts: web1
  gather_facts: false
  vars: {looking: "{{ only }}", only: "{{ ansible_check_mode }}"}
  tasks:
    - ansible.builtin.debug: {msg: hello}
    - ansible.builtin.meta: end_host
      when: looking
    - ansible.builtin.command: rm DIR/there
`}, rule: "check_mode_skip", says: "its when is looking", where: "site.yml:6",
		},
		"a batch that ends itself in check mode": {
			site: site{playbook: "\n    - ansible.builtin.debug: {msg: hello}\n    - ansible.builtin.meta: end_batch\n      when: ansible_check_mode\n    - ansible.builtin.command: rm DIR/there\n"},
			rule: "check_mode_skip", says: "its when is ansible_check_mode", where: "site.yml:5",
		},
		"a file that is another in check mode": {
			site: site{
				playbook: "\n    - ansible.builtin.debug: {msg: hello}\n    - ansible.builtin.include_tasks: \"{{ 'empty.yml' if ansible_check_mode else 'real.yml' }}\"\n",
				files:    map[string]string{"empty.yml": "[]\n", "real.yml": "- ansible.builtin.command: rm DIR/there\n"},
			}, rule: "check_mode_skip", says: "its file is", where: "site.yml:5",
		},
		"an imported file that is another in check mode": {
			site: site{
				playbook: "\n    - ansible.builtin.debug: {msg: hello}\n    - ansible.builtin.import_tasks: \"{{ 'empty.yml' if ansible_check_mode else 'real.yml' }}\"\n",
				files:    map[string]string{"empty.yml": "[]\n", "real.yml": "- ansible.builtin.command: rm DIR/there\n"},
			}, rule: "check_mode_skip", says: "the play's import_tasks is", where: "site.yml:1",
		},
		"a role that is another in check mode": {
			site: site{
				playbook: "\n    - ansible.builtin.debug: {msg: hello}\n    - ansible.builtin.include_role: {name: \"{{ 'nothing' if ansible_check_mode else 'real' }}\"}\n",
				files:    map[string]string{"roles/nothing/tasks/main.yml": "[]\n", "roles/real/tasks/main.yml": "- ansible.builtin.command: rm DIR/there\n"},
			}, rule: "check_mode_skip", says: "its name is", where: "site.yml:5",
		},
		"a loop that is empty in check mode": {
			site: site{playbook: "\n    - ansible.builtin.debug: {msg: hello}\n    - ansible.builtin.command: rm DIR/there\n      loop: \"{{ [] if ansible_check_mode else [1] }}\"\n"},
			rule: "check_mode_skip", says: "its loop is", where: "site.yml:5",
		},
		"a loop over a variable that is empty in check mode": {
			site: site{
				playbook: "- hosts: web1\n  gather_facts: false\n  roles: [app]\n",
				files: map[string]string{
					"roles/app/defaults/main.yml": "app_all: \"{{ [] if ansible_check_mode else [1] }}\"\n",
					"roles/app/tasks/main.yml":    "- ansible.builtin.debug: {msg: hello}\n- ansible.builtin.command: rm DIR/there\n  with_items: \"{{ app_all }}\"\n",
				},
			}, rule: "check_mode_skip", says: "its loop is", where: "roles/app/tasks/main.yml:2",
		},
		"a condition whose variable is check mode by another name": {
			site: site{playbook: `- hosts: web1
  gather_facts: false
  vars: {really: "{{ not ansible_check_mode }}"}
  tasks:
    - ansible.builtin.debug: {msg: hello}
    - ansible.builtin.command: rm DIR/there
      when: really
`}, rule: "check_mode_skip", says: "a variable in its condition depends on it: really", where: "site.yml:6",
		},
		"a condition whose variable a group sets": {
			site: site{
				playbook: "\n    - ansible.builtin.debug: {msg: hello}\n    - ansible.builtin.command: rm DIR/there\n      when: really\n",
				files:    map[string]string{"group_vars/web.yml": "really: \"{{ not ansible_check_mode }}\"\n"},
			}, rule: "check_mode_skip", says: "a variable in its condition depends on it: really", where: "site.yml:5",
		},
		"a condition whose variable a task has set": {
			site: site{playbook: "\n    - ansible.builtin.set_fact: {really: '{{ not ansible_check_mode }}'}\n    - ansible.builtin.command: rm DIR/there\n      when: really\n"},
			rule: "check_mode_skip", says: "a variable in its condition depends on it: really", where: "site.yml:5",
		},
		"a condition whose variable a file has set": {
			site: site{
				playbook: "\n    - ansible.builtin.include_vars: more.yml\n    - ansible.builtin.command: rm DIR/there\n      when: really\n",
				files:    map[string]string{"more.yml": "really: \"{{ not ansible_check_mode }}\"\n"},
			}, rule: "check_mode_skip", says: "a variable in its condition depends on it: really", where: "site.yml:5",
		},
		"a condition on what a command says of check mode": {
			site: site{playbook: "\n    - ansible.builtin.command: echo {{ ansible_check_mode }}\n      register: said\n      check_mode: false\n      changed_when: false\n    - ansible.builtin.command: rm DIR/there\n      when: said.stdout == 'False'\n"},
			rule: "check_mode_skip", says: "a variable in its condition depends on it: said", where: "site.yml:8",
		},
		"a change that is none in check mode": {
			site: site{playbook: "\n    - ansible.builtin.command: 'true'\n      check_mode: false\n      changed_when: not ansible_check_mode\n"},
			rule: "check_mode_skip", says: "its changed_when is", where: "site.yml:4",
		},
		"a failure that is none in check mode": {
			site: site{playbook: "\n    - ansible.builtin.debug: {msg: hello}\n      failed_when: not ansible_check_mode\n"},
			rule: "check_mode_skip", says: "its failed_when is", where: "site.yml:4",
		},
		"tasks that a tag leaves out in check mode": {
			site: site{playbook: "\n    - ansible.builtin.debug: {msg: hello}\n    - ansible.builtin.command: rm DIR/there\n      tags: \"{{ ['never'] if ansible_check_mode else [] }}\"\n"},
			rule: "check_mode_skip", says: "the play's tags is", where: "site.yml:1",
		},
		"hosts that are others in check mode": {
			site: site{playbook: "- hosts: \"{{ 'web1' if ansible_check_mode else 'web' }}\"\n  gather_facts: false\n  tasks:\n    - ansible.builtin.debug: {msg: hello}\n"},
			rule: "check_mode_skip", says: "the play's hosts is", where: "site.yml:1",
		},
		"a host that ends itself in check mode, and what only the converge then runs": {
			site: site{playbook: `
    - ansible.builtin.debug: {msg: hello}
    - ansible.builtin.meta: end_host
      when: ansible_check_mode
    - name: Work
      ansible.builtin.command: 'true'
      changed_when: false
`, options: proved}, rule: "check_mode_skip", says: `task "Work"`, where: "site.yml:7",
		},
		"a loop of which the converge does more": {
			site: site{playbook: "\n    - name: Work\n      ansible.builtin.command: 'true'\n      check_mode: false\n      changed_when: false\n      loop: \"{{ [1] if ansible_check_mode else [1, 2] }}\"\n", options: proved},
			rule: "check_mode_skip", says: "it ran for 1 items in the check", where: "site.yml:4",
		},
		"a file that only the converge includes": {
			site: site{
				playbook: "\n    - ansible.builtin.debug: {msg: hello}\n    - ansible.builtin.include_tasks: \"{{ 'empty.yml' if ansible_check_mode else 'real.yml' }}\"\n",
				files:    map[string]string{"empty.yml": "[]\n", "real.yml": "- name: Work\n  ansible.builtin.command: 'true'\n  changed_when: false\n"},
				options:  proved,
			}, rule: "check_mode_skip", says: "the check did not get to it", where: "real.yml:1",
		},
		"a file that a command writes behind changed_when false": {
			site: site{playbook: "\n    - name: Count\n      ansible.builtin.shell: date +%s%N >DIR/watched/stamp\n      changed_when: false\n      check_mode: false\n", options: proved},
			rule: "undeclared_change", says: "changed_when is False", where: "site.yml:4",
		},
		"a file that a command removes behind changed_when false": {
			site: site{playbook: "\n    - name: Tidy up\n      ansible.builtin.shell: rm -f DIR/watched/there\n      changed_when: false\n      check_mode: false\n", options: proved},
			rule: "undeclared_change", says: "is gone", where: "site.yml:4",
		},
		"one undeclared change among declared ones": {
			site: site{playbook: `
    - ansible.builtin.stat: {path: DIR/watched/there}
    - name: Lie
      ansible.builtin.shell: chmod 0600 DIR/watched/there
      changed_when: false
      check_mode: false
    - ansible.builtin.file: {path: DIR/watched, state: directory}
    - ansible.builtin.debug: {msg: done}
`, options: proved}, rule: "undeclared_change", says: `task "Lie"`, where: "site.yml:5",
		},
		"a change that only a real run makes": {
			site: site{playbook: `
    - ansible.builtin.debug: {msg: hello}
    - ansible.builtin.shell: date +%s%N >DIR/watched/stamp
      vars: {looking: "{{ ansible_check_mode }}"}
      changed_when: false
      when: not looking
`, options: proved}, rule: "check_mode_skip", says: "ran in the converge", where: "site.yml:5", count: 2,
		},
		"a task that is only ever looked at": {
			site: site{playbook: "- hosts: web1\n  gather_facts: false\n  check_mode: true\n  tasks:\n    - ansible.builtin.debug: {msg: hello}\n", options: proved},
			rule: "not_check", where: "site.yml:1",
		},
		"a failure that only the real run meets": {
			site: site{playbook: "\n    - ansible.builtin.debug: {msg: hello}\n      failed_when: not ansible_check_mode\n", options: proved},
			rule: "failed", where: "site.yml:4",
		},
	}
}

func TestEveryDefectIsRedForItsReasonAndForNothingElse(t *testing.T) {
	t.Parallel()
	all := faults()
	require.GreaterOrEqual(t, len(all), 25)
	for name, f := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report, dir := gate(t, f.site)
			assert.Equal(t, evidence.Red, report.Verdict)
			require.NotEmpty(t, report.Findings)
			require.Len(t, report.Findings, max(f.count, 1), lines(report))
			first := report.Findings[0]
			assert.Equal(t, f.rule, first.Rule, lines(report))
			assert.Contains(t, first.Message, f.says)
			assert.NotContains(t, first.Message, "\n")
			if f.where != "" {
				assert.Equal(t, f.where, strings.TrimPrefix(first.Where, dir+"/"))
			}
			if f.rule == "changed" && f.files == nil && strings.Contains(f.playbook, "content: other") {
				assert.NotEmpty(t, first.Diff)
			}
			assert.NotContains(t, fmt.Sprint(report), "s3cr3t")
		})
	}
}

func TestHonestPlaybooksAreGreen(t *testing.T) {
	t.Parallel()
	proved := idempotence.Options{Converge: true}
	honest := map[string]site{
		"a file that is as it should be": {playbook: "\n    - ansible.builtin.copy: {dest: DIR/there, content: \"it is there\\n\", mode: '0644'}\n"},
		"facts and a condition that is false": {playbook: `- hosts: web1
  tasks:
    - ansible.builtin.debug: {msg: "{{ ansible_facts.system }}"}
    - ansible.builtin.file: {path: DIR/new, state: directory}
      when: ansible_facts.system == 'Plan9'
`},
		"a question that is allowed to run in check mode": {playbook: "\n    - ansible.builtin.command: 'true'\n      check_mode: false\n      changed_when: false\n"},
		"a skip that is listed with its reason": {
			playbook: "\n    - ansible.builtin.debug: {msg: hello}\n    - name: Ask\n      ansible.builtin.command: 'true'\n      changed_when: false\n",
			options:  idempotence.Options{Waivers: waive("Ask")},
		},
		"check mode that is only spoken of": {playbook: `- hosts: web1
  gather_facts: false
  vars: {looking: "{{ ansible_check_mode }}", two: [1, 2]}
  tasks:
    - ansible.builtin.debug: {msg: "check mode is {{ ansible_check_mode }}, {{ looking }}"}
    - ansible.builtin.assert: {that: ansible_check_mode or two | length == 2}
    - ansible.builtin.debug: {msg: "{{ item }}"}
      loop: "{{ two }}"
      when: ansible_check_mode or item > 5
    - ansible.builtin.meta: end_play
      when: two | length == 3
    - ansible.builtin.include_tasks: "{{ 'more' }}.yml"
`, files: map[string]string{"more.yml": "- ansible.builtin.debug: {msg: more}\n"}},
		"an end in check mode that is listed with its reason": {
			playbook: "\n    - ansible.builtin.debug: {msg: hello}\n    - name: Leave\n      ansible.builtin.meta: end_play\n      when: ansible_check_mode\n    - ansible.builtin.debug: {msg: on}\n",
			options:  idempotence.Options{Waivers: waive("Leave")},
		},
		"a command that creates what is there":                    {playbook: "\n    - ansible.builtin.command: {cmd: 'true', creates: DIR/there}\n"},
		"a loop over nothing, and one of which some do not apply": {playbook: "\n    - ansible.builtin.debug: {msg: '{{ item }}'}\n      loop: []\n    - ansible.builtin.debug: {msg: '{{ item }}'}\n      loop: [1, 2]\n      when: item == 1\n"},
		"a handler that is never notified":                        {playbook: "\n    - ansible.builtin.file: {path: DIR/there, mode: '0644'}\n      notify: Restart\n  handlers:\n    - name: Restart\n      ansible.builtin.fail: {msg: told}\n"},
		"a block with a rescue that is not needed":                {playbook: "\n    - block:\n        - ansible.builtin.debug: {msg: hello}\n      rescue:\n        - ansible.builtin.fail: {msg: needed}\n"},
		"several hosts, in batches": {
			playbook: "- hosts: web\n  serial: 1\n  gather_facts: false\n  tasks:\n    - ansible.builtin.debug: {msg: hello}\n",
			options:  idempotence.Options{Hosts: []string{"web1", "web2"}},
		},
		"the free strategy": {playbook: "- hosts: web\n  strategy: free\n  gather_facts: false\n  tasks:\n    - ansible.builtin.debug: {msg: hello}\n    - ansible.builtin.stat: {path: DIR/there}\n"},
		"roles, includes and variables": {
			playbook: "- hosts: web1\n  gather_facts: false\n  roles: [app]\n  tasks:\n    - ansible.builtin.include_tasks: more.yml\n",
			files: map[string]string{
				"roles/app/tasks/main.yml": "- ansible.builtin.assert: {that: given == 'x'}\n", "more.yml": "- ansible.builtin.debug: {msg: more}\n",
			},
			options: idempotence.Options{Vars: map[string]any{"given": "x"}},
		},
		"a limit that every play has a host for": {playbook: "- hosts: web\n  gather_facts: false\n  tasks:\n    - ansible.builtin.debug: {msg: hello}\n", options: idempotence.Options{Limit: "web2"}},
		"tags in the environment that would leave tasks out": {
			playbook: "\n    - ansible.builtin.debug: {msg: hello}\n", env: []string{"ANSIBLE_RUN_TAGS=nosuch", "ANSIBLE_CALLBACKS_ENABLED=", "ANSIBLE_STDOUT_CALLBACK=nosuch"},
		},
		"a converge that leaves everything alone": {
			playbook: "\n    - ansible.builtin.copy: {dest: DIR/watched/there, content: \"it is there\\n\", mode: '0644'}\n    - ansible.builtin.command: 'true'\n      check_mode: false\n      changed_when: false\n",
			options:  proved,
		},
		"a converge that writes outside the watched paths": {
			playbook: "\n    - ansible.builtin.shell: date +%s%N >DIR/stamp\n      check_mode: false\n      changed_when: false\n", options: proved,
		},
		"a converge that changes what may change by itself": {
			playbook: "\n    - ansible.builtin.shell: date +%s%N >DIR/watched/there\n      check_mode: false\n      changed_when: false\n",
			options:  idempotence.Options{Converge: true, Ignore: []idempotence.Ignore{{What: "file **", Reason: "a test"}}},
		},
	}
	require.GreaterOrEqual(t, len(honest), 10)
	for name, s := range honest {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report, _ := gate(t, s)
			assert.Equal(t, evidence.Green, report.Verdict, lines(report))
			assert.Empty(t, report.Findings, lines(report))
			assert.NotEmpty(t, report.Hosts)
			assert.Equal(t, s.options.Converge, report.Converged)
		})
	}
}

func TestAWaiverThatIsNotNeededIsRed(t *testing.T) {
	t.Parallel()
	report, _ := gate(t, site{playbook: "\n    - ansible.builtin.debug: {msg: hello}\n", options: idempotence.Options{Waivers: waive("Gone")}})
	require.Len(t, report.Findings, 1, lines(report))
	assert.Equal(t, "unused_waiver", report.Findings[0].Rule)
	assert.Equal(t, []string{"web1"}, report.Hosts)
}

func TestATaskWhoseSkipIsWaivedDoesNotCountAsRun(t *testing.T) {
	t.Parallel()
	report, _ := gate(t, site{
		playbook: "\n    - name: Ask\n      ansible.builtin.command: 'true'\n      changed_when: false\n",
		options:  idempotence.Options{Waivers: waive("Ask")},
	})
	require.Len(t, report.Findings, 1, lines(report))
	assert.Equal(t, "nothing_ran", report.Findings[0].Rule)
}

// waive lets check mode leave out a task.
func waive(task string) []kit.Waiver {
	return []kit.Waiver{{Rule: "check_mode_skip", Task: task, Reason: "a test", Expires: time.Now().Format(time.DateOnly)}}
}
