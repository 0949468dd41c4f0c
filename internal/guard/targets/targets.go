// SPDX-License-Identifier: GPL-3.0-or-later

// Package targets decides about what a command line, a file or a directory
// refers to: it finds the targets in it, and has each decided by the boundary.
package targets

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/guard/sshexec"
	"github.com/arcodange-org/sandbox/internal/inventory"
	"github.com/arcodange-org/sandbox/internal/references"
	"github.com/arcodange-org/sandbox/internal/run"
)

// Kinds of targets beside the boundary's own.
const (
	Text        boundary.Kind = "text"        // any text; only a mention of production is refused
	File        boundary.Kind = "file"        // the path of a file or directory with text; only a mention of production is refused
	Destination boundary.Kind = "destination" // what ssh is to connect to; its configuration may rename it
	Inventory   boundary.Kind = "inventory"   // the path of an inventory; only addresses that can be read without Ansible are decided about
)

// readers are the kinds whose targets are external references.
var readers = map[boundary.Kind]func(value string) references.Sources{
	"kubeconfig": func(path string) references.Sources { return references.Sources{Kubeconfigs: []string{path}} },
	"tofu": func(dir string) references.Sources {
		return references.Sources{Tofu: []references.Root{{Directory: dir}}}
	},
	"argocd":     func(path string) references.Sources { return references.Sources{ArgoCD: []string{path}} },
	"repository": func(dir string) references.Sources { return references.Sources{Git: []string{dir}} },
	"key":        func(path string) references.Sources { return references.Sources{Keys: []string{path}} },
}

// maxLinks is how many links to directories are followed within each other.
const maxLinks = 8

// Checker decides about targets of all kinds.
type Checker struct {
	boundary.Checker
	Env []string // the environment for ssh, git and external references
}

// Check returns the decisions about a target. An error means that it cannot be read.
func (c Checker) Check(ctx context.Context, target boundary.Target) ([]boundary.Decision, error) {
	switch target.Kind {
	case Text:
		return c.Mentions(ctx, target.Value, target.From), nil
	case File:
		return c.file(ctx, target)
	case Inventory:
		return c.inventory(ctx, target)
	case Destination:
		d, err := c.destination(ctx, target)
		return []boundary.Decision{d}, err
	}
	if read, ok := readers[target.Kind]; ok {
		return c.References(ctx, read(target.Value)), nil
	}
	return []boundary.Decision{c.Decide(ctx, target)}, nil
}

// References decides for each endpoint of the external references.
func (c Checker) References(ctx context.Context, sources references.Sources) []boundary.Decision {
	reader := references.Reader{Environ: c.Env, Home: sshexec.Call{Env: c.Env}.Getenv("HOME"), Runner: run.Exec{}}
	var decisions []boundary.Decision
	for _, result := range references.Decide(ctx, c.Checker, reader.Read(ctx, sources)) {
		decisions = append(decisions, result.Decision)
	}
	return decisions
}

// file looks for production in a file, or in all files of a directory. Links are followed as Ansible follows them.
func (c Checker) file(ctx context.Context, target boundary.Target) ([]boundary.Decision, error) {
	var found []boundary.Decision
	var walk func(root string, links int) error
	walk = func(root string, links int) error {
		if links > maxLinks {
			return fmt.Errorf("%s: more than %d links to directories", root, maxLinks)
		}
		return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			if info.IsDir() {
				real, err := filepath.EvalSymlinks(path)
				if err != nil {
					return err
				}
				return walk(real, links+1)
			}
			if !info.Mode().IsRegular() && path != target.Value { // reading a pipe may block
				return fmt.Errorf("%s: not a regular file", path)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			found = append(found, c.Mentions(ctx, string(data), path)...)
			return nil
		})
	}
	if err := walk(target.Value, 0); err != nil {
		return nil, fmt.Errorf("looking for production in %s: %w; what cannot be read cannot be checked", target.Value, err)
	}
	return found, nil
}

func (c Checker) inventory(ctx context.Context, target boundary.Target) ([]boundary.Decision, error) {
	read, err := inventory.Read(target.Value)
	if err != nil {
		return nil, err
	}
	var found []boundary.Decision
	for _, host := range read.Hosts {
		from := fmt.Sprintf("%s: host %s", host.File, host.Name)
		if host.Address == "" {
			found = append(found, c.Mentions(ctx, host.Name, from)...)
			continue
		}
		d, err := c.destination(ctx, boundary.Target{Value: host.Address, From: from})
		if err != nil {
			return nil, err
		}
		found = append(found, d)
	}
	return found, nil
}

// destination decides about the host that ssh connects to for a target.
func (c Checker) destination(ctx context.Context, target boundary.Target) (boundary.Decision, error) {
	w, err := sshexec.Call{Env: c.Env}.Wrapper("")
	if err != nil {
		return boundary.Decision{}, err
	}
	host, port, err := w.Resolve(ctx, target.Value)
	if err != nil {
		return boundary.Decision{}, err
	}
	d := c.Decide(ctx, boundary.Target{Kind: boundary.Host, Value: host, Port: uint16(port), From: target.From})
	d.Target = target.Value
	return d, nil
}
