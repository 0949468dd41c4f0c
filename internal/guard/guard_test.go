// SPDX-License-Identifier: GPL-3.0-or-later

package guard

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/guard/sshexec"
)

const manifest = "production:\n  addresses: [192.0.2.1-192.0.2.3]\n  names: ['*.prod.test']\nsandbox:\n  addresses: [172.30.0.0/24]\n"

func written(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func call(stdin string, env []string, args ...string) (status int, out, err string) {
	var stdout, stderr bytes.Buffer
	status = Main(Process{
		Args: append([]string{"prod-ip-guard"}, args...), Env: env, Stdin: strings.NewReader(stdin), Stdout: &stdout, Stderr: &stderr,
	})
	return status, stdout.String(), stderr.String()
}

// logLine is a line of the log of overrides.
type logLine struct {
	Event, User      string
	Targets, Command []string
}

// shut is an output that takes nothing.
type shut struct{}

func (shut) Write([]byte) (int, error) { return 0, errors.New("nobody reads this") }

func TestWhatIsGivenToHurtIsRefusedInTime(t *testing.T) {
	t.Parallel()
	good := written(t, "b.yml", manifest)
	long := strings.Repeat("a", 1<<20)
	names := func(of string, many int) string {
		return "[" + strings.Repeat("'"+of+"',", many) + "'" + of + "']"
	}
	crowded := written(t, "c.yml", "production:\n  names: "+names("*a*.b", 10000)+"\nsandbox:\n  addresses: [172.30.0.0/24]\n  names: "+names("*a*.c", 10000)+"\n")
	pipe := filepath.Join(t.TempDir(), "p.yml")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	for name, c := range map[string]struct {
		status int
		stdin  string
		args   []string
	}{
		"a name of a megabyte":                {statusRefused, "", []string{"check", "--boundary", good, long}},
		"an address behind a megabyte":        {statusRefused, "", []string{"check", "--boundary", good, "--kind", "text", long + " 192.0.2.1"}},
		"ten thousand names":                  {statusRefused, strings.Repeat(`{"kind": "host", "value": "192.0.2.1"}`+"\n", 10000), []string{"check", "--boundary", good, "--targets-from-stdin"}},
		"a target with a NUL":                 {statusRefused, `{"kind": "host", "value": "172.30.0.11\u0000.example"}`, []string{"check", "--boundary", good, "--targets-from-stdin"}},
		"targets that are no JSON":            {statusFailed, "\x00\x00\x00", []string{"check", "--boundary", good, "--targets-from-stdin"}},
		"a target that ends in the midst":     {statusFailed, `{"kind": "host", "val`, []string{"check", "--boundary", good, "--targets-from-stdin"}},
		"a manifest that never ends":          {statusFailed, "", []string{"check", "--boundary", "/dev/zero", "172.30.0.11"}},
		"ssh by such a one":                   {255, "", []string{"ssh", "--boundary", "/dev/zero", "--", "172.30.0.11"}},
		"a pipe without a writer as manifest": {statusFailed, "", []string{"check", "--boundary", pipe, "172.30.0.11"}},
		"ssh by a pipe without a writer":      {255, "", []string{"ssh", "--boundary", pipe, "--", "172.30.0.11"}},
		"a directory with a pipe in it":       {statusFailed, "", []string{"check", "--boundary", good, "--kind", "file", filepath.Dir(pipe)}},
		"a manifest of a megabyte":            {statusFailed, "", []string{"check", "--boundary", written(t, "l.yml", manifest+"#"+long), "172.30.0.11"}},
		"ten thousand patterns by as many":    {statusOK, "", []string{"check", "--boundary", crowded, "172.30.0.11"}},
		"a request of another shape":          {statusFailed, `{"value": true, "command_line": true, "more": 1}`, []string{"override", "--boundary", good, "--state", t.TempDir()}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, out, err := call(c.stdin, nil, c.args...)
			assert.Equal(t, c.status, status, "%.300s", out+err)
		})
	}
	var stderr bytes.Buffer
	for _, target := range []string{"172.30.0.11", "192.0.2.1"} {
		status := Main(Process{Args: []string{"prod-ip-guard", "check", "--boundary", good, target}, Stdin: strings.NewReader(""), Stdout: shut{}, Stderr: &stderr})
		assert.NotEqual(t, statusOK, status, "what cannot be said is not allowed: %s", target)
	}
}

