// SPDX-License-Identifier: GPL-3.0-or-later

package sshguard

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/run"
)

func TestACommandLineIsReadAsOpenSSHReadsIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		program     Program
		args        string
		destination string
		rest        []string
		options     string
	}{
		"a host":                                {SSH, "host", "host", nil, ""},
		"a host and a command":                  {SSH, "host ls -la", "host", []string{"ls", "-la"}, ""},
		"options behind the host":               {SSH, "host -p 22 -v ls", "host", []string{"ls"}, "p=22 v="},
		"letters run together":                  {SSH, "-tt -vCp2222 host", "host", nil, "t= t= v= C= p=2222"},
		"a value that looks like an option":     {SSH, "-o -v host", "host", nil, "o=-v"},
		"an end of options":                     {SSH, "-- host -v", "host", []string{"-v"}, ""},
		"an end of options behind the host":     {SSH, "host -- -v", "host", []string{"-v"}, ""},
		"a value glued to its letter":           {SSH, "-oPort=1 -lroot host", "host", nil, "o=Port=1 l=root"},
		"scp with its own letters":              {SCP, "-P 22 -r a host:b", "", []string{"a", "host:b"}, "P=22 r="},
		"sftp with a batch file":                {SFTP, "-b - -oUser=x host", "", []string{"host"}, "b=- o=User=x"},
		"a lone dash is a word and no option":   {SSH, "host - x", "host", []string{"-", "x"}, ""},
		"an end of options that is a value":     {SSH, "-i -- host -V", "host", []string{"-V"}, "i=--"},
		"a value and more options behind it":    {SSH, "-i -- -v host -V", "host", nil, "i=-- v= V="},
		"what belongs to a command stays there": {SSH, "-p 1 host sh -c -p", "host", []string{"sh", "-c", "-p"}, "p=1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, err := read(c.program, strings.Fields(c.args))
			require.NoError(t, err)
			assert.Equal(t, c.destination, in.Destination)
			if len(c.rest) == 0 {
				assert.Empty(t, in.Rest)
			} else {
				assert.Equal(t, c.rest, in.Rest)
			}
			var options []string
			for _, o := range in.Options {
				options = append(options, string(o.Letter)+"="+o.Value)
			}
			assert.Equal(t, c.options, strings.Join(options, " "))
		})
	}
}

func TestACommandLineThatIsNotUnderstoodIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		program Program
		args    []string
		says    string
	}{
		"an unknown letter":                        {SSH, []string{"-Z", "host"}, "-Z: unknown"},
		"a letter whose meaning changed over time": {SSH, []string{"-P", "tag", "host"}, "write -o Tag=NAME"},
		"a destination that is empty":              {SSH, []string{"-o", "HostName=elsewhere", ""}, "empty destination"},
		"an empty destination and a command":       {SSH, []string{"--", "", "id"}, "empty destination"},
		"an option without its value":              {SSH, []string{"-p"}, "-p: no value"},
		"a long option":                            {SSH, []string{"--help"}, "unknown, so the guard"},
		"a program in place of scp's own":          {SCP, []string{"-D", "evil", "a", "h:b"}, "instead of a connection"},
		"a copy that machines make by themselves":  {SCP, []string{"-R", "a:x", "b:y"}, "leave it out"},
		"an unknown letter among scp's":            {SCP, []string{"-z", "a", "h:b"}, "-z: unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := (&Wrapper{}).Prepare(t.Context(), c.program, c.args)
			assert.ErrorContains(t, err, c.says)
		})
	}
}

