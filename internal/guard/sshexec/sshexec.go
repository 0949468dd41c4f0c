// SPDX-License-Identifier: GPL-3.0-or-later

// Package sshexec replaces this process by a program of OpenSSH (execve), and
// finds the user's files that the wrapper needs. It does not decide which
// connections are allowed.
//
// It must import little: see early.go.
package sshexec

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/arcodange-org/sandbox/internal/guard/sshguard"
	"github.com/arcodange-org/sandbox/internal/limitedread"
	"github.com/arcodange-org/sandbox/internal/run"
	"github.com/arcodange-org/sandbox/internal/xdg"
)

// Variables that pass the guard's settings to a wrapper that scp, sftp or git
// starts, which pass no flags.
const (
	EnvBoundary = "SANDBOX_BOUNDARY" // path of the boundary manifest
	EnvDigest   = "SANDBOX_DIGEST"   // its SHA-256 when the run began; empty if unknown
	EnvAgent    = "SANDBOX_AGENT"    // socket of an agent that may be used, for the ssh that scp and sftp start
	EnvPrograms = "SANDBOX_PROGRAMS" // directory of the real ssh, scp and sftp; empty means where they usually are
)

// Call is one call of a wrapper.
type Call struct {
	Program  sshguard.Program
	Boundary string   // path of the boundary manifest
	Digest   string   // SHA-256 of the manifest when the run began, in hexadecimal; empty if unknown
	Programs string   // which of the usual directories has the real programs; empty means any
	Agent    string   // socket of an agent that may be used; empty for none
	Args     []string // arguments for the program
	Env      []string // the environment of the process
}

// Manifest is the boundary manifest of a call, not yet parsed. Decisions must use these bytes, not the file, which may
// have changed: they are recorded under this digest.
type Manifest struct {
	File   string // absolute
	Data   []byte // its bytes
	Digest string // SHA-256 of those, in hexadecimal
}

// Manifest reads the manifest that the call names. One that has changed since
// the run began is refused.
func (c Call) Manifest() (Manifest, error) {
	if c.Boundary == "" {
		return Manifest{}, errors.New("no boundary manifest given, so nothing is allowed; give --boundary, or the variable " + EnvBoundary)
	}
	file, err := filepath.Abs(c.Boundary)
	if err != nil {
		return Manifest{}, fmt.Errorf("boundary manifest: %w", err)
	}
	data, err := limitedread.File(file, limitedread.MaxManifest)
	if err != nil {
		return Manifest{}, fmt.Errorf("reading the boundary manifest: %w; name the one of your sandbox's inventory", err)
	}
	m := Manifest{File: file, Data: data, Digest: fmt.Sprintf("%x", sha256.Sum256(data))}
	if c.Digest != "" && c.Digest != m.Digest {
		return Manifest{}, fmt.Errorf("refused: the boundary manifest %s has changed since this run began; begin again", file)
	}
	return m, nil
}