func TestLongMessagesAreShortened(t *testing.T) {
	t.Parallel()
	good := written(t, "b.yml", manifest)
	long := strings.Repeat("é", 100_000)
	for name, c := range map[string]struct {
		args        []string
		begins, end string
	}{
		"a jump":           {[]string{"ssh", "--boundary", good, "--", "-F", "none", "-J", long + ",192.0.2.1", "172.30.0.11"}, "prod-ip-guard: ssh: ", ""},
		"a setting":        {[]string{"ssh", "--boundary", good, "--", "-o", long, "172.30.0.11"}, "prod-ip-guard: ssh: ssh option -o éé", "so the guard cannot tell where it leads; leave it out\n"},
		"a manifest":       {[]string{"check", "--boundary", long, "172.30.0.11"}, "prod-ip-guard: reading the boundary manifest: ", "name the one of your sandbox's inventory\n"},
		"no command":       {[]string{long}, "prod-ip-guard: unknown command \"éé", "see prod-ip-guard help\n"},
		"no flag, at that": {[]string{"check", "--" + long}, "prod-ip-guard: unknown flag: --éé", "éé\n"},
	} {
		_, _, err := call("", nil, c.args...)
		assert.LessOrEqual(t, utf8.RuneCountInString(err), longest+len("prod-ip-guard: ssh: \n"), name)
		assert.True(t, utf8.ValidString(err), name)
		assert.Equal(t, 1, strings.Count(err, "\n"), name)
		assert.True(t, strings.HasPrefix(err, c.begins), "%s: %.200s", name, err)
		assert.True(t, strings.HasSuffix(err, c.end), "%s: %.200s", name, err[max(0, len(err)-200):])
	}
	assert.Equal(t, strings.Repeat("é", longest), short(strings.Repeat("é", longest)))
}

