// SPDX-License-Identifier: GPL-3.0-or-later

//go:build netns

// Package guard tries every known attempt of a sandbox's run to reach production,
// and the honest uses that must work, against real servers.
//
// All of it happens inside a network namespace that the test makes and that
// has a loopback and nothing else: production and sandbox are addresses of that
// loopback, so nothing can leave. A counter in the namespace's packet filter
// counts every connection to production that is begun, and every datagram.
//
// Each attempt is made without any guard, with every layer alone, and with all
// of them, so that the table in docs/bypass-attempts.md is measured. Without a
// guard it must send something, or it proves nothing. A run that crashed or timed
// out sends nothing either, so a layer holds an attempt only if the output names
// the layer as the reason.
package guard

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/tools/txtar"
)

const (
	inside = "GUARD_TEST_INSIDE" // number of this namespace
	shards = 3
	perTry = 60 * time.Second
	// How long all plays of alike_test.go may take by one connection.
	alikeLimit = 20 * time.Minute
	prod       = "192.168.1.201"
	prodV6     = "fd99::201"
	sandbox    = "172.30.0.11"
)

// refusal is a refusal of any layer of the guard.
const refusal = `prod-ip-guard: ((ssh|scp|sftp|ssh-keyscan): )?refused`

// broken means that the guard could not decide, and so let nothing through.
const broken = `this run cannot be restricted to the sandbox|the guard cannot be run`

// unreached is the output in the network namespace: the relay's message about a
// blocked connection, or the system's about an address without a route.
const unreached = `prod-ip-guard: netns: blocked connection to |[Nn]etwork is unreachable`

// crash is the output of a run that ended before its attempt.
const crash = `Traceback \(most recent call last\)|command not found|executable file not found|\[Errno 2\] No such file or directory|\b(ba)?sh: (line \d+: )?\S+: No such file or directory|unknown plugin`

// variants are the layers that an attempt is made with. Scripts and the table use these names.
//
//	none        no guard; the attempt must succeed
//	load        the inventory source only: the connection is Ansible's own
//	connection  the guarded connection only: the inventory's source is not loaded
//	netns       prod-ip-guard netns around a run without any other guard
//	all         as shipped
var variants = []string{"none", "load", "connection", "netns", "all"}

func TestMain(m *testing.M) {
	if os.Getenv(inside) != "" {
		if err := furnish(); err != nil {
			fmt.Fprintln(os.Stderr, "furnishing the namespace:", err)
			os.Exit(1)
		}
		code := m.Run()
		leave()
		os.Exit(code)
	}
	os.Exit(outside())
}

// outside runs this test binary once more in each namespace.
func outside() int {
	// A child is killed when the thread that made it ends, so that thread has to stay.
	runtime.LockOSThread()
	var wait sync.WaitGroup
	codes := make([]int, shards)
	var mu sync.Mutex
	for i := range shards {
		cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", inside, i+1))
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
			Pdeathsig:  syscall.SIGKILL,
		}
		if os.Geteuid() != 0 {
			fmt.Fprintln(os.Stderr, "tests/guard: needs root for its own network namespaces")
			return 1
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		cmd.Stderr = cmd.Stdout
		if err := cmd.Start(); err != nil {
			fmt.Fprintln(os.Stderr, "making a namespace:", err)
			return 1
		}
		wait.Go(func() {
			lines := bufio.NewScanner(out)
			lines.Buffer(nil, 1<<22)
			for lines.Scan() {
				mu.Lock()
				fmt.Println(lines.Text())
				mu.Unlock()
			}
			if err := lines.Err(); err != nil {
				fmt.Printf("namespace %d: reading its output: %v\n", i+1, err)
				_, _ = io.Copy(io.Discard, out)
			}
			if err := cmd.Wait(); err != nil {
				fmt.Printf("namespace %d: %v\n", i+1, err)
				codes[i] = 1
			}
		})
	}
	wait.Wait()
	return slices.Max(codes)
}

// ground is what furnish made.
var ground struct {
	dir, repo, guard, python, key string
	servers                       []*exec.Cmd
}

