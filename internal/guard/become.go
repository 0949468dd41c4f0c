// SPDX-License-Identifier: GPL-3.0-or-later

package guard

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/place"
	"github.com/arcodange-org/sandbox/internal/run"
	"github.com/arcodange-org/sandbox/internal/standin"
	"golang.org/x/sys/unix"
)

// become is what a stand-in is told besides the command line it stands in for.
type become struct {
	boundary string
	digest   string // SHA-256 of the manifest as it was when the run began, in hexadecimal; empty if nobody says
	programs string // directory of the real programs; empty means the usual ones
	agent    string // socket of an agent that may be used; empty for none
	args     []string
}

// Where the real programs are looked for. PATH is no guide: the stand-in itself may be on it, and so may anything else.
var usual = []string{"/usr/bin", "/bin", "/usr/local/bin", "/opt/homebrew/bin", "/run/current-system/sw/bin"}

func (p Process) becomeFlags(ctx context.Context, program standin.Program, args []string) int {
	set := flags(string(program) + " [flags] -- ARGUMENTS OF " + strings.ToUpper(string(program)))
	var b become
	set.StringVar(&b.boundary, "boundary", "", "the boundary manifest")
	set.StringVar(&b.digest, "digest", "", "SHA-256 of the boundary manifest when the run began; another one is refused")
	set.StringVar(&b.agent, "agent", "", "socket of an agent that holds the sandbox's key only; without it no agent is used")
	set.StringVar(&b.programs, "programs", "", "directory of the real programs")
	if status, done := p.parse(set, args); done {
		return status
	}
	b.args = set.Args()
	return p.become(ctx, program, b)
}

// notConnected is what ssh itself ends with when there is no connection.
const notConnected = 255

// become checks where the command line leads and replaces this process by the real program.
func (p Process) become(ctx context.Context, program standin.Program, b become) int {
	stop := func(err error) int {
		fmt.Fprintf(p.Stderr, "prod-ip-guard: %s: %v\n", program, err)
		return notConnected
	}
	if b.boundary == "" {
		b.boundary = p.getenv(EnvBoundary)
	}
	engine, err := p.lazily(b.boundary)
	if err != nil {
		return stop(err)
	}
	if b.digest != "" && b.digest != engine.digest {
		return stop(fmt.Errorf("refused: the boundary manifest %s has changed since this run began; begin again", engine.file))
	}
	if program == standin.SSHKeyscan {
		return stop(p.keyscan(ctx, engine, b))
	}
	s, err := p.standin(engine, b)
	if err != nil {
		return stop(err)
	}
	args, err := s.Prepare(ctx, program, b.args)
	if err != nil {
		return stop(err)
	}
	path, err := find(string(program), b.programs)
	if err != nil {
		return stop(err)
	}
	env := append(s.Env, EnvBoundary+"="+b.boundary, EnvPrograms+"="+b.programs, EnvAgent+"="+b.agent)
	// By the name that it is called by otherwise, since it begins its messages with it.
	err = syscall.Exec(path, append([]string{string(program)}, args...), env)
	return stop(fmt.Errorf("starting %s: %w", path, err))
}

// keyscan becomes the real ssh-keyscan, or says why not.
func (p Process) keyscan(ctx context.Context, decider standin.Decider, b become) error {
	args, input, err := standin.Keyscan(ctx, decider, b.args)
	if err != nil {
		return err
	}
	path, err := find(string(standin.SSHKeyscan), b.programs)
	if err != nil {
		return err
	}
	if input != "" {
		// A pipe holds 4 KiB at the least, on every system, without anybody at its other end.
		if len(input) > 4096 {
			return fmt.Errorf("giving ssh-keyscan its hosts: they are too many at once; ask for fewer")
		}
		out, in, err := os.Pipe()
		if err != nil {
			return fmt.Errorf("giving ssh-keyscan its hosts: %w", err)
		}
		if _, err := in.WriteString(input); err != nil {
			return fmt.Errorf("giving ssh-keyscan its hosts: %w", err)
		}
		in.Close()
		if err := unix.Dup2(int(out.Fd()), 0); err != nil {
			return fmt.Errorf("giving ssh-keyscan its hosts: %w", err)
		}
	}
	err = syscall.Exec(path, append([]string{string(standin.SSHKeyscan)}, args...), keep(p.Env))
	return fmt.Errorf("starting %s: %w", path, err)
}

// engine decides; its manifest is read when it is first asked, since a
// connection that is open already asks nothing.
type engine struct {
	file   string
	digest string
	ready  *boundary.Engine
}

func (p Process) lazily(file string) (*engine, error) {
	if file == "" {
		return nil, errors.New("no boundary manifest is named, so nothing is allowed; give --boundary, or the variable " + EnvBoundary)
	}
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, fmt.Errorf("finding the boundary manifest: %w", err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the boundary manifest: %w; name the one of your sandbox's inventory", err)
	}
	return &engine{file: file, digest: fmt.Sprintf("%x", sha256.Sum256(data))}, nil
}

func (e *engine) load() (*boundary.Engine, error) {
	if e.ready == nil {
		manifest, err := boundary.Load(e.file)
		if err != nil {
			return nil, err
		}
		e.ready = &boundary.Engine{Manifest: manifest}
	}
	return e.ready, nil
}

