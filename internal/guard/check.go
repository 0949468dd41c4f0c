// SPDX-License-Identifier: GPL-3.0-or-later

package guard

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/guard/sshexec"
	"github.com/arcodange-org/sandbox/internal/inventory"
	"github.com/arcodange-org/sandbox/internal/references"
	"github.com/arcodange-org/sandbox/internal/run"
)

// asked is a target as a line of JSON on the standard input has it.
type asked struct {
	Kind  boundary.Kind `json:"kind"`
	Value string        `json:"value"`
	Port  uint16        `json:"port"`
	From  string        `json:"from"`
}

// Kinds that are not one target but hold some: a mention of production in them
// refuses, and the lack of one says nothing.
const (
	text boundary.Kind = "text" // any text
	file boundary.Kind = "file" // the path of a file or directory with text
)

// destination is what ssh is told to connect to; its configuration is asked what that means first.
const destination boundary.Kind = "destination"

// sources is the path of an inventory: every host's address that can be read
// without Ansible is a destination. It may only refuse; what it does not follow
// is Ansible's to render and the connection's to check.
const sources boundary.Kind = "inventory"

// coupled are the kinds that hold targets of several kinds, each with what reads it.
var coupled = map[boundary.Kind]func(value string) references.Sources{
	"kubeconfig": func(path string) references.Sources { return references.Sources{Kubeconfigs: []string{path}} },
	"tofu": func(dir string) references.Sources {
		return references.Sources{Tofu: []references.Root{{Directory: dir}}}
	},
	"argocd":     func(path string) references.Sources { return references.Sources{ArgoCD: []string{path}} },
	"repository": func(dir string) references.Sources { return references.Sources{Git: []string{dir}} },
	"key":        func(path string) references.Sources { return references.Sources{Keys: []string{path}} },
}

// How deep links to directories are followed: deeper is a circle.
const maxLinks = 8

// mentionsIn looks for production in a file, or in all files below a directory, links followed as Ansible follows them.
func mentionsIn(ctx context.Context, engine boundary.Engine, target boundary.Target) ([]boundary.Decision, error) {
	var found []boundary.Decision
	var walk func(root string, depth int) error
	walk = func(root string, depth int) error {
		if depth > maxLinks {
			return fmt.Errorf("%s: too many links", root)
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
				return walk(real, depth+1)
			}
			if !info.Mode().IsRegular() && path != target.Value { // a pipe may never be written to
				return fmt.Errorf("%s is no file", path)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			found = append(found, engine.Mentions(ctx, string(data), path)...)
			return nil
		})
	}
	if err := walk(target.Value, 0); err != nil {
		return nil, fmt.Errorf("looking for production in %s: %w; what cannot be read cannot be checked", target.Value, err)
	}
	return found, nil
}

func (p Process) check(ctx context.Context, args []string) int {
	set := flags("check [flags] [TARGET...]")
	manifest := set.String("boundary", "", "the boundary manifest")
	output := set.String("output", "text", "text or json")
	kind := set.String("kind", string(boundary.Host), "what the targets are: host, endpoint, address, destination (for ssh), inventory (its path), kubeconfig, tofu (a root module), argocd (manifests), repository (a git work tree), key (their paths), git, database, text, file, …")
	environment := set.Bool("environment", false, "also check this process's environment: KUBECONFIG, VAULT_ADDR, PGHOST, proxies, credentials, …")
	lines := set.Bool("targets-from-stdin", false, "read more targets from standard input, a JSON object with kind, value, port and from on each line")
	if status, done := p.parse(set, args); done {
		return status
	}
	if *output != "text" && *output != "json" {
		return p.wrong("--output is %q; use text or json", *output)
	}
	engine, err := p.load(*manifest)
	if err != nil {
		return p.failed(err)
	}
	var targets []boundary.Target
	for _, value := range set.Args() {
		targets = append(targets, boundary.Target{Kind: boundary.Kind(*kind), Value: value})
	}
	if *lines {
		more, err := readTargets(p.Stdin)
		if err != nil {
			return p.failed(err)
		}
		targets = append(targets, more...)
	}
	if len(targets) == 0 && !*environment {
		return p.wrong("there is no target to check, and a check of nothing is no check; name one")
	}
	decisions := make([]boundary.Decision, 0, len(targets))
	if *environment {
		decisions = p.externalReferences(ctx, engine, references.Sources{Environment: true})
	}
	for _, target := range targets {
		var found []boundary.Decision
		switch target.Kind {
		case text:
			found = engine.Mentions(ctx, target.Value, target.From)
		case file:
			if found, err = mentionsIn(ctx, engine, target); err != nil {
				return p.failed(err)
			}
		case sources:
			if found, err = p.inventory(ctx, engine, target); err != nil {
				return p.failed(err)
			}
		case destination:
			d, err := p.means(ctx, engine, target)
			if err != nil {
				return p.failed(err)
			}
			found = []boundary.Decision{d}
		default:
			if read, holds := coupled[target.Kind]; holds {
				found = p.externalReferences(ctx, engine, read(target.Value))
			} else {
				found = []boundary.Decision{engine.Decide(ctx, target)}
			}
		}
		decisions = append(decisions, found...)
	}
	refused := 0
	for _, d := range decisions {
		if !d.Allowed {
			refused++
		}
	}
	if *output == "json" {
		encoder := json.NewEncoder(p.Stdout)
		if err := encoder.Encode(map[string]any{"allowed": refused == 0, "decisions": decisions}); err != nil {
			return p.failed(fmt.Errorf("writing the decisions: %w", err))
		}
	} else {
		var lines strings.Builder
		for _, d := range decisions {
			word := "allowed"
			if !d.Allowed {
				word = "REFUSED"
			}
			fmt.Fprintf(&lines, "%s %s\n", word, d)
		}
		if len(decisions) == 0 {
			fmt.Fprintln(&lines, "allowed: nothing in it leads anywhere")
		}
		if _, err := io.WriteString(p.Stdout, lines.String()); err != nil && refused == 0 {
			return p.failed(fmt.Errorf("writing the decisions: %w", err))
		}
	}
	if refused > 0 {
		return Refused
	}
	return OK
}