func sh(script string) error {
	out, err := exec.Command("bash", "-euc", script).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", script, err, out)
	}
	return nil
}

// furnish makes production and the sandbox out of the namespace's loopback.
func furnish() error {
	repo, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "guard")
	if err != nil {
		return err
	}
	ground.repo, ground.dir = repo, dir
	if ground.guard = os.Getenv("GUARD_BINARY"); ground.guard == "" {
		return fmt.Errorf("GUARD_BINARY is not set; run `make test-guard`")
	}
	ansible, err := exec.LookPath("ansible")
	if err != nil {
		return err
	}
	ground.python = filepath.Join(filepath.Dir(ansible), "python")
	if err := sh(fmt.Sprintf(`
mount --make-rprivate /
mount -t proc proc /proc
ip link set lo up
for a in %[2]s 192.168.1.202 192.168.1.203 192.168.1.200 192.168.1.204 172.30.0.11 172.30.0.12 172.30.0.13 172.30.0.14 10.9.9.9; do ip addr add $a/32 dev lo; done
ip -6 addr add %[3]s/128 dev lo nodad; ip -6 addr add fd30::11/128 dev lo nodad
# NAT64 and 6to4 spellings lead to production where a network translates them; here they are its own.
ip -6 addr add 64:ff9b::c0a8:1c9/128 dev lo nodad
ip -6 addr add 2002:c0a8:1c9::1/128 dev lo nodad
ip -6 addr add fe80::201/64 dev lo nodad
nft add table inet count
nft add counter inet count production
nft 'add chain inet count out { type filter hook output priority 0; }'
# A connection begins with a SYN. What follows is not counted: on one loopback the answers go to the same address,
# and those to a client that is gone come late.
nft 'add rule inet count out ip daddr 192.168.1.201-192.168.1.203 meta l4proto != tcp counter name production'
nft 'add rule inet count out ip daddr 192.168.1.201-192.168.1.203 tcp flags & (syn | ack) == syn counter name production'
nft 'add rule inet count out ip6 daddr { %[3]s, 64:ff9b::c0a8:1c9, 2002:c0a8:1c9::1, fe80::201 } meta l4proto != { tcp, icmpv6 } counter name production'
nft 'add rule inet count out ip6 daddr { %[3]s, 64:ff9b::c0a8:1c9, 2002:c0a8:1c9::1, fe80::201 } tcp flags & (syn | ack) == syn counter name production'
cd %[1]s
chmod 711 .
mkdir -p home/.ssh keys guest; chmod 700 home home/.ssh; chmod 711 keys
for k in user prod sandbox; do ssh-keygen -q -t ed25519 -N '' -C '' -f keys/$k; done
cp keys/user.pub keys/authorized; chmod 644 keys/authorized
# A second user with a password, who may become anybody by it. Only this namespace knows of it.
cp /etc/passwd /etc/shadow /etc/group .
echo 'guest:x:65500:65500::%[1]s/guest:/bin/bash' >>passwd
echo "guest:$(perl -e 'print crypt("secret", q($6$guard$))'):20000:0:99999:7:::" >>shadow
echo 'guest:x:65500:' >>group
printf 'Defaults secure_path="/usr/sbin:/usr/bin:/sbin:/bin"\nroot ALL=(ALL:ALL) NOPASSWD: ALL\nguest ALL=(ALL:ALL) ALL\n' >sudoers; chmod 440 sudoers
for f in passwd shadow group sudoers; do mount --bind $f /etc/$f; done
chown 65500:65500 guest
mkdir -p /run/sshd
for w in prod sandbox; do
  cat >sshd_$w <<CONF
HostKey %[1]s/keys/$w
AuthorizedKeysFile %[1]s/keys/authorized
StrictModes no
UsePAM no
PermitRootLogin yes
PidFile %[1]s/$w.pid
Subsystem sftp internal-sftp
LogLevel VERBOSE
CONF
done
cat >>sshd_prod <<CONF
ListenAddress 192.168.1.201
ListenAddress 192.168.1.202
ListenAddress 192.168.1.203
ListenAddress [%[3]s]
ListenAddress [64:ff9b::c0a8:1c9]
ListenAddress [2002:c0a8:1c9::1]
ListenAddress [fe80::201%%lo]
CONF
cat >>sshd_sandbox <<CONF
AcceptEnv *
ListenAddress 172.30.0.14
ListenAddress 192.168.1.200
ListenAddress 192.168.1.204
ListenAddress 172.30.0.11
ListenAddress 172.30.0.12
ListenAddress 172.30.0.13
ListenAddress [fd30::11]
ListenAddress 172.30.0.11:2222
CONF
for h in 172.30.0.11 172.30.0.12 172.30.0.13 192.168.1.200 192.168.1.204 fd30::11 '[172.30.0.11]:2222' box1 bastion two-faces changing; do echo "$h $(cat keys/sandbox.pub)"; done >known_hosts
for h in %[2]s 192.168.1.202 192.168.1.203 innocent pi1.home; do echo "$h $(cat keys/prod.pub)"; done >known_production
cat >hosts <<HOSTS
127.0.0.1 localhost
172.30.0.11 box1
172.30.0.12 bastion
%[2]s innocent pi1.home prod.example
%[2]s two-faces
172.30.0.11 two-faces
HOSTS
# A machine of the sandbox answers, so that names mean the same inside the network namespace.
echo nameserver 172.30.0.12 >resolv.conf
# What the account's own shell does when it is logged in to is not what is tried here.
if [ -e ~/.bashrc ]; then mount --bind /dev/null ~/.bashrc; fi
mount --bind resolv.conf /etc/resolv.conf
mount --bind hosts /etc/hosts
mount --bind home/.ssh /root/.ssh 2>/dev/null || { mkdir -p /root/.ssh; mount --bind home/.ssh /root/.ssh; }
`, dir, prod, prodV6)); err != nil {
		return err
	}
	shown, err := exec.Command("ssh-keygen", "-lf", filepath.Join(dir, "keys/prod.pub")).Output()
	if err != nil {
		return err
	}
	ground.key = strings.Fields(string(shown))[1]
	for _, which := range []string{"prod", "sandbox"} {
		log, err := os.Create(filepath.Join(dir, which+".log"))
		if err != nil {
			return err
		}
		server := exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", filepath.Join(dir, "sshd_"+which))
		server.Stdout, server.Stderr = log, log
		server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := server.Start(); err != nil {
			return err
		}
		ground.servers = append(ground.servers, server)
	}
	if err := serveNames(); err != nil {
		return err
	}
	if err := forward("tcp", "172.30.0.13:2299", prod+":22"); err != nil {
		return err
	}
	// A machine that takes a connection and says nothing.
	if _, err := net.Listen("tcp", sandbox+":2297"); err != nil {
		return err
	}
	if err := forward("tcp", "127.0.0.1:2298", prod+":22"); err != nil {
		return err
	}
	// A daemon of this machine that reaches production for whoever may open its socket.
	if err := forward("unix", filepath.Join(dir, "daemon"), prod+":443"); err != nil {
		return err
	}
	// Production's Kubernetes, Vault and git speak HTTPS; its database only has to be connected to.
	for _, port := range []string{"6443", "8200", "443", "5432"} {
		for _, host := range []string{prod, sandbox} {
			listener, err := net.Listen("tcp", host+":"+port)
			if err != nil {
				return err
			}
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "here") }))
			server.Listener.Close()
			server.Listener = listener
			if port == "5432" {
				server.Start()
			} else {
				server.StartTLS()
			}
		}
	}
	for range 100 {
		conn, err := net.Dial("tcp", sandbox+":22")
		if err == nil {
			conn.Close()
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("sshd did not start")
}

func leave() {
	for _, server := range ground.servers {
		_ = server.Process.Kill()
	}
	_ = os.RemoveAll(ground.dir)
}

// forward passes on what it is sent: a port of a machine of the sandbox, or a socket of this one.
func forward(network, from, to string) error {
	listener, err := net.Listen(network, from)
	if err != nil {
		return err
	}
	go func() {
		for {
			here, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer here.Close()
				there, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer there.Close()
				go func() { _, _ = io.Copy(there, here) }()
				_, _ = io.Copy(here, there)
			}()
		}
	}()
	return nil
}