func TestAProgramThatConfigurationWouldRunTooEarlyIsFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ config, says string }{
		"plainly":                  {"Match exec \"x\"\n", ":1: Match exec"},
		"negated":                  {"Match !exec x\n", "Match exec"},
		"in capitals":              {"\n  MATCH EXEC x\n", ":2: Match exec"},
		"with equals signs":        {"Match=exec=x\n", "Match exec"},
		"with a quoted keyword":    {"\"Match\" exec x\n", "Match exec"},
		"behind another criterion": {"Match host a exec x\n", "Match exec"},
		"after a tab":              {"\tMatch\texec\tx\n", "Match exec"},
		"behind an equals sign":    {"=Match exec x\n", "Match exec"},
		"behind a carriage return": {"\r=Match exec x\n", "Match exec"},
		"with quotes in the word":  {"Match ex\"ec\" x\n", "Match exec"},
		"without a blank":          {"\"Match\"exec x\n", "Match exec"},
		"in an included file":      {"Include inc\n", "inc:1: Match exec"},
		"in a file behind equals":  {"=Include=inc\n", "inc:1: Match exec"},
		"in a file in quotes":      {"\"Include\"\"inc\"\n", "not supported"},
		"in a file by pattern":     {"Include i*\n", "inc:1: Match exec"},
		"in a file by brackets":    {"Include [!x]nc\n", "inc:1: Match exec"},
		"in a file by a class":     {"Include [[:alpha:]]nc\n", "inc:1: Match exec"},
		"in a file by its bytes":   {"Include ??t\n", "ét:1: Match exec"},
		"behind a circle":          {"Include circle\n", "levels deep"},
		"behind a great many":      {"Include 2-0\n", "more than"},
		"in a file by a token":     {"Include %d/x\n", "not supported"},
		"in a file by a variable":  {"Include ${X}\n", "not supported"},
		"in another's file":        {"Include ~other/x\n", "not supported"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			require.NoError(t, os.MkdirAll(filepath.Join(home, ".ssh"), 0o700))
			for file, text := range map[string]string{"config": c.config, "inc": "Match exec y\n", "ét": "Match exec z\n", "circle": "Include circle\n"} {
				require.NoError(t, os.WriteFile(filepath.Join(home, ".ssh", file), []byte(text), 0o600))
			}
			for n := range 15 { // each is read twice as often as the one before
				require.NoError(t, os.WriteFile(filepath.Join(home, ".ssh", fmt.Sprintf("2-%d", n)), fmt.Appendf(nil, "Include 2-%d 2-%d\n", n+1, n+1), 0o600))
			}
			_, err := configuration("", home)
			assert.ErrorContains(t, err, c.says)
			_, err = configuration("none", home)
			assert.NoError(t, err, "no file is read")
		})
	}
	home := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(home, ".ssh"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(home, ".ssh/config"), []byte("# Match exec x\nHost executive\n  User exec\nMatch host a user b\n"), 0o600))
	_, err := configuration("", home)
	assert.NoError(t, err, "what only looks like it is none")
	_, err = configuration(filepath.Join(home, "missing"), home)
	assert.Error(t, err)
	_, err = configuration("/dev/null", home)
	assert.NoError(t, err)
	pipe := filepath.Join(home, "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	_, err = configuration(pipe, home)
	assert.ErrorContains(t, err, "not a regular file", "without waiting for a writer")
	_, err = configuration(home, home)
	assert.ErrorContains(t, err, "not a regular file")
}

func TestTheSystemsOwnConfigurationIsReadWhereverItLies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ file, config, beside, says string }{
		"the first":                            {"etc/ssh/ssh_config", "Match exec x\n", "", "etc/ssh/ssh_config:1: Match exec"},
		"one of another build":                 {"usr/etc/ssh/ssh_config", "Match exec x\n", "", "usr/etc/ssh/ssh_config:1: Match exec"},
		"what is included beside it":           {"usr/etc/ssh/ssh_config", "Include d/*.conf\n", "usr/etc/ssh/d/a.conf", "usr/etc/ssh/d/a.conf:1: Match exec"},
		"what is included where the build is":  {"usr/etc/ssh/ssh_config", "Include d/*.conf\n", "etc/ssh/d/a.conf", "/etc/ssh/d/a.conf:1: Match exec"},
		"what an included file includes":       {"usr/etc/ssh/ssh_config", "Include d/b\n", "usr/etc/ssh/a.conf", "usr/etc/ssh/a.conf:1: Match exec"},
		"one that leads somewhere else":        {"etc/ssh/ssh_config", "LeadElsewhere x\n", "", "unknown setting"},
		"none at all":                          {"etc/other", "Match exec x\n", "", ""},
		"what lies beside this user's own one": {"etc/ssh/ssh_config", "Include a.conf\n", "home/.ssh/a.conf", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			put := func(file, text string) {
				file = filepath.Join(root, file)
				require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
				require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
			}
			put("usr/etc/ssh/d/b", "Include a.conf\n")
			put(c.file, c.config)
			if c.beside != "" {
				put(c.beside, "Match exec y\n")
			}
			system := []string{filepath.Join(root, "etc/ssh/ssh_config"), filepath.Join(root, "usr/etc/ssh/ssh_config")}
			_, err := configurationOf(system, "", filepath.Join(root, "home"))
			if c.says == "" {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, c.says)
			}
			_, err = configurationOf(system, "none", filepath.Join(root, "home"))
			assert.NoError(t, err, "no file is read")
		})
	}
	for _, file := range []string{"/etc/ssh/ssh_config", "/usr/etc/ssh/ssh_config", "/opt/homebrew/etc/ssh/ssh_config", "/usr/local/etc/ssh/ssh_config", "/usr/local/etc/ssh_config"} {
		assert.Contains(t, systemFiles, file)
	}
}