func TestExitStatuses(t *testing.T) {
	t.Parallel()
	good, empty := written(t, "b.yml", manifest), written(t, "b.yml", "")
	for name, c := range map[string]struct {
		status int
		says   string
		args   []string
	}{
		"a target of the sandbox":              {statusOK, "allowed 172.30.0.11", []string{"check", "--boundary", good, "172.30.0.11"}},
		"a target of production":               {statusRefused, "REFUSED 192.0.2.2", []string{"check", "--boundary", good, "192.0.2.2"}},
		"one bad target among good ones":       {statusRefused, "REFUSED 0xC0000202", []string{"check", "--boundary", good, "172.30.0.11", "0xC0000202"}},
		"a text that names production":         {statusRefused, "a.prod.test (host)", []string{"check", "--boundary", good, "--kind", "text", "see https://a.prod.test/x"}},
		"a text that does not":                 {statusOK, "", []string{"check", "--boundary", good, "--kind", "text", "version 1.2.3"}},
		"an inventory of the sandbox's":        {statusOK, "allowed 172.30.0.11", []string{"check", "--boundary", good, "--kind", "inventory", written(t, "hosts", "a ansible_host=172.30.0.11\nb\n")}},
		"an inventory with production in it":   {statusRefused, "REFUSED 192.0.2.1", []string{"check", "--boundary", good, "--kind", "inventory", written(t, "hosts", "a ansible_host=192.0.2.1\n")}},
		"an inventory of somewhere else":       {statusRefused, "REFUSED 198.51.100.1", []string{"check", "--boundary", good, "--kind", "inventory", written(t, "hosts", "a ansible_host=198.51.100.1\n")}},
		"a directory that cannot be read":      {statusFailed, "what cannot be read cannot be checked", []string{"check", "--boundary", good, "--kind", "file", "/nonexistent"}},
		"no target":                            {statusUsage, "no target given", []string{"check", "--boundary", good}},
		"no manifest":                          {statusFailed, "no boundary manifest given", []string{"check", "172.30.0.11"}},
		"a manifest that is not there":         {statusFailed, "no such file", []string{"check", "--boundary", "/nonexistent", "172.30.0.11"}},
		"an empty manifest":                    {statusFailed, ":1:1: it is empty", []string{"check", "--boundary", empty, "172.30.0.11"}},
		"an unknown kind":                      {statusRefused, "", []string{"check", "--boundary", good, "--kind", "colour", "red"}},
		"an unknown output":                    {statusUsage, "use text or json", []string{"check", "--boundary", good, "--output", "xml", "x"}},
		"an unknown flag":                      {statusUsage, "unknown flag", []string{"check", "--colour"}},
		"an unknown command":                   {statusUsage, "unknown command", []string{"dance"}},
		"no command":                           {statusUsage, "usage:", nil},
		"help":                                 {statusOK, "usage:", []string{"help"}},
		"help of a command":                    {statusOK, "--boundary", []string{"check", "--help"}},
		"an explanation":                       {statusRefused, "because", []string{"explain", "--boundary", good, "--kind", "host", "192.0.2.1"}},
		"an explanation of two things":         {statusUsage, "give one", []string{"explain", "--boundary", good, "a", "b"}},
		"ssh to production":                    {notConnected, "refused: 192.0.2.1 resolves to 192.0.2.1 port 22", []string{"ssh", "--boundary", good, "--", "-F", "none", "192.0.2.1"}},
		"ssh without a manifest":               {notConnected, "no boundary manifest", []string{"ssh", "--", "172.30.0.11"}},
		"ssh with a manifest that has changed": {notConnected, "has changed since this run began", []string{"ssh", "--boundary", good, "--digest", strings.Repeat("0", 64), "--", "172.30.0.11"}},
		"a scan of production's keys":          {notConnected, "192.0.2.1", []string{"ssh-keyscan", "--boundary", good, "--", "-T", "1", "172.30.0.11", "192.0.2.1"}},
		"ssh with an unknown option":           {notConnected, "unknown, so the guard", []string{"ssh", "--boundary", good, "--", "-Z", "172.30.0.11"}},
		"another ssh than the system's":        {notConnected, "refused: ssh of /nonexistent may connect to anywhere", []string{"ssh", "--boundary", good, "--programs", "/nonexistent", "--", "172.30.0.11"}},
		"the system's ssh, by a long way":      {notConnected, "refused: 192.0.2.1 resolves to", []string{"ssh", "--boundary", good, "--programs", "/usr/local/../bin//", "--", "-F", "none", "192.0.2.1"}},
		"a namespace for nothing":              {statusUsage, "", []string{"netns", "--boundary", good}},
		"a namespace without a manifest":       {statusFailed, "no boundary manifest", []string{"netns", "--", "true"}},
		"a token without a place to keep it":   {statusFailed, "neither XDG_STATE_HOME nor HOME", []string{"token"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, out, err := call("", nil, c.args...)
			assert.Equal(t, c.status, status, out+err)
			assert.Contains(t, out+err, c.says)
			if status != statusOK && status != statusUsage && err != "" {
				assert.Equal(t, 1, strings.Count(err, "\n"), "one line: %s", err)
			}
		})
	}
}