// serveNames answers for names of both sides, on a machine of the sandbox. The
// name `changing` is the sandbox's when it is asked for the first time and every
// second time from then on, and production's in between.
func serveNames() error {
	socket, err := net.ListenPacket("udp", "172.30.0.12:53")
	if err != nil {
		return err
	}
	// Some servers take four numbers and a dot for the address that they look like.
	fixed := map[string]string{"prod.example.": prod, "named.test.": sandbox, prod + ".": prod}
	times := 0
	go func() {
		buffer := make([]byte, 1500)
		for {
			n, from, err := socket.ReadFrom(buffer)
			if err != nil {
				return
			}
			var query dnsmessage.Message
			if query.Unpack(buffer[:n]) != nil || len(query.Questions) != 1 {
				continue
			}
			question := query.Questions[0]
			address, known := fixed[strings.ToLower(question.Name.String())]
			if strings.HasPrefix(question.Name.String(), "changing.") {
				address, known = sandbox, true
				if question.Type == dnsmessage.TypeA {
					if times%2 == 1 {
						address = prod
					}
					times++
				}
			}
			answer := dnsmessage.Message{Header: dnsmessage.Header{ID: query.ID, Response: true, RecursionAvailable: true}, Questions: query.Questions}
			if !known {
				answer.RCode = dnsmessage.RCodeNameError
			} else if question.Type == dnsmessage.TypeA {
				answer.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET},
					Body:   &dnsmessage.AResource{A: netip.MustParseAddr(address).As4()},
				}}
			}
			if packed, err := answer.Pack(); err == nil {
				_, _ = socket.WriteTo(packed, from)
			}
		}
	}()
	return nil
}

