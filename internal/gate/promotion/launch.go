// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/lock"
	"github.com/arcodange-org/sandbox/internal/run"
)

// tailLines is the number of lines of the run's output in the result.
const tailLines = 40

// launch is a run of production's playbook. Playbook and Inventory are paths
// within the tree, so that they are part of what was checked.
type Launch struct {
	Playbook  string
	Inventory []string
	Limit     string
	Vars      map[string]any
	Arguments []string // more of ansible-playbook's, see launchable
	Program   string   // ansible-playbook
	Env       []string // the whole environment; variables that set paths outside the tree are removed
	Extra     []string // added to Env unchanged
	Work      string   // folder for the exported tree
	Log       string   // file for the run's output
}

// Launched is the result of a run.
type Launched struct {
	Command string
	Code    int
	Tail    []string // the last lines of its output
}

// launchable are the arguments that change neither what runs nor where; the value is true if they take one.
var launchable = map[string]bool{
	"--become-password-file": true, "--vault-password-file": true, "--vault-id": true, "--private-key": true, "--user": true,
	"--forks": true, "--timeout": true, "--diff": false, "--check": false, "-v": false, "-vv": false, "-vvv": false, "--force-handlers": false, "--flush-cache": false,
}

// Valid returns an error for an invalid launch. It changes nothing.
func (l Launch) Valid() error {
	if len(l.Inventory) == 0 {
		return errors.New("production_inventory is empty; set it")
	}
	for _, name := range append([]string{l.Playbook}, l.Inventory...) {
		if name == "" || !filepath.IsLocal(name) || strings.HasPrefix(name, "-") {
			return fmt.Errorf("%q: not in the tree; use paths of playbook and inventory within the repository", name)
		}
	}
	if strings.HasPrefix(l.Limit, "-") || strings.HasPrefix(l.Limit, "@") {
		return fmt.Errorf("limit %q: not a pattern of hosts", l.Limit)
	}
	for n := 0; n < len(l.Arguments); n++ {
		name, _, joined := strings.Cut(l.Arguments[n], "=")
		value, ok := launchable[name]
		switch {
		case !ok:
			return fmt.Errorf("argument %q: it may change what is run, or where; remove it", l.Arguments[n])
		case value && !joined:
			if n++; n == len(l.Arguments) {
				return fmt.Errorf("argument %q: it needs a value", name)
			}
		case joined && !value:
			return fmt.Errorf("argument %q: it takes no value", name)
		}
	}
	for _, entry := range l.Extra {
		if name, _, _ := strings.Cut(entry, "="); name == "ANSIBLE_CONFIG" {
			return errors.New("ANSIBLE_CONFIG: it would replace ansible.cfg of the tree; remove it")
		}
	}
	return nil
}

// launch exports the tree to a private folder, calls again right before the run,
// and runs the playbook there, since the working tree may change at any time.
// If again returns an error, nothing is run. A failed run is not an error.
func (g Gate) launch(ctx context.Context, repository, tree string, l Launch, again func(context.Context) error) (Launched, error) {
	if err := l.Valid(); err != nil {
		return Launched{}, err
	}
	work, done, err := l.folder(ctx)
	if err != nil {
		return Launched{}, err
	}
	defer done()
	at := filepath.Join(work, "tree")
	if err := g.export(ctx, repository, tree, at); err != nil {
		return Launched{}, fmt.Errorf("tree %s: %w", short(tree), err)
	}
	for _, name := range append([]string{l.Playbook}, l.Inventory...) {
		info, err := os.Stat(filepath.Join(at, name))
		if errors.Is(err, fs.ErrNotExist) {
			return Launched{}, fmt.Errorf("%s is not in the tree %s", name, short(tree))
		}
		if err != nil {
			return Launched{}, err
		}
		if name == l.Playbook && !info.Mode().IsRegular() {
			return Launched{}, fmt.Errorf("%s in the tree %s: not a regular file", name, short(tree))
		}
	}
	args, err := l.arguments(work)
	if err != nil {
		return Launched{}, err
	}
	config := filepath.Join(at, "ansible.cfg")
	if _, err := os.Stat(config); errors.Is(err, fs.ErrNotExist) {
		// Otherwise Ansible would use the user's.
		config = filepath.Join(work, "ansible.cfg")
		if err := os.WriteFile(config, []byte("[defaults]\n"), 0o600); err != nil {
			return Launched{}, err
		}
	}
	if err := os.MkdirAll(filepath.Dir(l.Log), 0o700); err != nil {
		return Launched{}, fmt.Errorf("making the log's folder: %w", err)
	}
	log, err := os.OpenFile(l.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return Launched{}, fmt.Errorf("opening the log: %w", err)
	}
	defer log.Close()
	if err := again(ctx); err != nil {
		return Launched{}, err
	}
	cmd := run.Cmd{Name: l.Program, Args: args, Dir: at, Env: append(clean(l.Env), append(slices.Clone(l.Extra), "ANSIBLE_CONFIG="+config)...), Live: log}
	res, err := g.Runner.Run(ctx, cmd)
	out := Launched{Command: cmd.String(), Code: res.Code, Tail: tail(res)}
	var failed *run.Error
	if errors.As(err, &failed) && ctx.Err() == nil && res.Code > 0 {
		err = nil // it ran and failed; the result has its exit status
	}
	return out, errors.Join(err, log.Sync())
}

