// SPDX-License-Identifier: GPL-3.0-or-later

//go:build netns

package guard

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// behaviour is a play of which every result has to be the same by Ansible's own
// ssh connection and by the guarded one.
type behaviour struct {
	host  string   // pi1 if empty
	vars  string   // of the play, a YAML mapping
	tasks []string // each a YAML mapping; what it returns is compared
	other string   // why it is not the same: then the guarded connection refuses, and the other does not
}

const (
	works   = `ansible.builtin.raw: "echo it works"`
	asGuest = `ansible_ssh_args: "-o ControlMaster=no -o IdentityAgent=none", ansible_python_interpreter: /usr/bin/python3, ansible_user: guest, ansible_ssh_private_key_file: "", ansible_password: "{{ secret }}"`
	upload  = `ansible.builtin.copy: {src: "from/tree/", dest: "{{ there }}/to/", mode: "0600", directory_mode: "0700"}`
	hashes  = `ansible.builtin.shell: "cd '{{ there }}/to' && find . -type f -print0 | sort -z | xargs -0 sha256sum"`
	big     = `ansible.builtin.fetch: {src: "{{ there }}/to/big", dest: "back/", flat: true}`
	accents = `ansible.builtin.fetch: {src: "{{ there }}/to/naïve 文件", dest: "back/", flat: true}`
	compare = `{ansible.builtin.shell: "sha256sum back/*", delegate_to: localhost}`
	before  = `{ansible.builtin.shell: "grep -c Accepted.publickey '{{ ground }}/sandbox.log' >before || true", delegate_to: localhost}`
	since   = `{ansible.builtin.shell: "echo $(($(grep -c Accepted.publickey '{{ ground }}/sandbox.log') - $(cat before)))", delegate_to: localhost}`
	persist = `-o ControlMaster=auto -o ControlPersist=20s`
)