// Lines of which some run a program, in every way of writing that ssh's own
// reader might take for one. The real ssh reads each; what it runs must have
// been found.
func TestEveryProgramThatSSHWouldRunIsFound(t *testing.T) {
	t.Parallel()
	const lines = 5000
	r := rand.New(rand.NewPCG(5, 6))
	home, marks := t.TempDir(), t.TempDir()
	parts := []string{"Match", "match", "MATCH", "exec", "EXEC", "ex\"ec\"", "e\\xec", "'exec'", "\"exec\"", "!exec", "host", "*", "user", "all", "final", "canonical", "=", "==", "\"", "'",
		" ", "\t", "\r", "\f", "\v", ",", "\\", "#", "\x00", "\u00a0", "originalhost"}
	var config strings.Builder
	var written []string
	for n := range lines {
		var line strings.Builder
		for range r.IntN(3) {
			line.WriteString(parts[r.IntN(len(parts))])
		}
		line.WriteString([]string{"Match", "\"Match\"", "mAtch", "Ma\"tch\"", "'Match'"}[r.IntN(5)])
		for range r.IntN(4) {
			line.WriteString(parts[r.IntN(len(parts))])
		}
		line.WriteString([]string{" exec", "exec", "=exec", " \"exec\"", "\texec", " ex\"ec\"", "\"exec\"", " !exec", " ", ""}[r.IntN(10)])
		line.WriteString([]string{" ", "=", "\t", ""}[r.IntN(4)])
		fmt.Fprintf(&line, "\"echo >%s/%d\"", marks, n)
		written = append(written, line.String())
		config.WriteString(line.String() + "\n")
	}
	file := filepath.Join(home, "config")
	require.NoError(t, os.WriteFile(file, []byte(config.String()), 0o600))
	// It complains about the lines that are none, and has then read them all. Nothing is connected to.
	_ = exec.CommandContext(t.Context(), "ssh", "-G", "-F", file, "node").Run()
	ran, err := os.ReadDir(marks)
	require.NoError(t, err)
	require.Greater(t, len(ran), 100)
	one := filepath.Join(home, "one")
	for _, mark := range ran {
		n, err := strconv.Atoi(mark.Name())
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(one, []byte(written[n]+"\n"), 0o600))
		_, err = configuration(one, home)
		assert.ErrorContains(t, err, "Match exec", "%q", written[n])
	}
}

