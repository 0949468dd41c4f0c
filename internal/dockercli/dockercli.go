// SPDX-License-Identifier: GPL-3.0-or-later

// Package dockercli runs the docker command and adds a remedy to its errors. It
// does not know what containers, networks or images are used for.
//
// Why the command and not the engine's API client: the command resolves
// contexts, DOCKER_HOST, engines behind ssh and Docker Desktop's socket as in the
// user's shell; errors have a command that can be pasted there; tests replace it
// like every other program. The API client would add some forty modules, while a
// call of the command costs 15 ms (checking three unchanged machines takes about 0.2 s).
package dockercli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/arcodange-org/sandbox/internal/run"
)

var (
	// ErrNoEngine is an engine that is not installed or does not answer.
	ErrNoEngine = errors.New("no Docker engine answers")
	// ErrNoPermission is an engine whose socket this user may not open.
	ErrNoPermission = errors.New("no permission to the Docker engine")
	// ErrNoSpace is an engine whose disk is full.
	ErrNoSpace = errors.New("no disk space left for the Docker engine")
	// ErrNotFound is a container, image, network or volume that does not exist.
	ErrNotFound = errors.New("not found")
)

// advice is what the command prints below an error.
var advice = regexp.MustCompile(`(?m)^(Run|See) 'docker.* --help'.*$`)

// Engine runs docker commands.
type Engine struct{ Runner run.Runner }

// Do runs one docker command and returns its output.
func (e Engine) Do(ctx context.Context, args ...string) ([]byte, error) {
	return e.Feed(ctx, nil, args...)
}

// Feed is Do with an input.
func (e Engine) Feed(ctx context.Context, stdin io.Reader, args ...string) ([]byte, error) {
	res, err := e.Runner.Run(ctx, run.Cmd{Name: "docker", Args: args, Stdin: stdin})
	return res.Stdout, explain(res, err)
}

func explain(res run.Result, err error) error {
	if err == nil {
		return nil
	}
	var failed *run.Error
	if errors.As(err, &failed) {
		failed.Result.Stderr = advice.ReplaceAll(failed.Result.Stderr, nil) // the last line is what an error shows
	}
	said := strings.ToLower(string(res.Stderr))
	has := func(parts ...string) bool {
		for _, part := range parts {
			if strings.Contains(said, part) {
				return true
			}
		}
		return false
	}
	switch {
	case run.NotFound(err):
		return fmt.Errorf("%w: the docker command is not installed; `make engine` installs both: %w", ErrNoEngine, err)
	case has("permission denied") && has("docker daemon socket", "docker api", ".sock"):
		return fmt.Errorf("%w: run as root, or join group docker and log in again: %w", ErrNoPermission, err)
	case has("cannot connect to the docker daemon", "error during connect", "failed to connect to the docker api", "is the docker daemon running"):
		return fmt.Errorf("%w: start it, or install one with `make engine`: %w", ErrNoEngine, err)
	case has("no space left on device"):
		return fmt.Errorf("%w: free some, then run again; what was begun is completed: %w", ErrNoSpace, err)
	case has("no such container", "no such image", "no such network", "no such volume", "no such object", "could not find the file") ||
		has("network ") && has(" not found"):
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return err
}

// Inspect decodes the output of `docker <kind> inspect` for the names into a slice
// of T. Missing names are left out without an error.
func Inspect[T any](ctx context.Context, e Engine, kind string, names ...string) ([]T, error) {
	if len(names) == 0 {
		return nil, nil
	}
	out, err := e.Do(ctx, append([]string{kind, "inspect"}, names...)...)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("look for %s %s: %w", kind, strings.Join(names, ", "), err)
	}
	var found []T
	if len(out) == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(out, &found); err != nil {
		return nil, fmt.Errorf("look for %s %s: understand the engine's answer: %w", kind, strings.Join(names, ", "), err)
	}
	return found, nil
}