// behaviours is every option of the ssh connection, and what else people rely on.
var behaviours = map[string]behaviour{
	"modules with pipelining":                             {vars: `{ansible_pipelining: true}`, tasks: []string{`ansible.builtin.ping: `, `ansible.builtin.command: {cmd: "cat", stdin: "a\nß\n"}`}},
	"modules without pipelining":                          {vars: `{ansible_pipelining: false}`, tasks: []string{`ansible.builtin.ping: `, `ansible.builtin.command: {cmd: "cat", stdin: "a\nß\n"}`}},
	"modules with the pipelining of ssh alone":            {vars: `{ansible_ssh_pipelining: true}`, tasks: []string{`ansible.builtin.ping: `}},
	"another user with pipelining":                        {vars: `{ansible_pipelining: true, ansible_become: true, ansible_become_user: guest}`, tasks: []string{`ansible.builtin.command: id -un`}},
	"another user without pipelining":                     {vars: `{ansible_pipelining: false, ansible_become: true, ansible_become_user: guest, ansible_remote_tmp: /tmp/.ansible-alike}`, tasks: []string{`ansible.builtin.command: id -un`}},
	"another user by a password":                          {vars: `{ansible_user: guest, ansible_become: true, ansible_become_password: "{{ secret }}"}`, tasks: []string{`ansible.builtin.command: id -un`, `ansible.builtin.raw: id -un`}},
	"another user by a password that is wrong":            {vars: `{ansible_user: guest, ansible_become: true, ansible_become_password: wrong}`, tasks: []string{`ansible.builtin.command: id -un`}},
	"another user without the password that is asked for": {vars: `{ansible_user: guest, ansible_become: true}`, tasks: []string{`ansible.builtin.command: id -un`}},
	"files by sftp":                                       {vars: `{ansible_ssh_transfer_method: sftp}`, tasks: []string{upload, hashes, big, accents, compare}},
	"files by scp":                                        {vars: `{ansible_ssh_transfer_method: scp}`, tasks: []string{upload, hashes, big, accents, compare}},
	"files through a pipe":                                {vars: `{ansible_ssh_transfer_method: piped}`, tasks: []string{upload, hashes, big, accents, compare}},
	"files by whatever works":                             {vars: `{ansible_ssh_transfer_method: smart}`, tasks: []string{upload, hashes, big, accents, compare}},
	"files by a method that there is not":                 {vars: `{ansible_ssh_transfer_method: pigeon}`, tasks: []string{upload}},
	"sftp without batch mode":                             {vars: `{ansible_ssh_transfer_method: sftp, ansible_sftp_batch_mode: false}`, tasks: []string{upload, hashes}},
	"arguments for sftp":                                  {vars: `{ansible_ssh_transfer_method: sftp, ansible_sftp_extra_args: "-B 16384 -R 8"}`, tasks: []string{upload, hashes, big}},
	"arguments for sftp that it does not know":            {vars: `{ansible_ssh_transfer_method: sftp, ansible_sftp_extra_args: "-o NumberOfPasswordPrompts=x"}`, tasks: []string{upload}},
	"arguments for scp":                                   {vars: `{ansible_ssh_transfer_method: scp, ansible_scp_extra_args: "-O -C"}`, tasks: []string{upload, hashes, big}},
	"a file that is not there":                            {tasks: []string{`ansible.builtin.fetch: {src: /nonexistent, dest: back/, flat: true}`, `ansible.builtin.copy: {content: x, dest: /proc/nonexistent/x}`}},
	"a shared connection":                                 {vars: `{ansible_ssh_args: "` + persist + ` -o SetEnv=SHARED=1", ansible_control_path_dir: "{{ lookup('env', 'PWD') }}/s1"}`, tasks: []string{before, works, `ansible.builtin.ping: `, works, since}},
	"a shared connection at a path of one's own":          {vars: `{ansible_ssh_args: "` + persist + ` -o SetEnv=SHARED=2 -o ControlPath={{ lookup('env', 'PWD') }}/cp"}`, tasks: []string{before, works, works, since}},
	"a shared connection in a directory of one's own":     {vars: `{ansible_ssh_args: "` + persist + ` -o SetEnv=SHARED=3", ansible_control_path_dir: "{{ lookup('env', 'PWD') }}/cpd"}`, tasks: []string{before, works, works, since}},
	"a shared connection by a template of one's own":      {vars: `{ansible_ssh_args: "` + persist + ` -o SetEnv=SHARED=4", ansible_control_path: "%(directory)s/%%h-%%r"}`, tasks: []string{before, works, works, since}},
	"a connection for each task":                          {vars: `{ansible_ssh_args: "-o ControlMaster=no"}`, tasks: []string{before, works, works, since}},
	"a connection that is made anew":                      {vars: `{ansible_ssh_args: "` + persist + ` -o SetEnv=SHARED=5", ansible_control_path_dir: "{{ lookup('env', 'PWD') }}/s5"}`, tasks: []string{before, works, `ansible.builtin.meta: reset_connection`, works, since}},
	"a connection that is waited for":                     {tasks: []string{`ansible.builtin.wait_for_connection: {timeout: 10}`}},
	"a connection that never comes about":                 {vars: `{ansible_port: 1, ansible_ssh_retries: 2}`, tasks: []string{works, `ansible.builtin.ping: `}},
	"a machine that says nothing":                         {vars: `{ansible_port: 2297, ansible_ssh_timeout: 2}`, tasks: []string{works}},
	"an unknown name":                                     {vars: `{ansible_host: nowhere.invalid}`, tasks: []string{works}},
	"statuses of commands": {tasks: []string{`ansible.builtin.raw: exit 0`, `ansible.builtin.raw: exit 5`, `ansible.builtin.raw: exit 127`, `ansible.builtin.raw: exit 254`,
		`ansible.builtin.raw: exit 256`, `ansible.builtin.raw: exit 511`, `ansible.builtin.raw: "kill -9 $$"`, `ansible.builtin.raw: nonexistent-command`}},
	"a command that ends as a lost connection does": {tasks: []string{`ansible.builtin.raw: exit 255`}},
	"much output, and what is no text": {tasks: []string{`ansible.builtin.raw: "seq 100000"`, `ansible.builtin.raw: "printf 'a\\r\\nb'; printf 'c' >&2"`,
		`ansible.builtin.raw: "printf 'naïve \\303\\274'"`, `ansible.builtin.shell: "head -c 300000 /dev/zero | tr '\\0' x"`}},
	"words that a shell would read":                          {tasks: []string{`ansible.builtin.raw: "echo \"$HOME\" 'a  b' \\\\ ; echo '%h %p'"`, `ansible.builtin.command: {argv: [echo, "a  b", "$HOME", "%h", "'", "-o", "--"]}`}},
	"a task that goes on in the background":                  {tasks: []string{`{ansible.builtin.command: sleep 2, async: 30, poll: 1}`}},
	"a script":                                               {tasks: []string{`ansible.builtin.script: "from/script.sh a 'b c'"`}},
	"facts":                                                  {tasks: []string{`ansible.builtin.setup: {gather_subset: ["!all", "!min", "python"]}`}},
	"a key in a file":                                        {vars: `{ansible_ssh_args: "-o ControlMaster=no", ansible_ssh_private_key_file: "{{ ground }}/keys/user"}`, tasks: []string{works}},
	"a key in a file that is not there":                      {vars: `{ansible_ssh_args: "-o ControlMaster=no", ansible_ssh_private_key_file: /nonexistent}`, tasks: []string{works}},
	"a key in a variable":                                    {vars: `{ansible_ssh_args: "-o ControlMaster=no", ansible_private_key: "{{ lookup('file', ground ~ '/keys/user') }}\n"}`, tasks: []string{works, upload, hashes, `ansible.builtin.ping: `}},
	"a key in a variable, for sftp and scp":                  {vars: `{ansible_ssh_args: "-o ControlMaster=no", ansible_private_key: "{{ lookup('file', ground ~ '/keys/user') }}\n", ansible_ssh_transfer_method: scp}`, tasks: []string{upload, hashes}},
	"a key in a variable with a passphrase":                  {vars: `{ansible_ssh_args: "-o ControlMaster=no", ansible_private_key: "{{ lookup('file', 'from/locked') }}\n", ansible_private_key_passphrase: "{{ secret }}"}`, tasks: []string{works}},
	"a key in a variable with a wrong passphrase":            {vars: `{ansible_ssh_args: "-o ControlMaster=no", ansible_private_key: "{{ lookup('file', 'from/locked') }}\n", ansible_private_key_passphrase: wrong}`, tasks: []string{works}},
	"a password by SSH_ASKPASS":                              {vars: `{` + asGuest + `, ansible_ssh_password_mechanism: ssh_askpass}`, tasks: []string{works, `ansible.builtin.command: id -un`}},
	"a password by sshpass":                                  {vars: `{` + asGuest + `, ansible_ssh_password_mechanism: sshpass}`, tasks: []string{works, `ansible.builtin.command: id -un`}},
	"a password by sshpass at a prompt of one's own":         {vars: `{` + asGuest + `, ansible_ssh_password_mechanism: sshpass, ansible_sshpass_prompt: "assword:"}`, tasks: []string{works}},
	"a password by sshpass at a prompt that is called ssh":   {vars: `{` + asGuest + `, ansible_ssh_password_mechanism: sshpass, ansible_sshpass_prompt: ssh, ansible_ssh_timeout: 3}`, tasks: []string{`{ansible.builtin.raw: "true", timeout: 8}`}},
	"a password that is wrong":                               {vars: `{` + strings.Replace(asGuest, "{{ secret }}", "wrong", 1) + `}`, tasks: []string{works}},
	"files by a password":                                    {vars: `{` + asGuest + `, ansible_ssh_transfer_method: sftp}`, tasks: []string{`ansible.builtin.copy: {content: x, dest: "/tmp/alike-{{ variant }}"}`, `ansible.builtin.file: {path: "/tmp/alike-{{ variant }}", state: absent}`}},
	"a library of keys that is not there":                    {vars: `{` + asGuest + `, ansible_ssh_pkcs11_provider: /nonexistent.so}`, tasks: []string{works}},
	"a key that the run's agent still holds":                 {tasks: []string{`{ansible.builtin.raw: "true", vars: {ansible_ssh_args: "-o ControlMaster=no", ansible_private_key: "{{ lookup('file', ground ~ '/keys/user') }}\n"}}`, `{ansible.builtin.raw: "true", vars: {ansible_ssh_args: "-o ControlMaster=no", ansible_ssh_private_key_file: ""}}`}, other: "only the key that is named is offered"},
	"a user and a port by options":                           {vars: `{ansible_user: guest, ansible_port: 2222}`, tasks: []string{`ansible.builtin.raw: "id -un; echo $SSH_CONNECTION | cut -d' ' -f4"`}},
	"a user by a keyword":                                    {tasks: []string{`{ansible.builtin.raw: id -un, remote_user: guest, vars: {ansible_user: guest}}`}},
	"a user by the arguments":                                {vars: `{ansible_ssh_extra_args: "-o User=root"}`, tasks: []string{`ansible.builtin.raw: id -un`}},
	"arguments of several places, the first of which counts": {vars: `{ansible_ssh_args: "-o SetEnv=PLACE=args", ansible_ssh_common_args: "{{ known }} -o SetEnv=PLACE=common", ansible_ssh_extra_args: "-o SetEnv=PLACE=extra"}`, tasks: []string{`ansible.builtin.raw: "echo $PLACE"`}},
	"arguments of two places":                                {vars: `{ansible_ssh_args: "", ansible_ssh_common_args: "{{ known }} -o SetEnv=PLACE=common", ansible_ssh_extra_args: "-o SetEnv=PLACE=extra"}`, tasks: []string{`ansible.builtin.raw: "echo $PLACE"`}},
	"arguments that ssh does not understand":                 {vars: `{ansible_ssh_extra_args: "-o ConnectTimeout=never"}`, tasks: []string{works}},
	"compression, ciphers and other settings":                {vars: `{ansible_ssh_extra_args: "-C -c aes128-ctr -o ServerAliveInterval=5 -o LogLevel=ERROR -4"}`, tasks: []string{works}},
	"a talkative ssh":                                        {vars: `{ansible_ssh_verbosity: 3}`, tasks: []string{`ansible.builtin.command: echo it works`}},
	"a terminal where one is wanted":                         {vars: `{ansible_ssh_extra_args: -tt}`, tasks: []string{`ansible.builtin.raw: "tty | sed s/[0-9]*$//"`}},
	"a terminal for another user":                            {vars: `{ansible_become: true, ansible_become_user: guest, ansible_ssh_use_tty: true}`, tasks: []string{`ansible.builtin.raw: "test -t 0; echo $?"`}},
	"no terminal for another user":                           {vars: `{ansible_become: true, ansible_become_user: guest, ansible_ssh_use_tty: false}`, tasks: []string{`ansible.builtin.raw: "test -t 0; echo $?"`}},
	"programs by their paths":                                {vars: `{ansible_ssh_executable: /usr/bin/ssh, ansible_scp_executable: /usr/bin/scp, ansible_sftp_executable: /usr/bin/sftp, ansible_ssh_transfer_method: scp}`, tasks: []string{works, upload, hashes}},
	"an IPv6 address":                                        {vars: `{ansible_host: "fd30::11"}`, tasks: []string{works, upload, hashes}},
	"a name":                                                 {vars: `{ansible_host: box1}`, tasks: []string{works, upload, hashes}},
	"a machine behind another":                               {vars: `{ansible_ssh_args: "-F from/config -o ProxyJump=root@bastion"}`, tasks: []string{`ansible.builtin.raw: "echo $SSH_CONNECTION | cut -d' ' -f3"`, upload, hashes}},
	"a machine behind another by ProxyCommand":               {vars: `{ansible_ssh_args: "-F from/config -o 'ProxyCommand=ssh -F from/config -W [%h]:%p root@bastion'"}`, tasks: []string{`ansible.builtin.raw: "echo $SSH_CONNECTION | cut -d' ' -f3"`, upload, hashes}},
	"a configuration file with an alias":                     {vars: `{ansible_host: alias, ansible_ssh_args: "-F from/config"}`, tasks: []string{works}},
	"a host key that is another's":                           {vars: `{ansible_ssh_common_args: "-o UserKnownHostsFile={{ lookup('env', 'PWD') }}/from/wrong -o GlobalKnownHostsFile=/dev/null", known_nowhere: true}`, tasks: []string{works}},

	"an unknown host key, with host_key_checking off": {host: "pi1", vars: `{ansible_host: 172.30.0.14, ansible_host_key_checking: false, ansible_ssh_common_args: "-o UserKnownHostsFile=/dev/null"}`, tasks: []string{works}, other: "host keys are always checked"},
	"an unknown host key, accepted as new":            {host: "pi1", vars: `{ansible_host: 172.30.0.14, ansible_ssh_common_args: "-o StrictHostKeyChecking=accept-new -o UserKnownHostsFile=/dev/null"}`, tasks: []string{works}, other: "host keys are always checked"},
	"any program as a proxy":                          {host: "pi1", vars: `{ansible_ssh_extra_args: "-o 'ProxyCommand=python3 from/pass.py %h %p'"}`, tasks: []string{works}, other: "nobody can tell where a program leads"},
	"a proxy for everything":                          {host: "pi1", vars: `{ansible_ssh_extra_args: "-D 127.0.0.1:10801"}`, tasks: []string{works}, other: "it resolves to anywhere"},
}