// Every setting that the ssh of this machine knows has a class. The program
// itself is asked which of the words in it are settings.
func TestEverySettingOfSSHIsKnown(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("ssh")
	require.NoError(t, err)
	program, err := os.ReadFile(path)
	require.NoError(t, err)
	candidates := map[string]bool{}
	for _, word := range regexp.MustCompile(`[A-Za-z0-9]{3,40}\x00`).FindAll(program, -1) {
		text := strings.ToLower(string(word[:len(word)-1]))
		for at := range len(text) - 2 { // compilers keep a word that ends another one within it
			candidates[text[at:]] = true
		}
	}
	words := slices.Sorted(maps.Keys(candidates))
	file := filepath.Join(t.TempDir(), "config")
	var settings []string
	for {
		require.NoError(t, os.WriteFile(file, []byte(strings.Join(words, " x\n")+" x\n"), 0o600))
		out, err := exec.CommandContext(t.Context(), path, "-G", "-F", file, "node").CombinedOutput()
		require.Error(t, err)
		if strings.Contains(string(out), "bad configuration options") {
			bad := map[string]bool{}
			for _, match := range regexp.MustCompile(`Bad configuration option: (\S+)`).FindAllStringSubmatch(string(out), -1) {
				bad[match[1]] = true
			}
			settings = append(settings, slices.DeleteFunc(words, func(word string) bool { return bad[word] })...)
			break
		}
		// A setting whose value ends the reading: it is one, and is left out of the next.
		match := regexp.MustCompile(`line (\d+): [^\n]*\s*$`).FindStringSubmatch(string(out))
		require.NotNil(t, match, "%s", out)
		number, err := strconv.Atoi(match[1])
		require.NoError(t, err)
		settings = append(settings, words[number-1])
		words = slices.Delete(words, number-1, number)
	}
	require.Greater(t, len(settings), 90)
	for _, word := range settings {
		assert.NotEqual(t, unknown, classOf(word), word)
	}
	// What it prints as in force has one as well.
	out, err := exec.CommandContext(t.Context(), path, "-G", "-F", "none", "node").Output()
	require.NoError(t, err)
	for line := range strings.Lines(string(out)) {
		word, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		assert.NotEqual(t, unknown, classOf(strings.ToLower(word)), line)
	}
}

func TestASettingThatIsNotKnownIsRefused(t *testing.T) {
	t.Parallel()
	s := newWrapper(t, plain)
	for _, args := range []string{"-o LeadElsewhere=x node", "-oLeadElsewhere=x node", "-o =x node"} {
		_, err := s.Prepare(t.Context(), SSH, strings.Fields(args))
		assert.ErrorContains(t, err, "unknown setting, so the guard", args)
	}
	_, err := s.Prepare(t.Context(), SSH, []string{"-o", "Tag=x", "node"})
	assert.NoError(t, err, "the suggested replacement of -P")
	file := filepath.Join(t.TempDir(), "config")
	require.NoError(t, os.WriteFile(file, []byte("# a comment\n\n  Host *\n\tUser x\nUseKeychain yes\nLeadElsewhere x\n"), 0o600))
	_, err = s.Prepare(t.Context(), SSH, []string{"-F", file, "node"})
	assert.ErrorContains(t, err, "config:6: leadelsewhere: unknown setting")
}

// What is held has to stand before everything that could say otherwise, or be left out.
func TestWhatIsHeldIsNamed(t *testing.T) {
	t.Parallel()
	for _, setting := range forced {
		name, _, _ := strings.Cut(setting, "=")
		switch class := classOf(strings.ToLower(name)); class {
		case overridden, refused:
		default:
			t.Errorf("%s is forced, but its class is %q", setting, class)
		}
	}
	assert.Contains(t, forced, "NoHostAuthenticationForLocalhost=no")
	words, err := newWrapper(t, plain).Prepare(t.Context(), SSH, strings.Fields("-XYAK -e ~ -v node id"))
	require.NoError(t, err)
	assert.Equal(t, "-v -- node id", strings.Join(words[len(words)-4:], " "))
	assert.Contains(t, words, "PKCS11Provider=none")
	assert.Contains(t, words, "IdentityAgent=none")
	with := newWrapper(t, plain)
	with.Agent = "/run/agent"
	words, err = with.Prepare(t.Context(), SSH, strings.Fields("-o IdentityAgent=/other node id"))
	require.NoError(t, err)
	line := strings.Join(words, " ")
	assert.Less(t, strings.Index(line, "IdentityAgent=/run/agent"), strings.Index(line, "IdentityAgent=/other"))
	assert.NotContains(t, line, "IdentityAgent=none")
	words, err = newWrapper(t, plain).Prepare(t.Context(), SSH, strings.Fields("-o PKCS11Provider=/lib.so node id"))
	require.NoError(t, err)
	assert.NotContains(t, words, "PKCS11Provider=none", "a library that the command line names")
}