var packets = regexp.MustCompile(`packets (\d+)`)

// sent counts what was sent to production until now: connections, or logins where
// the connections are those of a machine of the sandbox that passes them on.
func sent(t testing.TB, what string) int {
	if what == "logins" {
		log, err := os.ReadFile(filepath.Join(ground.dir, "prod.log"))
		require.NoError(t, err)
		return bytes.Count(log, []byte("Accepted publickey"))
	}
	out, err := exec.Command("nft", "list", "counter", "inet", "count", "production").Output()
	require.NoError(t, err)
	match := packets.FindSubmatch(out)
	require.NotNil(t, match)
	count, err := strconv.Atoi(string(match[1]))
	require.NoError(t, err)
	return count
}

// script is one txtar file: `# key: value` lines, then one command per line, then files.
//
//	attempt, use  what it tries
//	held by       the layers that hold the attempt, each by itself
//	says          what the output has to match, if not a refusal of the guard; `says netns` and so on is for that variant only
//	counts        `logins`, if the connections themselves are not to production
type script struct {
	name     string
	keys     map[string]string
	commands []string
	files    []txtar.File
}

func scripts(t testing.TB, pattern string) []script {
	names, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, names)
	var all []script
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		require.NoError(t, err)
		s := script{name: strings.TrimSuffix(filepath.Base(name), ".txtar"), keys: map[string]string{}, files: archive.Files}
		for line := range strings.Lines(string(archive.Comment)) {
			line = strings.TrimSpace(line)
			if comment, ok := strings.CutPrefix(line, "# "); ok {
				if key, value, ok := strings.Cut(comment, ": "); ok {
					require.True(t, known(key), "%s: %q is no key; a misspelt one would be a check that is not made", name, key)
					s.keys[key] = value
				}
			} else if line != "" {
				s.commands = append(s.commands, line)
			}
		}
		require.NotEmpty(t, s.commands, name)
		all = append(all, s)
	}
	return all
}

// known reports whether a comment is one of a script's keys; a sentence begins with a capital letter.
func known(key string) bool {
	if variant, ok := strings.CutPrefix(key, "says "); ok {
		return slices.Contains(variants, variant)
	}
	return slices.Contains([]string{"attempt", "use", "held by", "says", "counts"}, key) || strings.ToLower(key) != key
}

