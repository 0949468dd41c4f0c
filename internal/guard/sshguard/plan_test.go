// SPDX-License-Identifier: GPL-3.0-or-later

package sshguard

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/run"
)

// The sandbox lies on both sides of production, so that what is read as another address of the network is allowed.
const besideProduction = `production:
  addresses: [192.168.1.201-192.168.1.203, "fd99::201"]
  names: [pi1.home]
sandbox:
  addresses: [192.168.1.0-192.168.1.200, 192.168.1.204-192.168.1.255, 172.30.0.0/24, "fd30::/64"]
`

// nobody knows no name, and asks no server.
type nobody struct{}

func (nobody) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return nil, fmt.Errorf("no decider")
}

// decides hands the engine's decisions over as the guard does.
type decides struct{ boundary.Checker }

func (e decides) Decide(ctx context.Context, host string, port int) Verdict {
	d := e.Checker.Decide(ctx, boundary.Target{Kind: boundary.Host, Value: host, Port: uint16(port)})
	v := Verdict{Allowed: d.Allowed, Reason: d.Reason}
	for _, text := range append([]string{d.Pinned}, d.Addresses...) {
		if address, err := netip.ParseAddr(text); err == nil {
			v.Addresses = append(v.Addresses, address.String())
		}
	}
	return v
}

// realSSH is a wrapper that asks the ssh of this machine.
func realSSH(t testing.TB) Wrapper {
	t.Helper()
	program, err := exec.LookPath("ssh")
	require.NoError(t, err, "ssh is among what `make packages` installs")
	m, err := boundary.Parse("boundary.yml", []byte(besideProduction))
	require.NoError(t, err)
	return Wrapper{
		Decider: decides{boundary.Checker{Manifest: m, Resolver: nobody{}}}, Runner: run.Exec{}, Home: t.TempDir(), Env: os.Environ(),
		Program: program, Self: []string{"/guard", "ssh", "--"}, SelfSSH: "/dir/ssh",
	}
}

// numbers starts a process that reads addresses by getaddrinfo(3) with
// AI_NUMERICHOST, which asks nobody, and returns how to ask it. Bytes go there
// as they are: Python would fold a text that is not ASCII, and ssh does not.
func numbers(t testing.TB) func(t *testing.T, text string) []netip.Addr {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "python3", "-uc", `
import json, socket, sys
for line in sys.stdin:
    try:
        print(" ".join(sorted({i[4][0] for i in socket.getaddrinfo(bytes(json.loads(line)), None, flags=socket.AI_NUMERICHOST)})))
    except (OSError, UnicodeError, ValueError, TypeError):
        print()
`)
	cmd.Stderr = os.Stderr
	questions, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _, _ = questions.Close(), cmd.Wait() })
	answers := bufio.NewScanner(out)
	return func(t *testing.T, text string) (all []netip.Addr) {
		bytes := []int{}
		for _, b := range []byte(text) {
			bytes = append(bytes, int(b))
		}
		question, err := json.Marshal(bytes)
		require.NoError(t, err)
		_, err = questions.Write(append(question, '\n'))
		require.NoError(t, err)
		require.True(t, answers.Scan(), "the process that asks getaddrinfo has ended")
		for address := range strings.FieldsSeq(answers.Text()) {
			all = append(all, netip.MustParseAddr(address).WithZone(""))
		}
		return all
	}
}

// meant lists the hosts that ssh, asked apart from the wrapper, may mean by a destination.
func meant(t *testing.T, program, destination string) (hosts []string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, "-G", "-F", "/dev/null", "--", destination).Output()
	if err != nil {
		return nil // ssh refuses it as well
	}
	for line := range strings.Lines(string(out)) {
		// A destination with a line break in it is printed as it is, so there may be several.
		if host, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "hostname "); ok {
			hosts = append(hosts, host, strings.Trim(host, "[]"))
		}
	}
	return hosts
}

// refusedIfProduction returns whether ssh reaches a production address by a
// destination, as the numbers of the system have it; then the wrapper must refuse it.
func refusedIfProduction(t *testing.T, s Wrapper, read func(*testing.T, string) []netip.Addr, destination string) (production bool) {
	t.Helper()
	m := s.Decider.(decides).Manifest
	for _, host := range meant(t, s.Program, destination) {
		for _, address := range read(t, host) {
			for _, inside := range boundary.Embedded(address.Unmap()) {
				for _, rule := range m.Production.Addresses {
					production = production || rule.Contains(inside)
				}
			}
		}
	}
	if !production {
		return false
	}
	words, err := s.Prepare(t.Context(), SSH, []string{"-F", "/dev/null", "--", destination})
	require.Error(t, err, "%q leads to production, but becomes %q", destination, words)
	return true
}

// destinations are those of internal/boundary's test of what ssh takes for an address of production.
var destinations = []string{
	"ssh://192.168.1.201", "ssh://pi@3232235977:2222", "ssh://[::ffff:192.168.1.201]", "pi@0300.0250.1.0311", "ssh://pi@172.30.0.11@192.168.1.201",
	"[192.168.1.201]", "192.168.1.201.", "ssh://%31%39%32.168.1.201", "::ffff:c0a8:1c9", "PI1.HOME", "172.30.0.11@192.168.1.201", "x:y@192.168.1.201",
	"192.168.1.201", "192.168.457", "0xc0.0xa8.457", "192.168.1.0311", "64:ff9b::c0a8:1c9", "2002:c0a8:1c9::1", "fd99::201%lo", "192.168.1.201 x",
	"172.30.0.11\nhostname 192.168.1.201", "172.30.0.11", "pi@192.168.1.200", "ssh://[fd30::11]:2222/", "%h", "192。168。1。201", "１９２.１６８.１.２０１",
}