// said answers for `ssh -G`.
type said string

func (s said) Run(_ context.Context, cmd run.Cmd) (run.Result, error) {
	if slices.Contains(cmd.Args, "ControlPath=none") && !strings.Contains(string(s), "user itself") { // about a jump, which has none
		host := cmd.Args[len(cmd.Args)-1]
		for i, word := range cmd.Args {
			if word == "--" {
				host = cmd.Args[i+1]
			}
		}
		host, _, _ = strings.Cut(host[strings.LastIndexAny(host, "@/")+1:], ":")
		return run.Result{Stdout: []byte("hostname " + host + "\nport 22\naddressfamily any\n")}, nil
	}
	return run.Result{Stdout: []byte(s)}, nil
}

// only allows the hosts it lists, and counts what it was asked.
type only map[string]string

func (o only) Decide(_ context.Context, host string, _ int) Verdict {
	if address, ok := o[host]; ok {
		return Verdict{Allowed: true, Addresses: []string{address}}
	}
	return Verdict{Reason: "it is not listed"}
}

func newWrapper(t *testing.T, answer string) Wrapper {
	t.Helper()
	return Wrapper{
		Decider: only{"node": "172.30.0.11", "a": "172.30.0.13", "b": "172.30.0.14", "172.30.0.11": "172.30.0.11", "172.30.0.12": "172.30.0.12"}, Runner: said(answer), Home: t.TempDir(),
		Sockets: filepath.Join(t.TempDir(), "cp"), Program: "/usr/bin/ssh", Self: []string{"/guard", "ssh", "--"}, SelfSSH: "/dir/ssh",
	}
}

const plain = "hostname node\nport 22\naddressfamily any\n"

func TestWhatWasDecidedStandsBeforeEverythingElse(t *testing.T) {
	t.Parallel()
	words, err := newWrapper(t, plain).Prepare(t.Context(), SSH, strings.Fields("-o HostName=elsewhere -S /other/socket -J jump node id"))
	require.NoError(t, err)
	line := strings.Join(words, " ")
	assert.True(t, strings.HasPrefix(line, "-o HostName=172.30.0.11 -o Port=22 -o HostKeyAlias=node "), line)
	for _, setting := range forced {
		assert.Less(t, strings.Index(line, setting), strings.Index(line, "HostName=elsewhere"), setting)
		assert.Contains(t, line, setting)
	}
	assert.NotContains(t, line, "/other/socket", "another's control socket")
	assert.NotContains(t, line, "-J", "an unchecked jump")
	assert.True(t, strings.HasSuffix(line, "-- node id"), line)
	words, err = newWrapper(t, plain).Prepare(t.Context(), SSH, []string{"node", "--", "-oProxyCommand=evil"})
	require.NoError(t, err)
	assert.Equal(t, []string{"--", "node", "-oProxyCommand=evil"}, words[len(words)-3:], "a command stays one")
}

func TestAnAddressWhosePacketsTakeADetourIsNotConnectedTo(t *testing.T) {
	t.Parallel()
	w := newWrapper(t, plain)
	w.Route = func(address string) error {
		if address == "172.30.0.11" {
			return errors.New(address + " by mesh0")
		}
		return nil
	}
	_, err := w.Prepare(t.Context(), SSH, []string{"node", "id"})
	require.EqualError(t, err, "172.30.0.11 by mesh0")
	w.Runner = said(plain + "proxyjump a\n")
	_, err = w.Prepare(t.Context(), SSH, []string{"node", "id"})
	require.NoError(t, err, "only the jump host is connected to")
}