// traced is a line of the script that bash shows before it runs it.
var traced = regexp.MustCompile(`(?m)^\++ .*$`)

// held reports whether the output of a run that let nothing through shows that the
// variant's layer was the reason.
func (s script) held(t assert.TestingT, variant, output string) {
	output = traced.ReplaceAllString(output, "") // what the script asked for is no answer
	says := s.keys["says "+variant]
	if says == "" && variant != "netns" { // which says nothing of what the others refuse
		if says = s.keys["says"]; says == "" {
			says = refusal
			assert.NotRegexp(t, broken, output, "nothing was let through, but the guard broke")
		}
	}
	if says == "" {
		says = unreached
		assert.NotRegexp(t, crash, output, "nothing was let through, but the run crashed")
	}
	assert.Regexp(t, says, output, "nothing was let through, but nothing says that it was the %s", variant)
}

// prepare lays the script's files and the variant's inventory out in a directory of its own.
func prepare(t testing.TB, s script, variant string) (dir string, env []string) {
	dir, err := os.MkdirTemp(ground.dir, "try")
	require.NoError(t, err)
	replace := strings.NewReplacer("$WORK", dir, "$GROUND", ground.dir, "$REPO", ground.repo, "$GUARD", ground.guard, "$PYTHON", ground.python, "$PRODKEY", ground.key)
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		mode := os.FileMode(0o600)
		if strings.HasPrefix(text, "#!") {
			mode = 0o700
		}
		require.NoError(t, os.WriteFile(path, []byte(replace.Replace(text)), mode))
	}
	write("inv/hosts.yml", `all:
  hosts:
    localhost: {ansible_connection: local, ansible_python_interpreter: $PYTHON}
  children:
    raspberries:
      hosts:
        pi1: {ansible_host: 172.30.0.11}
        pi2: {ansible_host: 172.30.0.12}
        pi3: {ansible_host: 172.30.0.13}
      vars:
        ansible_user: root
        ansible_python_interpreter: $PYTHON
        ansible_ssh_private_key_file: $GROUND/keys/user
`)
	manifest := `production:
  addresses: [192.168.1.201-192.168.1.203, "fd99::201"]
  names: [pi1.home, "*.example"]
  ssh_host_keys: [$PRODKEY]
sandbox:
  addresses: [172.30.0.0/24, "fd30::/64"]
`
	if extra, err := os.ReadFile(filepath.Join("testdata", "boundary.yml")); err == nil {
		manifest = string(extra)
	}
	switch variant {
	case "load":
		write("inv/boundary.yml", "plugin: arcodange.sandbox.boundary\n"+manifest)
	case "connection":
		write("boundary.yml", manifest)
		write("inv/group_vars/all.yml", "ansible_connection: arcodange.sandbox.guarded_ssh\nsandbox_boundary: $WORK/boundary.yml\n")
	case "all":
		write("inv/boundary.yml", "plugin: arcodange.sandbox.boundary\n"+manifest)
		// As shipped, but for the arguments of ssh: they would keep the configuration out that some honest uses need.
		for _, name := range []string{"group_vars/all/guard.yml", "host_vars/localhost.yml"} {
			shipped, err := os.ReadFile(filepath.Join(ground.repo, "inventory/sandbox", name))
			require.NoError(t, err)
			write("inv/"+name, string(shipped))
		}
	default:
		write("boundary.yml", manifest)
	}
	config := "[defaults]\ninterpreter_python = auto_silent\nhost_key_checking = " + strconv.FormatBool(variant != "none" && variant != "netns") + "\ntimeout = 5\n"
	if variant == "all" {
		config += "vars_plugins_enabled = host_group_vars, arcodange.sandbox.boundary\n"
	}
	write("ansible.cfg", config)
	known, err := os.ReadFile(filepath.Join(ground.dir, "known_hosts"))
	require.NoError(t, err)
	write("state/arcodange-sandbox/test/ssh/known_hosts", string(known))
	for _, f := range s.files {
		write(f.Name, string(f.Data))
	}
	// ssh reads the account's own directory, whatever HOME says.
	require.NoError(t, sh("rm -rf /root/.ssh/* && if [ -d "+dir+"/dotssh ]; then cp -r "+dir+"/dotssh/. /root/.ssh/; fi; chmod -R go= /root/.ssh"))
	boundary := filepath.Join(dir, "inv/boundary.yml")
	if _, err := os.Stat(boundary); err != nil {
		boundary = filepath.Join(dir, "boundary.yml")
	}
	env = append(os.Environ(),
		"WORK="+dir, "GROUND="+ground.dir, "INV="+dir+"/inv", "REPO="+ground.repo, "GUARD="+ground.guard, "BOUNDARY="+boundary, "KEY="+ground.dir+"/keys/user", "PYTHON="+ground.python,
		"ANSIBLE_CONFIG="+dir+"/ansible.cfg", "ANSIBLE_COLLECTIONS_PATH="+ground.repo+"/.ansible/collections",
		"ANSIBLE_LOCAL_TEMP="+dir+"/tmp", "ANSIBLE_NOCOLOR=1", "VARIANT="+variant, "XDG_STATE_HOME="+dir+"/state",
		"ANSIBLE_INVENTORY="+dir+"/inv",
	)
	if variant == "none" || variant == "netns" {
		// Without the guard, nothing else may hold an attempt either.
		env = append(env, "ANSIBLE_SSH_ARGS=-o ControlMaster=no -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null")
	}
	return dir, env
}