func TestWhatTiesARunToProductionIsChecked(t *testing.T) {
	t.Parallel()
	good := written(t, "b.yml", manifest)
	kubeconfig := func(server string) string {
		return written(t, "config", "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: a, user: a}}]\n"+
			"clusters: [{name: a, cluster: {server: '"+server+"'}}]\nusers: [{name: a, user: {}}]\n")
	}
	root := filepath.Dir(written(t, "main.tf", "terraform {\n  backend \"local\" {\n    path = \"/srv/production/state\"\n  }\n}\n"))
	for name, c := range map[string]struct {
		status int
		says   string
		env    []string
		args   []string
	}{
		"an environment that leads nowhere":                   {statusOK, "it refers to no target", []string{"LANG=C", "KUBECONFIG="}, []string{"--environment"}},
		"a Vault of production in the environment":            {statusRefused, "REFUSED https://192.0.2.1:8200", []string{"VAULT_ADDR=https://192.0.2.1:8200"}, []string{"--environment"}},
		"a mention of production in the environment":          {statusRefused, "REFUSED NOTIFY (external_reference): its value mentions production by ", []string{"NOTIFY=https://verysecretvalue@192.0.2.1/x"}, []string{"--environment"}},
		"a credential in the environment":                     {statusRefused, "REFUSED", []string{"CLOUDFLARE_API_TOKEN=verysecretvalue"}, []string{"--environment"}},
		"a database of production beside a good target":       {statusRefused, "environment variable PGHOST", []string{"PGHOST=a.prod.test"}, []string{"--environment", "172.30.0.11"}},
		"an environment that was not asked about":             {statusOK, "allowed 172.30.0.11", []string{"VAULT_ADDR=https://192.0.2.1:8200"}, []string{"172.30.0.11"}},
		"a kubeconfig of production":                          {statusRefused, "REFUSED https://192.0.2.1:6443", nil, []string{"--kind", "kubeconfig", kubeconfig("https://192.0.2.1:6443")}},
		"a kubeconfig of production named by the environment": {statusRefused, "REFUSED https://192.0.2.1:6443", []string{"KUBECONFIG=" + kubeconfig("https://192.0.2.1:6443")}, []string{"--environment"}},
		"a kubeconfig that is not there":                      {statusRefused, "no such file", nil, []string{"--kind", "kubeconfig", "/nonexistent"}},
		"a root module with its state elsewhere":              {statusRefused, "REFUSED local:/srv/production/state", nil, []string{"--kind", "tofu", root}},
		"a work tree that is none":                            {statusRefused, "REFUSED", nil, []string{"--kind", "repository", t.TempDir()}},
		"manifests of ArgoCD that are not there":              {statusRefused, "no such file", nil, []string{"--kind", "argocd", "/nonexistent"}},
		"a key file that is not there":                        {statusRefused, "no such file", nil, []string{"--kind", "key", "/nonexistent"}},
		"an application that is deployed to production's cluster": {statusRefused, "REFUSED https://192.0.2.1:6443", nil, []string{"--kind", "argocd", written(t, "app.yml",
			"apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: a}\nspec: {source: {repoURL: 'https://192.0.2.1/x.git', path: a}, destination: {server: 'https://192.0.2.1:6443'}}\n")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, c.env...)
			status, out, err := call("", env, append([]string{"check", "--boundary", good}, c.args...)...)
			assert.Equal(t, c.status, status, out+err)
			assert.Contains(t, out+err, c.says)
			assert.NotContains(t, out+err, "verysecretvalue")
		})
	}
}

func TestTheManifestThatDecidesIsTheOneWhoseDigestWasCompared(t *testing.T) {
	t.Parallel()
	file := written(t, "b.yml", manifest)
	read, err := sshexec.Call{Boundary: file}.Manifest()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte("production:\n  addresses: [198.51.100.1]\nsandbox:\n  addresses: [192.0.2.0/24]\n"), 0o600))
	verdict := (&decider{Manifest: read}).Decide(t.Context(), "192.0.2.1", 22)
	assert.False(t, verdict.Allowed, "another manifest has taken its place meanwhile")
	assert.Contains(t, verdict.Reason, "production")
}