func (l Launch) arguments(work string) ([]string, error) {
	var args []string
	for _, source := range l.Inventory {
		args = append(args, "-i", source)
	}
	if l.Limit != "" {
		args = append(args, "--limit", l.Limit)
	}
	if len(l.Vars) > 0 {
		data, err := json.Marshal(l.Vars)
		if err != nil {
			return nil, fmt.Errorf("writing the variables: %w", err)
		}
		path := filepath.Join(work, "vars.json") // not on the command line, which every user can read
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return nil, fmt.Errorf("writing the variables: %w", err)
		}
		args = append(args, "-e", "@"+path)
	}
	args = append(args, "-e", "i_mean_prod=true")
	return append(append(args, l.Arguments...), l.Playbook), nil
}

// abandoned is the age at which an unlocked folder is removed. Child processes of
// a killed run may use its files for a while.
const abandoned = 24 * time.Hour

// folder makes a private folder for one run, and removes those of killed runs,
// which are not locked.
func (l Launch) folder(ctx context.Context) (string, func(), error) {
	failed := func(err error) (string, func(), error) {
		return "", nil, fmt.Errorf("making a folder for the tree: %w", err)
	}
	if err := os.MkdirAll(l.Work, 0o700); err != nil {
		return failed(err)
	}
	left, err := filepath.Glob(filepath.Join(l.Work, "run-*.lock"))
	if err != nil {
		return failed(err)
	}
	for _, path := range left {
		if info, err := os.Stat(path); err != nil || time.Since(info.ModTime()) < abandoned {
			continue
		}
		held, err := lock.Acquire(ctx, path, "removing what a killed run left", 0)
		if err != nil {
			continue // it runs
		}
		if err := os.RemoveAll(strings.TrimSuffix(path, ".lock")); err != nil {
			held.Release()
			return failed(err)
		}
		held.Remove()
	}
	dir := filepath.Join(l.Work, fmt.Sprintf("run-%d-%d", os.Getpid(), time.Now().UnixNano()))
	held, err := lock.Acquire(ctx, dir+".lock", "running a promotion", 0)
	if err != nil {
		return failed(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		held.Remove()
		return failed(err)
	}
	return dir, func() {
		_ = os.RemoveAll(dir) // after a failure the next run tries again
		held.Remove()
	}, nil
}

// clean removes the variables that set Ansible paths outside the tree, or that
// restrict the run to the sandbox.
func clean(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		return strings.HasPrefix(entry, "ANSIBLE_") || strings.HasPrefix(entry, "SANDBOX_") || strings.HasPrefix(entry, "GIT_")
	})
}

func tail(res run.Result) []string {
	text := strings.TrimRight(string(res.Stdout)+string(res.Stderr), "\n")
	if text == "" {
		return []string{}
	}
	lines := strings.Split(text, "\n")
	return lines[max(0, len(lines)-tailLines):]
}