// run runs the lines by bash until one fails; in the variant netns, in a network namespace.
// A run that is ended by its limit is context.DeadlineExceeded.
func run(variant, dir string, env []string, lines []string) (string, error) {
	return runFor(perTry, variant, dir, env, lines)
}

func runFor(limit time.Duration, variant, dir string, env []string, lines []string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	args := []string{"bash", "-exc", strings.Join(lines, "\n")}
	if variant == "netns" {
		args = append([]string{ground.guard, "netns", "--boundary", dir + "/boundary.yml", "--"}, args...)
	}
	// The new process tree has to see itself in /proc.
	args = append([]string{"bash", "-c", `mount -t proc proc /proc && exec "$@"`, "in"}, args...)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, env
	cmd.WaitDelay = time.Second
	// What the run leaves behind ends with it, and so do its packets.
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w after %s (%w)", ctx.Err(), limit, err)
	}
	return out.String(), err
}

// mine splits the scripts among the namespaces.
func mine(name string) bool {
	if only := os.Getenv("GUARD_ONLY"); only != "" && !regexp.MustCompile(only).MatchString(name) {
		return false
	}
	sum := sha256.Sum256([]byte(name))
	return strconv.Itoa(int(sum[0])%shards+1) == os.Getenv(inside)
}

// said takes note of what an assertion says, in the place of a test.
type said []string

func (s *said) Errorf(format string, args ...any) { *s = append(*s, fmt.Sprintf(format, args...)) }

func TestARunThatEndsForAnotherReasonHoldsNoAttempt(t *testing.T) {
	for _, try := range []struct {
		variant, output string
		keys            map[string]string
		held            bool
	}{
		{"load", "prod-ip-guard: refused: -e x: which is production", nil, true},
		{"connection", "prod-ip-guard: ssh: refused: which is production", nil, true},
		{"netns", "curl: Network is unreachable", nil, true},
		{"netns", "prod-ip-guard: netns: blocked connection to 192.168.1.201:22: it is production", nil, true},
		{"load", "", nil, false},
		{"load", "[WARNING]: inventory config 'inv/boundary.yml' specifies unknown plugin 'arcodange.sandbox.boundary'", nil, false},
		{"load", "prod-ip-guard: refused: this run cannot be restricted to the sandbox: 'NoneType' object is not iterable", nil, false},
		{"connection", "ERROR! the connection plugin 'arcodange.sandbox.guarded_ssh' was not found", nil, false},
		{"netns", "ssh: Could not resolve hostname prod.example: Temporary failure in name resolution", nil, false},
		{"netns", "bash: line 1: ansible: command not found", nil, false},
		{"netns", "Network is unreachable\nTraceback (most recent call last):", nil, false},
		{"netns", "prod-ip-guard: refused", nil, false},
		{"load", "+ echo prod-ip-guard: refused", nil, false}, // the script's own words
		{"load", "pi1 | CHANGED", map[string]string{"says": "CHANGED"}, true},
		{"connection", "pi1 | CHANGED", map[string]string{"says": "CHANGED", "says connection": "which is production"}, false},
		{"netns", "pi1 | CHANGED", map[string]string{"says": "CHANGED"}, false},
		{"netns", "Connection refused", map[string]string{"says netns": "Connection refused"}, true},
	} {
		var complaints said
		script{keys: try.keys}.held(&complaints, try.variant, try.output)
		assert.Equal(t, try.held, len(complaints) == 0, "%s: %s: %s", try.variant, try.output, complaints)
	}
}

