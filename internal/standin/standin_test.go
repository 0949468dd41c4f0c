// SPDX-License-Identifier: GPL-3.0-or-later

package standin

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
		"an unknown letter":                        {SSH, []string{"-Z", "host"}, "-Z is not an option"},
		"a letter whose meaning changed over time": {SSH, []string{"-P", "tag", "host"}, "-P is not an option"},
		"an option without its value":              {SSH, []string{"-p"}, "-p has no value"},
		"a long option":                            {SSH, []string{"--help"}, "is not an option"},
		"a program in place of scp's own":          {SCP, []string{"-D", "evil", "a", "h:b"}, "in place of a connection"},
		"a copy that machines make by themselves":  {SCP, []string{"-R", "a:x", "b:y"}, "leave it out"},
		"an unknown letter among scp's":            {SCP, []string{"-z", "a", "h:b"}, "-z is not an option"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := (&Standin{}).Prepare(t.Context(), c.program, c.args)
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
		"in an included file":      {"Include inc\n", "inc:1: Match exec"},
		"in a file by pattern":     {"Include i*\n", "inc:1: Match exec"},
		"behind a circle":          {"Include circle\n", "included too deeply"},
		"in a file by a token":     {"Include %d/x\n", "not followed"},
		"in a file by a variable":  {"Include ${X}\n", "not followed"},
		"in another's file":        {"Include ~other/x\n", "not followed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			require.NoError(t, os.MkdirAll(filepath.Join(home, ".ssh"), 0o700))
			for file, text := range map[string]string{"config": c.config, "inc": "Match exec y\n", "circle": "Include circle\n"} {
				require.NoError(t, os.WriteFile(filepath.Join(home, ".ssh", file), []byte(text), 0o600))
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
}

// said answers for `ssh -G`.
type said string

func (s said) Run(context.Context, run.Cmd) (run.Result, error) {
	return run.Result{Stdout: []byte(s)}, nil
}

// only allows the hosts it lists, and counts what it was asked.
type only map[string]string

func (o only) Decide(_ context.Context, host string, _ int) Verdict {
	if address, ok := o[host]; ok {
		return Verdict{Allowed: true, Addresses: []netip.Addr{netip.MustParseAddr(address)}}
	}
	return Verdict{Reason: "it is not listed"}
}

func standin(t *testing.T, answer string) Standin {
	t.Helper()
	return Standin{
		Decider: only{"node": "172.30.0.11", "172.30.0.11": "172.30.0.11", "172.30.0.12": "172.30.0.12"}, Runner: said(answer), Home: t.TempDir(),
		Sockets: filepath.Join(t.TempDir(), "cp"), Program: "/usr/bin/ssh", Self: []string{"/guard", "ssh", "--"}, SelfSSH: "/dir/ssh",
	}
}

const plain = "hostname node\nport 22\naddressfamily any\n"

func TestWhatWasDecidedStandsBeforeEverythingElse(t *testing.T) {
	t.Parallel()
	words, err := standin(t, plain).Prepare(t.Context(), SSH, strings.Fields("-o HostName=elsewhere -S /other/socket -J jump node id"))
	require.NoError(t, err)
	line := strings.Join(words, " ")
	assert.True(t, strings.HasPrefix(line, "-o HostName=172.30.0.11 -o Port=22 -o HostKeyAlias=node "), line)
	for _, setting := range forced {
		assert.Less(t, strings.Index(line, setting), strings.Index(line, "HostName=elsewhere"), setting)
		assert.Contains(t, line, setting)
	}
	assert.NotContains(t, line, "/other/socket", "another's control socket")
	assert.NotContains(t, line, "-J", "a jump that nobody checked")
	assert.True(t, strings.HasSuffix(line, "-- node id"), line)
	words, err = standin(t, plain).Prepare(t.Context(), SSH, []string{"node", "--", "-oProxyCommand=evil"})
	require.NoError(t, err)
	assert.Equal(t, []string{"--", "node", "-oProxyCommand=evil"}, words[len(words)-3:], "a command stays one")
}

func TestWhatSSHWouldDoBesideConnectingIsRefusedOrChecked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ args, answer, says string }{
		"another host":                         {"other", "hostname other\nport 22\n", "other leads to other port 22: it is not listed"},
		"any program as proxy":                 {"node", plain + "proxycommand nc %h %p\n", "may lead anywhere"},
		"ssh as proxy, without -W":             {"node", plain + "proxycommand ssh jump nc %h %p\n", "may lead anywhere"},
		"ssh as proxy, with a shell's letters": {"node", plain + "proxycommand ssh -W %h:%p jump; nc x\n", "may lead anywhere"},
		"ssh as proxy, to a place of its own":  {"node", plain + "proxycommand ssh -W elsewhere:22 jump\n", "may lead anywhere"},
		"a command on this machine":            {"node", plain + "localcommand date\n", "would run a program on this machine"},
		"a program that names keys":            {"node", plain + "knownhostscommand /k\n", "would run a program on this machine"},
		"a forward to elsewhere":               {"node", plain + "localforward 80 [elsewhere]:80\n", "a forward leads to"},
		"a way back to elsewhere":              {"node", plain + "remoteforward 80 [elsewhere]:80\n", "a forward leads to"},
		"a way back to anywhere":               {"node", plain + "remoteforward 80\n", "anywhere"},
		"standard input to elsewhere":          {"-W elsewhere:22 node", plain, "a forward leads to"},
		"a family that it does not have":       {"-6 node", "hostname node\nport 22\naddressfamily inet6\n", "no address of the family"},
		"an answer without a host":             {"node", "port 22\n", "named no hostname"},
		"a port that is none":                  {"node", "hostname node\nport 0\n", "its port is"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := standin(t, c.answer).Prepare(t.Context(), SSH, strings.Fields(c.args))
			assert.ErrorContains(t, err, c.says)
		})
	}
}

func TestAJumpIsCheckedByTheStandInOnceMore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ answer, proxy string }{
		"one jump":              {"proxyjump root@a:2222\n", "ProxyCommand=/guard ssh -- -W '[%h]:%p' ssh://root@a:2222"},
		"two jumps":             {"proxyjump a,b\n", "ProxyCommand=/guard ssh -- -J a -W '[%h]:%p' ssh://b"},
		"ssh as a ProxyCommand": {"proxycommand ssh -q -W %h:%p a\n", "ProxyCommand=/guard ssh -- -q -W %h:%p a"},
		"none":                  {"proxycommand none\n", "ProxyCommand=none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			words, err := standin(t, plain+c.answer).Prepare(t.Context(), SSH, []string{"node"})
			require.NoError(t, err)
			assert.Contains(t, words, c.proxy)
		})
	}
}

func TestAControlSocketIsTheGuardsOwnAndItsDirectoryThisUsersAlone(t *testing.T) {
	t.Parallel()
	s := standin(t, plain+"controlmaster auto\ncontrolpath /tmp/shared\n")
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

	require.NoError(t, os.Chmod(s.Sockets, 0o755))
	_, err = s.Prepare(t.Context(), SSH, []string{"node", "id"})
	assert.ErrorContains(t, err, "not this user's alone")
}

func TestCopiersAreGivenTheStandInForTheirConnections(t *testing.T) {
	t.Parallel()
	words, err := standin(t, plain).Prepare(t.Context(), SCP, strings.Fields("-S /evil/ssh -q a node:b"))
	require.NoError(t, err)
	assert.Equal(t, "-S /dir/ssh -q -- a node:b", strings.Join(words, " "))
	words, err = standin(t, plain).Prepare(t.Context(), SFTP, strings.Fields("-b - -R 4 node"))
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
