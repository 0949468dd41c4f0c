// SPDX-License-Identifier: GPL-3.0-or-later

package guard

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/guard/sshexec"
	"github.com/arcodange-org/sandbox/internal/guard/sshguard"
	"github.com/arcodange-org/sandbox/internal/run"
	"golang.org/x/sys/unix"
)

func (p Process) becomeFlags(ctx context.Context, program sshguard.Program, args []string) int {
	set := flags(string(program) + " [flags] -- ARGUMENTS OF " + strings.ToUpper(string(program)))
	b := sshexec.Call{Program: program, Env: p.Env}
	set.StringVar(&b.Boundary, "boundary", "", "the boundary manifest")
	set.StringVar(&b.Digest, "digest", "", "SHA-256 of the boundary manifest when the run began; another one is refused")
	set.StringVar(&b.Agent, "agent", "", "socket of an agent that holds the sandbox's key only; without it no agent is used")
	set.StringVar(&b.Programs, "programs", "", "which of the usual directories has the real programs")
	if status, done := p.parse(set, args); done {
		return status
	}
	b.Args = set.Args()
	return p.become(ctx, b)
}

// notConnected is what ssh itself ends with when there is no connection.
const notConnected = 255

// become checks where the command line leads and replaces this process by the real program.
func (p Process) become(ctx context.Context, b sshexec.Call) int {
	stop := func(err error) int {
		// One line, whatever a command line holds: Ansible shows the first or the last only.
		line := strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, err.Error())
		fmt.Fprintf(p.Stderr, "prod-ip-guard: %s: %s\n", b.Program, short(line))
		return notConnected
	}
	if b.Boundary == "" {
		b.Boundary = b.Getenv(sshexec.EnvBoundary)
	}
	manifest, err := b.Manifest()
	if err != nil {
		return stop(err)
	}
	e := &engine{Manifest: manifest}
	if b.Program == sshguard.SSHKeyscan {
		return stop(p.keyscan(ctx, e, b))
	}
	s, err := b.Standin(e.Digest)
	if err != nil {
		return stop(err)
	}
	s.Decider = e
	s.Revoked = func(ctx context.Context) (string, error) { return e.revoked(ctx, s.Sockets) }
	args, err := s.Prepare(ctx, b.Program, b.Args)
	if err != nil {
		return stop(err)
	}
	return stop(b.Exec(args))
}

// keyscan becomes the real ssh-keyscan, or says why not.
func (p Process) keyscan(ctx context.Context, decider sshguard.Decider, b sshexec.Call) error {
	args, input, err := sshguard.Keyscan(ctx, decider, b.Args)
	if err != nil {
		return err
	}
	path, err := sshexec.Find(string(sshguard.SSHKeyscan), b.Programs)
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
	err = syscall.Exec(path, append([]string{string(sshguard.SSHKeyscan)}, args...), sshexec.Keep(p.Env))
	return fmt.Errorf("starting %s: %w", path, err)
}

// engine decides; its manifest is read when it is first asked, since a
// connection that is open already asks nothing.
type engine struct {
	sshexec.Manifest
	ready *boundary.Engine
}

func (e *engine) load() (*boundary.Engine, error) {
	if e.ready == nil {
		manifest, err := boundary.Parse(e.File, e.Data)
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
	file := filepath.Join(directory, "revoked-"+e.Digest[:16])
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

// Decide implements sshguard.Decider.
func (e *engine) Decide(ctx context.Context, host string, port int) sshguard.Verdict {
	ready, err := e.load()
	if err != nil {
		return sshguard.Verdict{Reason: err.Error()}
	}
	d := ready.Decide(ctx, boundary.Target{Kind: boundary.Host, Value: host, Port: uint16(port)})
	v := sshguard.Verdict{Allowed: d.Allowed, Reason: d.Reason}
	if d.Rule != nil {
		v.Reason += " by " + d.Rule.String()
	}
	for _, text := range append([]string{d.Pinned}, d.Addresses...) {
		if address, err := netip.ParseAddr(text); err == nil {
			v.Addresses = append(v.Addresses, address.String())
		}
	}
	return v
}