// volatile are the parts of results that no two runs share.
var volatile = regexp.MustCompile(`"(start|end|delta|atime|mtime|ctime|inode|dev|invocation|ansible_job_id|results_file|exception|uid|gid|_ansible_[a-z_]*|elapsed|src|warnings|deprecations|ansible_facts_gathered)"`)

// comparableOutput is a result without what differs from run to run.
func comparableOutput(value any, dir string) any {
	switch v := value.(type) {
	case map[string]any:
		kept := map[string]any{}
		for key, inner := range v {
			if !volatile.MatchString(`"` + key + `"`) {
				kept[key] = comparableOutput(inner, dir)
			}
		}
		if unreachable, _ := v["unreachable"].(bool); unreachable {
			// What ssh says, the guard may have said before it, in other words.
			delete(kept, "msg")
		}
		return kept
	case []any:
		kept := make([]any, 0, len(v))
		for _, inner := range v {
			if text, _ := inner.(string); text != "" && comparableOutput(text, dir) == "" {
				continue
			}
			kept = append(kept, comparableOutput(inner, dir))
		}
		return kept
	case string:
		v = strings.ReplaceAll(v, dir, "WORK")
		v = regexp.MustCompile(`/tmp/alike-[a-z_-]+`).ReplaceAllString(v, "/tmp/alike")
		v = regexp.MustCompile(`(?m)^(Shared connection to|debug\d:|OpenSSH_|Connection to) .*\n?`).ReplaceAllString(v, "")
		v = regexp.MustCompile(`ansible_collections\.[a-z.]+\.connection\.(guarded_)?ssh`).ReplaceAllString(v, "the connection plugin")
		v = regexp.MustCompile(`ansible-tmp-[0-9.-]+`).ReplaceAllString(v, "ansible-tmp")
		return strings.ReplaceAll(v, "\r", "")
	}
	return value
}

