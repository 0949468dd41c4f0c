// SPDX-License-Identifier: GPL-3.0-or-later

// Package sshexec knows what a stand-in of this process is: which program of
// OpenSSH it becomes, what it was told besides that program's arguments, and
// where the user's files are that both need. It decides nothing.
//
// It imports little, and has to: see early.go.
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

// Variables that hand the guard's own settings to a stand-in that is started
// by another program, which has no place for flags.
const (
	EnvBoundary = "SANDBOX_BOUNDARY" // path of the boundary manifest
	EnvDigest   = "SANDBOX_DIGEST"   // its SHA-256 when the run began; empty if nobody says
	EnvAgent    = "SANDBOX_AGENT"    // socket of an agent that may be used, for the ssh that scp and sftp start
	EnvPrograms = "SANDBOX_PROGRAMS" // directory of the real ssh, scp and sftp; empty means where they usually are
)

// Call is what a stand-in is told, and the process that it is told in.
type Call struct {
	Program  sshguard.Program
	Boundary string   // path of the boundary manifest
	Digest   string   // SHA-256 of the manifest as it was when the run began, in hexadecimal; empty if nobody says
	Programs string   // which of the usual directories has the real programs; empty means any
	Agent    string   // socket of an agent that may be used; empty for none
	Args     []string // the command line that is stood in for, without its first word
	Env      []string // the environment of the process
}

// Manifest is the boundary manifest of a call, not yet parsed. Whoever decides parses these bytes: the file may be another
// by then, and what is decided would be kept under the digest of this one.
type Manifest struct {
	File   string // absolute
	Data   []byte // its bytes
	Digest string // SHA-256 of those, in hexadecimal
}

// Manifest is the manifest that the call, or else its environment, names. It is
// refused if the run began with another one.
func (c Call) Manifest() (Manifest, error) {
	if c.Boundary == "" {
		return Manifest{}, errors.New("no boundary manifest is named, so nothing is allowed; give --boundary, or the variable " + EnvBoundary)
	}
	file, err := filepath.Abs(c.Boundary)
	if err != nil {
		return Manifest{}, fmt.Errorf("finding the boundary manifest: %w", err)
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

// Standin is the stand-in for this process's user, without anybody who decides;
// scope is the digest of what decisions rest on.
func (c Call) Standin(scope string) (sshguard.Standin, error) {
	program, err := Find(string(sshguard.SSH), c.Programs)
	if err != nil {
		return sshguard.Standin{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return sshguard.Standin{}, fmt.Errorf("finding this program itself: %w", err)
	}
	who, err := c.account(context.Background(), run.Exec{}, "/etc/passwd")
	if err != nil {
		return sshguard.Standin{}, fmt.Errorf("finding this user's home: %w", err)
	}
	// By its names, not by its file's: what the program is, is told by the name it is called by.
	here := filepath.Dir(self)
	state := c.state(who)
	s := sshguard.Standin{
		Runner: run.Exec{}, Home: who.HomeDir, Env: Keep(c.Env), Program: program, Scope: scope,
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

// Exec puts the real program with args in this process's place. It returns only
// if that cannot be done.
func (c Call) Exec(args []string) error {
	path, err := Find(string(c.Program), c.Programs)
	if err != nil {
		return err
	}
	env := append(Keep(c.Env), EnvBoundary+"="+c.Boundary, EnvDigest+"="+c.Digest, EnvPrograms+"="+c.Programs, EnvAgent+"="+c.Agent)
	// By the name that it is called by otherwise, since it begins its messages with it.
	err = syscall.Exec(path, append([]string{string(c.Program)}, args...), env)
	return fmt.Errorf("starting %s: %w", path, err)
}

// state is the directory of everything that sandboxes keep for this user.
func (c Call) state(who *user.User) string {
	directory, err := xdg.State(c.Getenv)
	if err != nil { // an environment without a home: the account has one
		directory, _ = xdg.State(func(name string) string { return map[string]string{"HOME": who.HomeDir}[name] })
	}
	return directory
}

// Getenv is a variable of the call's environment, empty if there is none.
func (c Call) Getenv(name string) string {
	for _, entry := range c.Env {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// knownHosts is the files with the host keys of this user's sandboxes. They hold no other machine's.
func knownHosts(state string) []string {
	files, _ := filepath.Glob(filepath.Join(state, "*", "ssh", "known_hosts")) // the pattern is well-formed
	return slices.DeleteFunc(files, func(file string) bool { return strings.ContainsAny(file, " \t\"\\%") })
}

// sockets is the directory of control sockets. A socket's path has to fit into 104 bytes on macOS (sun_path), ssh's
// own suffix included, so a long home is not used.
func sockets(state string, who *user.User) string {
	directory := filepath.Join(state, ".cp")
	if len(directory)+len("/0123456789abcdef.0123456789abcdef") > 100 {
		directory = filepath.Join("/tmp", "arcodange-sandbox-"+who.Uid)
	}
	return directory
}

// Keep is the environment for ssh: without the agent, without programs and libraries that ssh would take from there for
// keys, and without what would be evaluated again by programs that ssh starts. SSH_ASKPASS stays: Ansible gives
// passwords by it.
func Keep(env []string) []string {
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

// Where the real programs are looked for. PATH is no guide: the stand-in itself may be on it, and so may anything else.
var usual = []string{"/usr/bin", "/bin", "/usr/local/bin", "/opt/homebrew/bin", "/run/current-system/sw/bin"}

// Find is the real program of that name, in one of the usual directories or, if directory is empty, in the first that
// has it. No other directory is taken: a program there could be anything.
func Find(name, directory string) (string, error) {
	directories := usual
	if directory != "" {
		if directories = []string{filepath.Clean(directory)}; !slices.Contains(usual, directories[0]) {
			return "", fmt.Errorf("refused: %s of %s may connect to anywhere; only OpenSSH's own in %s is stood in for", name, directory, strings.Join(usual, ", "))
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
	return "", fmt.Errorf("there is no %s in %s; install OpenSSH's client", name, strings.Join(directories, ", "))
}