func TestWhatSSHWouldDoBesideConnectingIsRefusedOrChecked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ args, answer, says string }{
		"another host":                         {"other", "hostname other\nport 22\n", "other resolves to other port 22: it is not listed"},
		"any program as proxy":                 {"node", plain + "proxycommand nc %h %p\n", "may lead anywhere"},
		"ssh as proxy, without -W":             {"node", plain + "proxycommand ssh jump nc %h %p\n", "may lead anywhere"},
		"ssh as proxy, with a shell's letters": {"node", plain + "proxycommand ssh -W %h:%p jump; nc x\n", "may lead anywhere"},
		"ssh as proxy, to a place of its own":  {"node", plain + "proxycommand ssh -W elsewhere:22 jump\n", "may lead anywhere"},
		"a command on this machine":            {"node", plain + "localcommand date\n", "runs a program on this machine"},
		"a program that names keys":            {"node", plain + "knownhostscommand /k\n", "runs a program on this machine"},
		"a forward to elsewhere":               {"node", plain + "localforward 80 [elsewhere]:80\n", `forward to "[elsewhere]:80"`},
		"a way back to elsewhere":              {"node", plain + "remoteforward 80 [elsewhere]:80\n", `forward to "[elsewhere]:80"`},
		"a way back to anywhere":               {"node", plain + "remoteforward 80\n", "anywhere"},
		"a way back to a socket of here":       {"node", plain + "remoteforward 80 /run/engine.sock\n", "a socket of this machine"},
		"a proxy for everything":               {"node", plain + "dynamicforward 1080\n", "anywhere"},
		"a tunnel for every packet":            {"-w 0:0 node", plain, "any packet"},
		"standard input to elsewhere":          {"-W elsewhere:22 node", plain, `forward to "elsewhere:22"`},
		"a family that it does not have":       {"-6 node", "hostname node\nport 22\naddressfamily inet6\n", "no address of the family"},
		"an answer without a host":             {"node", "port 22\n", "printed no hostname"},
		"a port that is none":                  {"node", "hostname node\nport 0\n", "must be 1-65535"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newWrapper(t, c.answer).Prepare(t.Context(), SSH, strings.Fields(c.args))
			assert.ErrorContains(t, err, c.says)
		})
	}
}

func TestWhatSSHSaysAgainstACommandLineIsShortAndPlain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"a text that is no host":        {[]string{"{{ x }}"}, `ssh -G for "{{ x }}": hostname contains invalid characters`},
		"a value that is none":          {[]string{"-o", "Port=x", "node"}, `ssh -G for "node": command-line line 0: Bad `},
		"a setting that it has no more": {[]string{"-o", "Port", "node"}, `ssh -G for "node": `},
	} {
		_, err := realSSH(t).Prepare(t.Context(), SSH, append([]string{"-F", "/dev/null"}, c.args...))
		assert.ErrorContains(t, err, c.says, name)
		assert.NotContains(t, err.Error(), "-F", name)
	}
	s := realSSH(t)
	s.Program = "/nonexistent/ssh"
	_, err := s.Prepare(t.Context(), SSH, []string{"-F", "/dev/null", "node"})
	assert.ErrorContains(t, err, "no such file", "where it says nothing, why it was not asked")
}

func TestAJumpIsCheckedByTheWrapperOnceMore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ answer, proxy string }{
		"one jump":              {"proxyjump root@a:2222\n", "ProxyCommand=/guard ssh -- -W '[%h]:%p' -- ssh://root@a:2222"},
		"two jumps":             {"proxyjump a,b\n", "ProxyCommand=/guard ssh -- -W '[%h]:%p' -J a -- ssh://b"},
		"ssh as a ProxyCommand": {"proxycommand ssh -q -W %h:%p a\n", "ProxyCommand=/guard ssh -- -W '[%h]:%p' -q -- a"},
		"none":                  {"proxycommand none\n", "ProxyCommand=none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			words, err := newWrapper(t, plain+c.answer).Prepare(t.Context(), SSH, []string{"node"})
			require.NoError(t, err)
			assert.Contains(t, words, c.proxy)
		})
	}
	for name, c := range map[string]struct{ answer, says string }{
		"a jump elsewhere":                 {"proxyjump root@elsewhere\n", "elsewhere"},
		"a second jump elsewhere":          {"proxycommand ssh -W %h:%p elsewhere\n", "elsewhere"},
		"a jump that leads back to itself": {"proxyjump a\nuser itself\n", "jumps"},
		"a jump with an unknown option":    {"proxycommand ssh -Z -W %h:%p a\n", "unknown, so the guard"},
	} {
		_, err := newWrapper(t, plain+c.answer).Prepare(t.Context(), SSH, []string{"node"})
		var refusal *refusedError
		require.ErrorAs(t, err, &refusal, name)
		assert.ErrorContains(t, err, c.says, name)
	}
}