// Wrapper returns the wrapper for the user of this process, without a Decider.
// scope is the digest of the manifest.
func (c Call) Wrapper(scope string) (sshguard.Wrapper, error) {
	program, err := Find(string(sshguard.SSH), c.Programs)
	if err != nil {
		return sshguard.Wrapper{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return sshguard.Wrapper{}, fmt.Errorf("finding the guard's executable: %w", err)
	}
	who, err := c.account(context.Background(), run.Exec{}, "/etc/passwd")
	if err != nil {
		return sshguard.Wrapper{}, fmt.Errorf("finding this user's home: %w", err)
	}
	// The file has another name; the program acts by the name that it is called by.
	here := filepath.Dir(self)
	state := c.state(who)
	s := sshguard.Wrapper{
		Runner: run.Exec{}, Home: who.HomeDir, Env: CleanEnv(c.Env), Program: program, Scope: scope,
		Sockets: sockets(state, who),
		Self:    []string{filepath.Join(here, "prod-ip-guard"), "ssh", "--boundary", c.Boundary},
		SelfSSH: filepath.Join(here, "ssh"), Agent: c.Agent,
		Known: func() []string { return knownHosts(state) },
	}
	if c.Programs != "" {
		s.Self = append(s.Self, "--programs", c.Programs)
	}
	if c.Agent != "" {
		s.Self = append(s.Self, "--agent", c.Agent)
	}
	if c.Digest != "" {
		s.Self = append(s.Self, "--digest", c.Digest)
	}
	s.Self = append(s.Self, "--")
	return s, nil
}

// Exec execs the real program with args. It returns only if that fails.
func (c Call) Exec(args []string) error {
	path, err := Find(string(c.Program), c.Programs)
	if err != nil {
		return err
	}
	env := append(CleanEnv(c.Env), EnvBoundary+"="+c.Boundary, EnvDigest+"="+c.Digest, EnvPrograms+"="+c.Programs, EnvAgent+"="+c.Agent)
	// Its messages begin with its name.
	err = syscall.Exec(path, append([]string{string(c.Program)}, args...), env)
	return fmt.Errorf("starting %s: %w", path, err)
}

// state returns the state folder of this user.
func (c Call) state(who *user.User) string {
	directory, err := xdg.State(c.Getenv)
	if err != nil { // HOME is not set
		directory, _ = xdg.State(func(name string) string { return map[string]string{"HOME": who.HomeDir}[name] })
	}
	return directory
}

// Getenv returns a variable of the call's environment; empty if it is not set.
func (c Call) Getenv(name string) string {
	for _, entry := range c.Env {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// knownHosts returns the files with the host keys of this user's sandboxes.
func knownHosts(state string) []string {
	files, _ := filepath.Glob(filepath.Join(state, "*", "ssh", "known_hosts")) // the pattern is well-formed
	return slices.DeleteFunc(files, func(file string) bool { return strings.ContainsAny(file, " \t\"\\%") })
}

// sockets returns the directory of control sockets. With ssh's suffix, a path must fit into 104 bytes on macOS
// (sun_path), so a long home is not used.
func sockets(state string, who *user.User) string {
	directory := filepath.Join(state, ".cp")
	if len(directory)+len("/0123456789abcdef.0123456789abcdef") > 100 {
		directory = filepath.Join("/tmp", "arcodange-sandbox-"+who.Uid)
	}
	return directory
}

// CleanEnv returns the environment for ssh: without the agent, without programs and libraries for keys, and without the
// guard's own settings. SSH_ASKPASS stays, since Ansible passes passwords by it.
func CleanEnv(env []string) []string {
	kept := make([]string, 0, len(env))
	for _, entry := range env {
		name, _, _ := strings.Cut(entry, "=")
		switch name {
		case "SSH_AUTH_SOCK", "SSH_AGENT_PID", "SSH_SK_PROVIDER", "SSH_SK_HELPER", "SSH_PKCS11_HELPER", EnvBoundary, EnvDigest, EnvPrograms, EnvAgent:
		default:
			kept = append(kept, entry)
		}
	}
	return kept
}

// usual is where the real programs are searched. PATH may contain the wrapper itself, or any other program.
var usual = []string{"/usr/bin", "/bin", "/usr/local/bin", "/opt/homebrew/bin", "/run/current-system/sw/bin"}

// Find returns the path of the real program: in directory, which must be a usual one, or in the first usual one that
// has it if directory is empty.
func Find(name, directory string) (string, error) {
	directories := usual
	if directory != "" {
		if directories = []string{filepath.Clean(directory)}; !slices.Contains(usual, directories[0]) {
			return "", fmt.Errorf("refused: %s of %s may connect to anywhere; only OpenSSH's own in %s is supported", name, directory, strings.Join(usual, ", "))
		}
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
	return "", fmt.Errorf("%s: not found in %s; install OpenSSH's client", name, strings.Join(directories, ", "))
}
