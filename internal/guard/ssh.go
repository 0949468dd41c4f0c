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

	"golang.org/x/sys/unix"

	"github.com/arcodange-org/sandbox/internal/atomicfile"
	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/guard/sshexec"
	"github.com/arcodange-org/sandbox/internal/guard/sshguard"
	"github.com/arcodange-org/sandbox/internal/route"
	"github.com/arcodange-org/sandbox/internal/run"
)

func (p Process) sshFlags(ctx context.Context, program sshguard.Program, args []string) int {
	set := flags(string(program) + " [flags] -- ARGUMENTS OF " + strings.ToUpper(string(program)))
	call := sshexec.Call{Program: program, Env: p.Env}
	set.StringVar(&call.Boundary, "boundary", "", "the boundary manifest")
	set.StringVar(&call.Digest, "digest", "", "SHA-256 of the boundary manifest when the run began; a changed one is refused")
	set.StringVar(&call.Agent, "agent", "", "socket of an agent with the sandbox's key only; by default, no agent is used")
	set.StringVar(&call.Programs, "programs", "", "directory of the real programs, one of the usual ones")
	if status, done := p.parse(set, args); done {
		return status
	}
	call.Args = set.Args()
	return p.ssh(ctx, call)
}

// notConnected is ssh's exit status without a connection.
const notConnected = 255

// ssh checks where the command line leads, and execs the real program.
func (p Process) ssh(ctx context.Context, call sshexec.Call) int {
	stop := func(err error) int {
		// Always one line: Ansible shows the first or the last only.
		line := strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, err.Error())
		fmt.Fprintf(p.Stderr, "prod-ip-guard: %s: %s\n", call.Program, short(line))
		return notConnected
	}
	if call.Boundary == "" {
		call.Boundary = call.Getenv(sshexec.EnvBoundary)
	}
	manifest, err := call.Manifest()
	if err != nil {
		return stop(err)
	}
	d := &decider{Manifest: manifest}
	if call.Program == sshguard.SSHKeyscan {
		return stop(p.keyscan(ctx, d, call))
	}
	w, err := call.Wrapper(d.Digest)
	if err != nil {
		return stop(err)
	}
	w.Decider = d
	w.Revoked = func(ctx context.Context) (string, error) { return d.revokedKeys(ctx, w.Sockets) }
	w.Route = route.Check
	args, err := w.Prepare(ctx, call.Program, call.Args)
	if err != nil {
		return stop(err)
	}
	return stop(call.Exec(args))
}

// keyscan execs the real ssh-keyscan. It returns only an error.
func (p Process) keyscan(ctx context.Context, d sshguard.Decider, call sshexec.Call) error {
	args, input, err := sshguard.Keyscan(ctx, d, call.Args)
	if err != nil {
		return err
	}
	path, err := sshexec.Find(string(sshguard.SSHKeyscan), call.Programs)
	if err != nil {
		return err
	}
	if input != "" {
		// Every system buffers at least 4 KiB in a pipe without a reader.
		if len(input) > 4096 {
			return fmt.Errorf("ssh-keyscan: too many hosts at once; give fewer")
		}
		out, in, err := os.Pipe()
		if err != nil {
			return fmt.Errorf("ssh-keyscan: standard input: %w", err)
		}
		if _, err := in.WriteString(input); err != nil {
			return fmt.Errorf("ssh-keyscan: standard input: %w", err)
		}
		in.Close()
		if err := unix.Dup2(int(out.Fd()), 0); err != nil {
			return fmt.Errorf("ssh-keyscan: standard input: %w", err)
		}
	}
	err = syscall.Exec(path, append([]string{string(sshguard.SSHKeyscan)}, args...), sshexec.CleanEnv(p.Env))
	return fmt.Errorf("starting %s: %w", path, err)
}

// decider implements sshguard.Decider. It parses the manifest at its first
// decision, since a shared connection needs none.
type decider struct {
	sshexec.Manifest
	checker *boundary.Checker
}

func (d *decider) load() (*boundary.Checker, error) {
	if d.checker == nil {
		manifest, err := boundary.Parse(d.File, d.Data)
		if err != nil {
			return nil, err
		}
		d.checker = &boundary.Checker{Manifest: manifest}
	}
	return d.checker, nil
}

// revokedKeys returns a key revocation list of production's host keys, which
// ssh-keygen makes from their fingerprints once for each manifest. The key tells
// production even behind a forwarded port or a translated address.
func (d *decider) revokedKeys(ctx context.Context, directory string) (string, error) {
	checker, err := d.load()
	if err != nil {
		return "", err
	}
	var spec strings.Builder
	for _, rule := range checker.Manifest.Production.HostKeys {
		fmt.Fprintf(&spec, "hash: %s\n", rule.Pattern)
	}
	if spec.Len() == 0 {
		return "", nil
	}
	file := filepath.Join(directory, "revoked-"+d.Digest[:16])
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return "", fmt.Errorf("list of production's host keys: %w", err)
	}
	work, err := os.MkdirTemp(directory, ".revoked")
	if err != nil {
		return "", fmt.Errorf("list of production's host keys: %w", err)
	}
	defer os.RemoveAll(work)
	list, text := filepath.Join(work, "list"), filepath.Join(work, "spec")
	if err := os.WriteFile(text, []byte(spec.String()), 0o600); err != nil {
		return "", fmt.Errorf("list of production's host keys: %w", err)
	}
	if _, err := (run.Exec{}).Run(ctx, run.Cmd{Name: "ssh-keygen", Args: []string{"-q", "-k", "-f", list, text}}); err != nil {
		return "", fmt.Errorf("list of production's host keys: %w", err)
	}
	if err := atomicfile.Move(list, file); err != nil {
		return "", fmt.Errorf("list of production's host keys: %w", err)
	}
	return file, nil
}

// Decide implements sshguard.Decider.
func (d *decider) Decide(ctx context.Context, host string, port int) sshguard.Verdict {
	checker, err := d.load()
	if err != nil {
		return sshguard.Verdict{Reason: err.Error()}
	}
	decision := checker.Decide(ctx, boundary.Target{Kind: boundary.Host, Value: host, Port: uint16(port)})
	v := sshguard.Verdict{Allowed: decision.Allowed, Reason: decision.Reason}
	if decision.Rule != nil {
		v.Reason += " by " + decision.Rule.String()
	}
	for _, text := range append([]string{decision.Pinned}, decision.Addresses...) {
		if address, err := netip.ParseAddr(text); err == nil {
			v.Addresses = append(v.Addresses, address.String())
		}
	}
	return v
}