func TestAControlSocketIsTheGuardsOwnAndItsDirectoryThisUsersAlone(t *testing.T) {
	t.Parallel()
	s := newWrapper(t, plain+"controlmaster auto\ncontrolpath /tmp/shared\n")
	words, err := s.Prepare(t.Context(), SSH, []string{"node", "id"})
	require.NoError(t, err)
	at := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "ControlPath=") })
	require.Positive(t, at)
	assert.True(t, strings.HasPrefix(words[at], "ControlPath="+s.Sockets+"/"))
	same, err := s.Prepare(t.Context(), SSH, strings.Fields("-tt -v node other command"))
	require.NoError(t, err)
	assert.Contains(t, same, words[at], "how a command is run changes nothing of where it leads")
	other, err := s.Prepare(t.Context(), SSH, strings.Fields("-p 2222 node id"))
	require.NoError(t, err)
	assert.NotContains(t, other, words[at])

	// One is open now; who asks for a connection of their own is not given it.
	listener, err := net.Listen("unix", strings.TrimPrefix(words[at], "ControlPath="))
	require.NoError(t, err)
	defer listener.Close()
	shared, err := s.Prepare(t.Context(), SSH, []string{"-o", "ControlMaster=auto", "node", "id"})
	require.NoError(t, err)
	assert.Contains(t, shared, words[at])
	s.Runner = said(plain + "controlmaster false\n")
	for _, args := range []string{"-o ControlMaster=no node id", "-S none node id", "-o ControlPath=none -o ControlMaster=auto node id"} {
		alone, err := s.Prepare(t.Context(), SSH, strings.Fields(args))
		require.NoError(t, err)
		assert.Contains(t, alone, "ControlPath=none", args)
	}
	s.Runner = said(plain + "controlmaster auto\n")

	require.NoError(t, os.Chmod(s.Sockets, 0o755))
	_, err = s.Prepare(t.Context(), SSH, []string{"node", "id"})
	assert.ErrorContains(t, err, "accessible to other users")
}

func TestCopiersAreGivenTheWrapperForTheirConnections(t *testing.T) {
	t.Parallel()
	words, err := newWrapper(t, plain).Prepare(t.Context(), SCP, strings.Fields("-S /evil/ssh -q a node:b"))
	require.NoError(t, err)
	assert.Equal(t, "-S /dir/ssh -q -- a node:b", strings.Join(words, " "))
	words, err = newWrapper(t, plain).Prepare(t.Context(), SFTP, strings.Fields("-b - -R 4 node"))
	require.NoError(t, err)
	assert.Equal(t, "-S /dir/ssh -b - -R 4 -- node", strings.Join(words, " "))
}

// What was read is written again in a way that is read alike.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{"host", "-p 22 host id", "-oA=b -vvv -J a,b h -t -- x -y", "-W a:1 h", "--"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		for _, p := range []Program{SSH, SCP, SFTP} {
			in, err := read(p, strings.Split(line, " "))
			if err != nil {
				continue
			}
			var words []string
			for _, o := range in.Options {
				words = append(words, o.words(p.grammar())...)
			}
			words = append(words, "--")
			if p == SSH {
				if in.Destination == "" {
					continue
				}
				words = append(words, in.Destination)
			}
			again, err := read(p, append(words, in.Rest...))
			require.NoError(t, err)
			require.Equal(t, in.Options, again.Options)
			require.Equal(t, in.Destination, again.Destination)
			require.Equal(t, strings.Join(in.Rest, " "), strings.Join(again.Rest, " "))
		}
	})
}