func TestUnderTheNameOfSSHTheManifestComesFromTheEnvironment(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	p := Process{Args: []string{"/x/ssh", "-F", "none", "192.0.2.1"}, Env: []string{sshexec.EnvBoundary + "=" + written(t, "b.yml", manifest)}, Stderr: &stderr}
	assert.Equal(t, notConnected, Main(p))
	assert.Contains(t, stderr.String(), "192.0.2.1, which is production")
	stderr.Reset()
	p.Env = append(p.Env, sshexec.EnvDigest+"="+strings.Repeat("0", 64))
	assert.Equal(t, notConnected, Main(p))
	assert.Contains(t, stderr.String(), "has changed since this run began", "as the ssh that scp starts checks it")
	stderr.Reset()
	p.Env = nil
	assert.Equal(t, notConnected, Main(p))
	assert.Contains(t, stderr.String(), sshexec.EnvBoundary)
}

func TestTargetsComeAsLinesOfJSONAndGoAsJSON(t *testing.T) {
	t.Parallel()
	good := written(t, "b.yml", manifest)
	lines := `{"kind": "host", "value": "172.30.0.11", "from": "-e a"}
{"kind": "endpoint", "value": "192.0.2.1:443", "from": "-e b"}
{"kind": "text", "value": "nothing"}`
	status, out, _ := call(lines, nil, "check", "--boundary", good, "--output", "json", "--targets-from-stdin")
	assert.Equal(t, statusRefused, status)
	var answer struct {
		Allowed   bool
		Decisions []struct {
			Target, From, Reason string
			Allowed              bool
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &answer))
	assert.False(t, answer.Allowed)
	require.Len(t, answer.Decisions, 2)
	assert.Equal(t, "-e b", answer.Decisions[1].From)
	for _, bad := range []string{"{", `{"kind": 1}`, `{"colour": "red"}`, `[]`} {
		status, _, err := call(bad, nil, "check", "--boundary", good, "--targets-from-stdin")
		assert.Equal(t, statusFailed, status, bad)
		assert.Contains(t, err, "reading targets")
	}
}

func TestAnOverrideNeedsTrueOnThisCommandLineAndIsLogged(t *testing.T) {
	t.Parallel()
	good := written(t, "b.yml", manifest)
	for name, c := range map[string]struct {
		request string
		says    string
	}{
		"a boolean":            {`{"value": true, "command_line": true}`, ""},
		"the word true":        {`{"value": "true", "command_line": true}`, ""},
		"true with a capital":  {`{"value": "True", "command_line": true}`, ""},
		"the number 1":         {`{"value": 1, "command_line": true}`, "which is not true"},
		"yes":                  {`{"value": "yes", "command_line": true}`, "which is not true"},
		"false":                {`{"value": "false", "command_line": true}`, "which is not true"},
		"a list":               {`{"value": [true], "command_line": true}`, "which is not true"},
		"nothing":              {`{"command_line": true}`, "which is not true"},
		"true from group_vars": {`{"value": true, "origin": "group_vars", "command_line": false}`, "comes from group_vars"},
		"true from who knows":  {`{"value": true}`, "true of every run"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			state := t.TempDir()
			request := strings.TrimSuffix(c.request, "}") + `, "user": "me", "targets": ["pi1"], "command": ["ansible", "-e", "i_mean_prod=true"]}`
			status, out, err := call(request, nil, "override", "--boundary", good, "--state", state)
			log, missing := os.ReadFile(filepath.Join(state, "overrides.log"))
			if c.says != "" {
				assert.Equal(t, statusRefused, status, err)
				assert.Contains(t, out, c.says)
				assert.Error(t, missing, "what is refused is no override")
				return
			}
			require.Equal(t, statusOK, status, out+err)
			require.NoError(t, missing)
			var entry logLine
			require.NoError(t, json.Unmarshal(log, &entry))
			assert.Equal(t, "me", entry.User)
			assert.Equal(t, []string{"pi1"}, entry.Targets)
			assert.Equal(t, []string{"ansible", "-e", "i_mean_prod=true"}, entry.Command)
			info, failed := os.Stat(filepath.Join(state, "overrides.log"))
			require.NoError(t, failed)
			assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		})
	}
	status, _, _ := call(`{"value": true, "command_line": true}`, nil, "override", "--boundary", good, "--state", "/proc/nonexistent")
	assert.Equal(t, statusFailed, status, "what cannot be recorded is not let through")
	status, _, _ = call("{", nil, "override", "--boundary", good, "--state", t.TempDir())
	assert.Equal(t, statusFailed, status)
}