// converse runs every behaviour by one connection and returns its results by name.
func converse(t *testing.T, connection string, names []string) map[string][]any {
	t.Helper()
	dir, env := prepare(t, script{files: nil}, "none")
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	random := rand.New(rand.NewPCG(7, 8))
	content := make([]byte, 3<<20)
	for i := range content {
		content[i] = byte(random.Uint32())
	}
	write := func(name string, data []byte, mode os.FileMode) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, mode))
	}
	write("from/tree/big", content, 0o600)
	write("from/tree/naïve 文件", content[:1000], 0o600)
	write("from/tree/deep/er/it's a $name", content[:10], 0o600)
	write("from/script.sh", []byte("#!/bin/sh\nprintf '%s|' \"$@\"\nexit 3\n"), 0o700)
	write("from/pass.py", []byte("import os, socket, sys, threading\ns = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"+
		"def back():\n    while d := s.recv(65536):\n        os.write(1, d)\n    os._exit(0)\nthreading.Thread(target=back).start()\nwhile d := os.read(0, 65536):\n    s.sendall(d)\n"), 0o600)
	write("from/config", []byte(fmt.Sprintf("Host alias\n  HostName 172.30.0.11\n  HostKeyAlias 172.30.0.11\nHost *\n  User root\n  IdentityFile %[1]s/keys/user\n  UserKnownHostsFile %[1]s/known_hosts\n", ground.dir)), 0o600)
	wrong, err := os.ReadFile(filepath.Join(ground.dir, "keys/prod.pub"))
	require.NoError(t, err)
	write("from/wrong", append([]byte("172.30.0.11 "), wrong...), 0o600)
	require.NoError(t, sh("cd "+dir+" && cp "+ground.dir+"/keys/user from/locked && ssh-keygen -q -p -P '' -N secret -f from/locked"))
	write("ansible.cfg", []byte("[defaults]\ninterpreter_python = "+ground.python+"\nhost_key_checking = True\ntimeout = 10\n[connection]\nssh_agent = auto\n"), 0o600)
	write("inv/group_vars/raspberries.yml", []byte("ansible_connection: "+connection+"\nansible_pipelining: true\nsandbox_boundary: "+dir+"/boundary.yml\nsecret: secret\nground: "+ground.dir+"\nthere: "+dir+"/there\nvariant: "+
		strings.ReplaceAll(connection, ".", "-")+"\nknown: -o UserKnownHostsFile="+ground.dir+"/known_hosts\nansible_ssh_common_args: \"{{ known }}\"\n"), 0o600)

	var play strings.Builder
	var all []string // what each play registers, a list of its own
	for n, name := range names {
		b := behaviours[name]
		host := b.host
		if host == "" {
			host = "pi1"
		}
		if b.vars == "" {
			b.vars = "{}"
		}
		fmt.Fprintf(&play, "- name: %s\n  hosts: %s\n  gather_facts: false\n  vars: %s\n  tasks:\n", strconvQuote(name), host, b.vars)
		var registered []string
		// Without a module of Python, of which each costs the better part of a second.
		fmt.Fprintf(&play, "    - {ansible.builtin.raw: \"cd '%s' && rm -rf there back && mkdir -m 777 there back\", delegate_to: localhost, vars: {ansible_become: false}}\n", dir)
		for i, task := range b.tasks {
			if !strings.HasPrefix(task, "{") {
				task = "{" + task + "}"
			}
			if strings.Contains(task, "meta:") {
				fmt.Fprintf(&play, "    - %s\n", task)
				continue
			}
			registered = append(registered, fmt.Sprintf("r%d_%d", n, i))
			fmt.Fprintf(&play, "    - %s, register: r%d_%d, ignore_errors: true, ignore_unreachable: true}\n", strings.TrimSuffix(task, "}"), n, i)
		}
		all = append(all, "["+strings.Join(registered, ", ")+"]")
		fmt.Fprint(&play, "    - ansible.builtin.meta: clear_host_errors\n")
	}
	fmt.Fprintf(&play, "- name: what came of them\n  hosts: pi1\n  gather_facts: false\n  tasks:\n    - {ansible.builtin.copy: {content: \"{{ [%s] | to_json }}\", dest: %s/results.json, mode: \"0600\"}, delegate_to: localhost}\n",
		strings.Join(all, ", "), dir)
	write("play.yml", []byte(play.String()), 0o600)
	env = slices.DeleteFunc(env, func(entry string) bool { return strings.HasPrefix(entry, "ANSIBLE_SSH_ARGS=") })
	output, err := runFor(alikeLimit, "none", dir, env, []string{"chmod 711 .", "ansible-playbook -vvv play.yml || test $? = 4"})
	if path := os.Getenv("GUARD_KEEP"); path != "" {
		_ = os.WriteFile(filepath.Join(path, connection+".txt"), []byte(output), 0o600)
	}
	require.NoError(t, err, "%s", tail(output))
	if connection == "ssh" || connection == "ansible.builtin.ssh" {
		require.NotContains(t, output, "prod-ip-guard ssh")
	} else {
		require.Contains(t, output, "prod-ip-guard ssh", "it is the guard that connects")
	}
	data, err := os.ReadFile(filepath.Join(dir, "results.json"))
	require.NoError(t, err, "%s", tail(output))
	var came [][]any
	require.NoError(t, json.Unmarshal(data, &came))
	require.Len(t, came, len(names))
	results := map[string][]any{}
	for n, name := range names {
		results[name] = comparableOutput(came[n], dir).([]any)
	}
	return results
}

