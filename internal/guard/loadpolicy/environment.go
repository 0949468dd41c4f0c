// SPDX-License-Identifier: GPL-3.0-or-later

package loadpolicy

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/arcodange-org/sandbox/internal/atomicfile"
	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/references"
	"github.com/arcodange-org/sandbox/internal/run"
)

// environment is what changes in the environment of the process.
type environment struct {
	Unset map[string]string `json:"unset"` // the reason for each variable
	Set   map[string]string `json:"set"`
	Path  string            `json:"path"` // directory to put first in PATH: its ssh, scp and sftp are the guard
}

// environment removes credentials and endpoints of production's tools from the
// environment, and replaces ssh by the guard.
func (l Loader) environment(ctx context.Context) (*environment, []string, error) {
	programs, err := l.programs()
	if err != nil {
		return nil, nil, err
	}
	e := &environment{Unset: map[string]string{}, Path: programs}
	var mentions, kept []string
	for _, variable := range l.Targets.Env {
		name, value, ok := strings.Cut(variable, "=")
		if !ok {
			continue
		}
		class := references.Classify(name)
		drop := l.drops(ctx, class, name, value)
		// A run started by a guarded run does not report the values that the guard set.
		own := class == references.Process || drop != "" && strings.Contains(value, programs)
		if !own && len(l.Targets.Mentions(ctx, value, name)) > 0 {
			mentions = append(mentions, name)
			drop = "it mentions production"
		}
		if drop == "" {
			kept = append(kept, variable)
			continue
		}
		if !utf8.ValidString(name) {
			return nil, nil, fmt.Errorf("environment variable %q: %s, and its name is not UTF-8; unset it", name, drop)
		}
		e.Unset[name] = drop
	}
	ssh := run.Quote(filepath.Join(programs, "ssh"))
	e.Set = map[string]string{
		"SANDBOX_BOUNDARY": l.Boundary, "GIT_SSH_COMMAND": ssh, "RSYNC_RSH": ssh,
		// Without the variable, kubectl reads the user's own kubeconfig.
		"KUBECONFIG": filepath.Join(programs, emptyKubeconfig),
	}
	home := references.Reader{Environ: append(slices.Clip(kept), "DOCKER_HOST="), Home: l.getenv("HOME")}
	if len(home.DockerContext()) > 0 {
		e.Set["DOCKER_CONTEXT"] = "default"
	}
	var warnings []string
	if slices.Sort(mentions); len(mentions) > 0 {
		warnings = []string{"prod-ip-guard: left out of this run's environment, since they mention production: " + strings.Join(mentions, ", ")}
	}
	for name, value := range e.Set {
		if !utf8.ValidString(value) {
			return nil, nil, fmt.Errorf("environment variable %s: %q is not UTF-8; set XDG_STATE_HOME to a directory whose path is", name, value)
		}
	}
	return e, warnings, nil
}

// drops returns why a variable is removed from the environment regardless of its value; empty if it is not.
func (l Loader) drops(ctx context.Context, class references.Class, name, value string) string {
	switch class {
	case references.Endpoint:
		if name == "DOCKER_HOST" && strings.HasPrefix(value, "unix://") {
			return "" // an engine of this machine, or of a virtual machine on it
		}
		return "a client connects to it"
	case references.Detail:
		return "it belongs to a client's endpoint"
	case references.Credential:
		if l.Targets.Decide(ctx, boundary.Target{Kind: boundary.Environment, Value: name}).Allowed {
			return "" // the manifest lists it under sandbox
		}
		return "it may hold a credential, or lead a client elsewhere"
	}
	return ""
}

func (l Loader) getenv(name string) string {
	for _, variable := range l.Targets.Env {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return value
		}
	}
	return ""
}

// emptyKubeconfig has a current context that does not exist, which is an error to every client.
const emptyKubeconfig = "kubeconfig-that-leads-nowhere"

// programs returns the directory of the guard's ssh, scp and sftp, which check
// against this manifest, with this content, whatever a task's environment names.
func (l Loader) programs() (string, error) {
	sum := sha256.Sum256([]byte(l.Digest + " " + l.Boundary))
	directory := filepath.Join(l.State, "programs", fmt.Sprintf("%x", sum[:8]))
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return "", err
	}
	for name, program := range map[string]string{"ssh": "ssh", "slogin": "ssh", "scp": "scp", "sftp": "sftp", "ssh-keyscan": "ssh-keyscan"} {
		command := run.Cmd{Name: l.Guard, Args: []string{program, "--boundary", l.Boundary, "--digest", l.Digest, "--"}}
		if err := writeFile(filepath.Join(directory, name), "#!/bin/sh\nexec "+command.String()+" \"$@\"\n", 0o700); err != nil {
			return "", err
		}
	}
	return directory, writeFile(filepath.Join(directory, emptyKubeconfig),
		"apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\nusers: []\ncurrent-context: nowhere\n", 0o600)
}

// writeFile makes a file with this text, unless it exists. Other processes may read or write it meanwhile.
func writeFile(path, text string, mode fs.FileMode) error {
	if old, err := os.ReadFile(path); err == nil && string(old) == text {
		if info, err := os.Stat(path); err == nil && info.Mode().Perm() == mode {
			return nil
		}
	}
	return atomicfile.Write(path, []byte(text), mode)
}