func TestTheLogOfOverridesHoldsNoSecret(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ given, written []string }{
		"a variable":                        {[]string{"-e", "db_password=hunter2"}, []string{"-e", "db_password=***"}},
		"a variable of an innocent name":    {[]string{"-e", "note=hunter2"}, []string{"-e", "note=***"}},
		"where the run leads":               {[]string{"-e", "i_mean_prod=true ansible_host=192.168.1.201 x=hunter2"}, []string{"-e", "i_mean_prod=true ansible_host=192.168.1.201 x=***"}},
		"a token":                           {[]string{"-e", "i_mean_prod_token=hunter2"}, []string{"-e", "i_mean_prod_token=***"}},
		"glued to its letter":               {[]string{"-ea=hunter2"}, []string{"-ea=***"}},
		"behind other letters":              {[]string{"-vvKe", "a=hunter2"}, []string{"-vvKe", "a=***"}},
		"by the long name":                  {[]string{"--extra-vars", "a=hunter2", "--extra-vars=a=hunter2"}, []string{"--extra-vars", "a=***", "--extra-vars=a=***"}},
		"by a part of the long name":        {[]string{"--ext", "a=hunter2", "--e=a=hunter2"}, []string{"--ext", "a=***", "--e=a=***"}},
		"as JSON":                           {[]string{"-e", `{"a": "hunter2: x", "i_mean_prod": true}`}, []string{"-e", "a=*** i_mean_prod=true"}},
		"as YAML":                           {[]string{"-e", `{a: {b: hunter2}, c: [hunter2]}`}, []string{"-e", "a=*** c=***"}},
		"as JSON that is none":              {[]string{"-e", `{"a": "hunter2`}, []string{"-e", "***"}},
		"with blanks in quotes":             {[]string{"-e", `a="x hunter2=y" b=1`}, []string{"-e", "a=*** b=***"}},
		"with a quote that is not closed":   {[]string{"-e", `a="x hunter2=y`}, []string{"-e", "***"}},
		"with a quote behind a backslash":   {[]string{"-e", `a="x\" hunter2=y"`}, []string{"-e", "***"}},
		"where a host should be":            {[]string{"-e", "ansible_user=hunter2@x/y"}, []string{"-e", "ansible_user=***"}},
		"a file":                            {[]string{"-e", "@vars/prod.yml"}, []string{"-e", "@vars/prod.yml"}},
		"arguments of a module":             {[]string{"pi1", "-m", "shell", "-a", "mysql -phunter2"}, []string{"pi1", "-m", "shell", "-a", "***"}},
		"arguments by the long name":        {[]string{"--args=x hunter2"}, []string{"--args=***"}},
		"an URL":                            {[]string{"-U", "https://me:hunter2@forge/x"}, []string{"-U", "https://me:***@forge/x"}},
		"an option that is named after one": {[]string{"--ssh-common-args=-o ProxyPass=hunter2", "--limit", "pi1"}, []string{"--ssh-common-args=-o ProxyPass=***", "--limit", "pi1"}},
		"nothing behind it":                 {[]string{"site.yml", "-e"}, []string{"site.yml", "-e"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			state := t.TempDir()
			request, err := json.Marshal(map[string]any{"value": true, "command_line": true, "run": "1", "command": append([]string{"ansible"}, c.given...)})
			require.NoError(t, err)
			status, out, failed := call(string(request), nil, "override", "--boundary", written(t, "b.yml", manifest), "--state", state)
			require.Equal(t, statusOK, status, out+failed)
			log, err := os.ReadFile(filepath.Join(state, "overrides.log"))
			require.NoError(t, err)
			assert.NotContains(t, string(log), "hunter2")
			var entry logLine
			require.NoError(t, json.Unmarshal(log, &entry))
			assert.Equal(t, append([]string{"ansible"}, c.written...), entry.Command)
		})
	}
}