func strconvQuote(text string) string {
	quoted, _ := json.Marshal(text) // a string always can be
	return string(quoted)
}

func tail(text string) string { return text[max(0, len(text)-4000):] }

// The guarded connection is Ansible's own in everything that it does not refuse:
// the same plays give the same results by both, one after the other.
func TestTheGuardedConnectionBehavesAsTheOther(t *testing.T) {
	if !mine("the guarded connection behaves as the other") {
		return
	}
	names := slices.Sorted(maps.Keys(behaviours))
	only := os.Getenv("GUARD_BEHAVIOURS") // a pattern of names, while one works on them
	if only != "" {
		names = slices.DeleteFunc(names, func(name string) bool { return !regexp.MustCompile(only).MatchString(name) })
	}
	plain := converse(t, "ansible.builtin.ssh", names)
	guarded := converse(t, "arcodange.sandbox.guarded_ssh", names)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			if behaviours[name].other == "" {
				assert.Equal(t, plain[name], guarded[name])
				return
			}
			refused := func(results []any) bool {
				return slices.ContainsFunc(results, func(r any) bool { unreachable, _ := r.(map[string]any)["unreachable"].(bool); return unreachable })
			}
			assert.False(t, refused(plain[name]), "%s: %v", behaviours[name].other, plain[name])
			assert.True(t, refused(guarded[name]), "%s: %v", behaviours[name].other, guarded[name])
		})
	}
	// A comparison of failures alone would say little.
	worked := 0
	for _, results := range plain {
		for _, r := range results {
			if failed, _ := r.(map[string]any)["failed"].(bool); !failed {
				worked++
			}
		}
	}
	if only == "" {
		assert.Greater(t, worked, 100)
	}
}