// externalReferences checks everything that sources lead to.
func (p Process) externalReferences(ctx context.Context, engine boundary.Engine, sources references.Sources) []boundary.Decision {
	reader := references.Reader{Environ: p.Env, Home: p.getenv("HOME"), Runner: run.Exec{}}
	var decisions []boundary.Decision
	for _, judged := range references.Decide(ctx, engine, reader.Read(ctx, sources)) {
		decisions = append(decisions, judged.Decision)
	}
	return decisions
}

func (p Process) inventory(ctx context.Context, engine boundary.Engine, target boundary.Target) ([]boundary.Decision, error) {
	read, err := inventory.Read(target.Value)
	if err != nil {
		return nil, err
	}
	var found []boundary.Decision
	for _, host := range read.Hosts {
		from := fmt.Sprintf("%s: host %s", host.File, host.Name)
		if host.Address == "" {
			found = append(found, engine.Mentions(ctx, host.Name, from)...)
			continue
		}
		d, err := p.means(ctx, engine, boundary.Target{Value: host.Address, From: from})
		if err != nil {
			return nil, err
		}
		found = append(found, d)
	}
	return found, nil
}

// means decides about what ssh would connect to for a target.
func (p Process) means(ctx context.Context, engine boundary.Engine, target boundary.Target) (boundary.Decision, error) {
	s, err := sshexec.Call{Env: p.Env}.Standin("")
	if err != nil {
		return boundary.Decision{}, err
	}
	host, port, err := s.Means(ctx, target.Value)
	if err != nil {
		return boundary.Decision{}, err
	}
	d := engine.Decide(ctx, boundary.Target{Kind: boundary.Host, Value: host, Port: uint16(port), From: target.From})
	d.Target = target.Value
	return d, nil
}

func readTargets(in io.Reader) ([]boundary.Target, error) {
	var targets []boundary.Target
	decoder := json.NewDecoder(bufio.NewReader(in))
	decoder.DisallowUnknownFields()
	for {
		var line asked
		err := decoder.Decode(&line)
		if errors.Is(err, io.EOF) {
			return targets, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading targets from the standard input: %w", err)
		}
		targets = append(targets, boundary.Target{Kind: line.Kind, Value: line.Value, Port: line.Port, From: line.From})
	}
}

func (p Process) explain(ctx context.Context, args []string) int {
	set := flags("explain [flags] TARGET")
	file := set.String("boundary", "", "the boundary manifest")
	output := set.String("output", "text", "text or json")
	kind := set.String("kind", "", "what the target is; without it, what ssh would connect to")
	if status, done := p.parse(set, args); done {
		return status
	}
	if set.NArg() != 1 {
		return p.wrong("explain takes one target, and was given %d", set.NArg())
	}
	engine, err := p.load(*file)
	if err != nil {
		return p.failed(err)
	}
	target := boundary.Target{Kind: boundary.Kind(*kind), Value: set.Arg(0)}
	var through string
	if *kind == "" {
		// What ssh makes of it comes first: an alias may lead anywhere.
		target.Kind = boundary.Host
		s, err := sshexec.Call{Env: p.Env}.Standin("")
		if err == nil {
			host, port, err := s.Means(ctx, target.Value)
			if err != nil {
				return p.failed(err)
			}
			if host != target.Value {
				through = fmt.Sprintf("ssh's configuration: %s is %s, port %d", target.Value, host, port)
			}
			target.Value, target.Port = host, uint16(port)
		}
	}
	d := engine.Decide(ctx, target)
	if *output == "json" {
		if err := json.NewEncoder(p.Stdout).Encode(map[string]any{"through": through, "decision": d}); err != nil {
			return p.failed(fmt.Errorf("writing the decision: %w", err))
		}
	} else {
		explained := d.Explain()
		if through != "" {
			first, rest, _ := strings.Cut(explained, "\n")
			explained = first + "\n  " + "through    " + through + "\n" + rest
		}
		fmt.Fprint(p.Stdout, explained)
	}
	if !d.Allowed {
		return Refused
	}
	return OK
}