func TestTheLogOfOverridesNamesEveryHostThatIsConnectedTo(t *testing.T) {
	t.Parallel()
	state, good := t.TempDir(), written(t, "b.yml", manifest)
	log := filepath.Join(state, "overrides.log")
	say := func(run, target string, flags ...string) (int, string) {
		request := fmt.Sprintf(`{"value": true, "command_line": true, "run": %q, "user": "me", "targets": [%q], "command": ["ansible"]}`, run, target)
		status, out, err := call(request, nil, append([]string{"override", "--boundary", good, "--state", state}, flags...)...)
		return status, out + err
	}
	status, out := say("1", "192.168.1.201 port 22", "--reached")
	assert.Equal(t, statusFailed, status, out)
	require.NoError(t, os.WriteFile(log, []byte("half a line\n"), 0o644))
	status, out = say("1", "all")
	require.Equal(t, statusOK, status, out)
	info, err := os.Stat(log)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "whatever its mode was before")
	status, out = say("2", "192.168.1.201 port 22", "--reached")
	assert.Equal(t, statusRefused, status)
	assert.Contains(t, out, "no override of this run")
	for _, target := range []string{"192.168.1.201 port 22", "192.168.1.202 port 22", "192.168.1.201 port 22"} {
		status, out = say("1", target, "--reached")
		require.Equal(t, statusOK, status, out)
	}
	data, err := os.ReadFile(log)
	require.NoError(t, err)
	var events []string
	for line := range strings.Lines(string(data)) {
		var entry logLine
		if json.Unmarshal([]byte(line), &entry) == nil {
			events = append(events, entry.Event+" "+strings.Join(entry.Targets, ","))
		}
	}
	assert.Equal(t, []string{"allowed all", "connects 192.168.1.201 port 22", "connects 192.168.1.202 port 22"}, events)
	assert.True(t, strings.HasPrefix(string(data), "half a line\n"), "nothing is taken out")
}

func TestTheManifestCanRequireMore(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "arcodange-sandbox")
	asking := func(policy, request string) string {
		_, out, _ := call(`{"value": true, "command_line": true`+request+`}`, nil, "override", "--boundary", written(t, "b.yml", manifest+"policy:\n"+policy), "--state", state)
		return out
	}
	assert.Contains(t, asking("  cluster_name: lab\n", ""), "cluster's name typed in")
	assert.Contains(t, asking("  cluster_name: lab\n", `, "cluster": "Lab"`), "cluster's name typed in")
	assert.Empty(t, asking("  cluster_name: lab\n", `, "cluster": "lab"`))
	assert.Contains(t, asking("  evidence: "+state+"/grant.json\n", ""), "requires evidence of promotion, and the grant "+state+"/grant.json does not exist")

	assert.Contains(t, asking("  token_expiry: 10m\n", ""), "none has been made")
	status, token, _ := call("", []string{"XDG_STATE_HOME=" + filepath.Dir(state)}, "token") // where the runs look for it
	require.Equal(t, statusOK, status)
	token = strings.TrimSpace(token)
	kept, err := os.ReadFile(filepath.Join(state, "override-token"))
	require.NoError(t, err)
	assert.NotContains(t, string(kept), token)
	assert.Contains(t, asking("  token_expiry: 10m\n", `, "token": "`+strings.Repeat("0", 32)+`"`), "not the one that was made last")
	assert.Empty(t, asking("  token_expiry: 10m\n", `, "token": "`+token+`"`))
	assert.Contains(t, asking("  token_expiry: 10m\n", `, "token": "`+token+`"`), "none has been made", "it counts once")
}