func TestAHangingRunIsDistinguishedFromAFailedOne(t *testing.T) {
	for command, hangs := range map[string]bool{"sleep 60": true, "exit 1": false} {
		_, err := runFor(2*time.Second, "none", t.TempDir(), os.Environ(), []string{command})
		require.Error(t, err)
		assert.Equal(t, hangs, errors.Is(err, context.DeadlineExceeded), "%s: %v", command, err)
	}
}

func TestNoAttemptReachesProduction(t *testing.T) {
	for _, s := range scripts(t, "testdata/bypass/*.txtar") {
		if !mine(s.name) {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			require.NotEmpty(t, s.keys["attempt"], "a script names its attempt")
			declared := strings.Fields(s.keys["held by"])
			require.NotEmpty(t, declared, "a script names the layers that hold its attempt")
			require.Subset(t, []string{"load", "connection", "netns", "nothing"}, declared)
			chosen := variants
			if only := os.Getenv("GUARD_VARIANTS"); only != "" { // while one works on a script
				chosen = strings.FieldsFunc(only, func(r rune) bool { return r == ' ' || r == ',' })
				require.Subset(t, variants, chosen)
			}
			for _, variant := range chosen {
				dir, env := prepare(t, s, variant)
				before := sent(t, s.keys["counts"])
				output, err := run(variant, dir, env, s.commands)
				require.NotErrorIs(t, err, context.DeadlineExceeded, "%s: a run that hangs holds nothing:\n%s", variant, output)
				require.NotContains(t, output, "the command was not started", "a layer that does not run holds nothing")
				through := sent(t, s.keys["counts"]) - before
				switch {
				case variant == "none":
					require.NotZero(t, through, "without a guard the attempt fails, so it proves nothing:\n%s", output)
				case variant == "all":
					if slices.Equal(declared, []string{"nothing"}) {
						require.NotZero(t, through, "the table says that nothing holds this attempt")
						break
					}
					if slices.Equal(declared, []string{"netns"}) {
						break // the inventory does not start it
					}
					require.Zero(t, through, "%d connections to production were begun:\n%s", through, output)
					s.held(t, variant, output)
				case slices.Contains(declared, variant):
					assert.Zero(t, through, "the table says that the %s holds this attempt", variant)
					s.held(t, variant, output)
				default:
					assert.NotZero(t, through, "the table says that the %s does not hold this attempt", variant)
				}
				if t.Failed() || os.Getenv("GUARD_SHOW") != "" {
					t.Logf("%s: %d, %v\n%s", variant, through, err, output)
				}
				_ = os.RemoveAll(dir)
			}
		})
	}
}

func TestHonestUseIsNotHindered(t *testing.T) {
	for _, s := range scripts(t, "testdata/honest/*.txtar") {
		if !mine(s.name) {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			require.NotEmpty(t, s.keys["use"], "a script says its use")
			dir, env := prepare(t, s, "all")
			before := sent(t, "")
			output, err := run("all", dir, env, s.commands)
			require.NoError(t, err, output)
			if says := s.keys["says"]; says != "" {
				require.Regexp(t, says, output)
			}
			require.Zero(t, sent(t, "")-before)
			_ = os.RemoveAll(dir)
		})
	}
}