// revoked is a file with production's host keys, made by ssh-keygen from their
// fingerprints (a key revocation list) and kept by the manifest's content:
// behind a forwarded port or a translated address, the key is what tells.
func (e *engine) revoked(ctx context.Context, directory string) (string, error) {
	ready, err := e.load()
	if err != nil {
		return "", err
	}
	var spec strings.Builder
	for _, rule := range ready.Manifest.Production.HostKeys {
		fmt.Fprintf(&spec, "hash: %s\n", rule.Pattern)
	}
	if spec.Len() == 0 {
		return "", nil
	}
	file := filepath.Join(directory, "revoked-"+e.digest[:16])
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return "", fmt.Errorf("keeping production's host keys out: %w", err)
	}
	work, err := os.MkdirTemp(directory, ".revoked")
	if err != nil {
		return "", fmt.Errorf("keeping production's host keys out: %w", err)
	}
	defer os.RemoveAll(work)
	list, text := filepath.Join(work, "list"), filepath.Join(work, "spec")
	if err := os.WriteFile(text, []byte(spec.String()), 0o600); err != nil {
		return "", fmt.Errorf("keeping production's host keys out: %w", err)
	}
	if _, err := (run.Exec{}).Run(ctx, run.Cmd{Name: "ssh-keygen", Args: []string{"-q", "-k", "-f", list, text}}); err != nil {
		return "", fmt.Errorf("keeping production's host keys out: %w", err)
	}
	if err := os.Rename(list, file); err != nil {
		return "", fmt.Errorf("keeping production's host keys out: %w", err)
	}
	return file, nil
}

// Decide implements standin.Decider.
func (e *engine) Decide(ctx context.Context, host string, port int) standin.Verdict {
	ready, err := e.load()
	if err != nil {
		return standin.Verdict{Reason: err.Error()}
	}
	d := ready.Decide(ctx, boundary.Target{Kind: boundary.Host, Value: host, Port: uint16(port)})
	v := standin.Verdict{Allowed: d.Allowed, Reason: d.Reason}
	if d.Rule != nil {
		v.Reason += " by " + d.Rule.String()
	}
	for _, text := range append([]string{d.Pinned}, d.Addresses...) {
		if address, err := netip.ParseAddr(text); err == nil {
			v.Addresses = append(v.Addresses, address)
		}
	}
	return v
}

// standin is the stand-in for this process's user.
func (p Process) standin(decider standin.Decider, b become) (standin.Standin, error) {
	program, err := find("ssh", b.programs)
	if err != nil {
		return standin.Standin{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return standin.Standin{}, fmt.Errorf("finding this program itself: %w", err)
	}
	who, err := user.Current()
	if err != nil {
		return standin.Standin{}, fmt.Errorf("finding this user's home: %w", err)
	}
	// By its names, not by its file's: what the program is, is told by the name it is called by.
	here := filepath.Dir(self)
	s := standin.Standin{
		Decider: decider, Runner: run.Exec{}, Home: who.HomeDir, Env: keep(p.Env), Program: program,
		Sockets: sockets(p, who),
		Self:    []string{filepath.Join(here, "prod-ip-guard"), "ssh", "--boundary", b.boundary},
		SelfSSH: filepath.Join(here, "ssh"), Agent: b.agent,
	}
	s.Known = knownHosts(p, who)
	if b.programs != "" {
		s.Self = append(s.Self, "--programs", b.programs)
	}
	if b.agent != "" {
		s.Self = append(s.Self, "--agent", b.agent)
	}
	s.Self = append(s.Self, "--")
	if e, ok := decider.(*engine); ok {
		s.Scope = e.digest
		s.Revoked = func(ctx context.Context) (string, error) { return e.revoked(ctx, s.Sockets) }
	}
	return s, nil
}

// state is the directory of everything that sandboxes keep for this user.
func state(p Process, who *user.User) string {
	directory, err := place.State(p.getenv)
	if err != nil { // an environment without a home: the account has one
		directory, _ = place.State(func(name string) string { return map[string]string{"HOME": who.HomeDir}[name] })
	}
	return directory
}

// knownHosts is the files with the host keys of this user's sandboxes. They hold no other machine's.
func knownHosts(p Process, who *user.User) []string {
	files, _ := filepath.Glob(filepath.Join(state(p, who), "*", "ssh", "known_hosts")) // the pattern is well-formed
	return slices.DeleteFunc(files, func(file string) bool { return strings.ContainsAny(file, " \t\"\\%") })
}

// keep is the environment for ssh: without the agent, without programs and libraries that ssh would take from there for
// keys, and without what would be evaluated again by programs that ssh starts. SSH_ASKPASS stays: Ansible gives
// passwords by it.
func keep(env []string) []string {
	kept := make([]string, 0, len(env))
	for _, entry := range env {
		name, _, _ := strings.Cut(entry, "=")
		switch name {
		case "SSH_AUTH_SOCK", "SSH_AGENT_PID", "SSH_SK_PROVIDER", "SSH_SK_HELPER", "SSH_PKCS11_HELPER", EnvBoundary, EnvPrograms, EnvAgent:
		default:
			kept = append(kept, entry)
		}
	}
	return kept
}

// sockets is the directory of control sockets. A socket's path has to fit into 104 bytes on macOS (sun_path), ssh's
// own suffix included, so a long home is not used.
func sockets(p Process, who *user.User) string {
	directory := filepath.Join(state(p, who), ".cp")
	if len(directory)+len("/0123456789abcdef.0123456789abcdef") > 100 {
		directory = filepath.Join("/tmp", "arcodange-sandbox-"+who.Uid)
	}
	return directory
}

// find is the real program.
func find(name, directory string) (string, error) {
	directories := usual
	if directory != "" {
		directories = []string{directory}
	}
	self, _ := os.Executable()
	mine, _ := os.Stat(self)
	for _, dir := range directories {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 || mine != nil && os.SameFile(info, mine) {
			continue
		}
		return path, nil
	}
	return "", fmt.Errorf("there is no %s in %s; install OpenSSH's client", name, strings.Join(directories, ", "))
}