func TestADestinationThatSSHTakesForProductionIsRefused(t *testing.T) {
	t.Parallel()
	s, read := realSSH(t), numbers(t)
	r := rand.New(rand.NewPCG(5, 6))
	all := destinations
	for range 100 {
		all = append(all, fmt.Sprintf([]string{"%d.%d.%d.%d", "0%o.%d.%d.%d", "%d.0x%x.%d.0%o", "x@%d.%d.%d.%d", "ssh://%d.%d.%d.%d:22", "::ffff:%d.%d.%d.%d"}[r.IntN(6)], 192, 168, 1, 199+r.IntN(7)))
	}
	refused := 0
	for _, destination := range all {
		if refusedIfProduction(t, s, read, destination) {
			refused++
		}
	}
	assert.Greater(t, refused, 30, "otherwise nothing was tried")
	for _, destination := range []string{"192.168.1.200", "ssh://pi@192.168.1.204:22", "172.30.0.11"} {
		_, err := s.Prepare(t.Context(), SSH, []string{"-F", "/dev/null", "--", destination})
		assert.NoError(t, err, destination)
	}
}

// What is given to ssh in the end is asked once more: no setting, no block of a
// configuration and no token may lead past what was decided.
func TestWhatSSHIsGivenMeansWhatWasDecided(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config, args, says string
		has, hasNot        string // among what ssh says of the line that it is given
	}{
		"a zone":                           {args: "fd30::11%lo", has: "hostname fd30::11%lo"},
		"a token in a zone":                {args: "-o HostName=fd30::2%%h 01", has: "hostname fd30::2%h"},
		"a block for the address":          {config: "Match host 172.30.0.11\nLocalForward 8080 192.168.1.201:22\n", args: "-L 1:172.30.0.12:1 x@0254.30.0.11", says: "192.168.1.201, which is production"},
		"a block for the address, alone":   {config: "Match host 172.30.0.11\nLocalForward 8080 192.168.1.201:22\n", args: "0254.30.0.11", hasNot: "localforward"},
		"blanks in the end of a forward":   {config: "LocalForward 8080 \"192.168.1.201 172.30.0.12:22\"\n", args: "172.30.0.11", says: "cannot be read"},
		"the user among a proxy's words":   {config: "User x;id;\nProxyCommand ssh -W %h:%p %r@172.30.0.12\n", args: "172.30.0.11", says: "x;id;@172.30.0.12"},
		"a valid user among them":          {config: "User pi\nProxyCommand ssh -W %h:%p -p %p %r@172.30.0.12\n", args: "172.30.0.11", has: "-W '[%h]:%p' -p 22 -- pi@172.30.0.12"},
		"a name among them":                {config: "ProxyCommand ssh -W %h:%p %n@172.30.0.12\n", args: "172.30.0.11", says: "the token %n is not supported"},
		"a file of jumps by a token":       {args: "-J 172.30.0.12 172.30.0.11", has: "a%%r"},
		"a port that is open to anything":  {args: "-R 8080 172.30.0.11", says: "lets the remote host connect from here to anywhere"},
		"a jump through production":        {config: "ProxyJump 172.30.0.12,192.168.1.201\n", args: "172.30.0.11", says: "jump host: ssh://"},
		"the protocol itself":              {args: "-O proxy 172.30.0.11", says: "-O proxy lets"},
		"a machine of this one, unchecked": {args: "-o NoHostAuthenticationForLocalhost=yes 172.30.0.11", hasNot: "nohostauthenticationforlocalhost yes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := realSSH(t)
			s.Sockets = filepath.Join(t.TempDir(), "cp")
			file := filepath.Join(t.TempDir(), "a%r")
			require.NoError(t, os.WriteFile(file, []byte(c.config), 0o600))
			words, err := s.Prepare(t.Context(), SSH, append([]string{"-F", file}, strings.Fields(c.args)...))
			if c.says != "" {
				require.ErrorContains(t, err, c.says)
				return
			}
			require.NoError(t, err)
			out, err := exec.CommandContext(t.Context(), s.Program, append([]string{"-G"}, words...)...).CombinedOutput()
			require.NoError(t, err, "%s", out)
			assert.Contains(t, string(out), c.has)
			if c.hasNot != "" {
				assert.NotContains(t, string(out), c.hasNot)
			}
		})
	}
}

// FuzzDecideSSH: for any destination, if the ssh of this machine reaches a
// production address with it, the wrapper refuses it.
func FuzzDecideSSH(f *testing.F) {
	for _, seed := range destinations {
		f.Add(seed)
	}
	s, read := realSSH(f), numbers(f)
	f.Fuzz(func(t *testing.T, destination string) {
		if strings.ContainsRune(destination, 0) {
			return // no argument of any program
		}
		refusedIfProduction(t, s, read, destination)
	})
}
