// SPDX-License-Identifier: GPL-3.0-or-later

package guard

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/guard/loadpolicy"
	"github.com/arcodange-org/sandbox/internal/guard/sshexec"
	"github.com/arcodange-org/sandbox/internal/references"
)

// targetLine is a target as a line of JSON on standard input.
type targetLine struct {
	Kind  boundary.Kind `json:"kind"`
	Value string        `json:"value"`
	Port  uint16        `json:"port"`
	From  string        `json:"from"`
}

func (p Process) check(ctx context.Context, args []string) int {
	set := flags("check [flags] [TARGET...]")
	manifest := set.String("boundary", "", "the boundary manifest")
	output := set.String("output", "text", "text or json")
	kind := set.String("kind", string(boundary.Host), "kind of the targets: host, endpoint, address, destination (of ssh), inventory, kubeconfig, tofu (root module), argocd (manifests), repository (git work tree), key (by path), git, database, text, file, …")
	environment := set.Bool("environment", false, "also check this process's environment: KUBECONFIG, VAULT_ADDR, PGHOST, proxies, credentials, …")
	lines := set.Bool("targets-from-stdin", false, "read more targets from standard input, a JSON object with kind, value, port and from on each line")
	if status, done := p.parse(set, args); done {
		return status
	}
	if *output != "text" && *output != "json" {
		return p.wrong("--output %q: use text or json", *output)
	}
	checker, err := p.checker(*manifest)
	if err != nil {
		return p.failed(err)
	}
	var list []boundary.Target
	for _, value := range set.Args() {
		list = append(list, boundary.Target{Kind: boundary.Kind(*kind), Value: value})
	}
	if *lines {
		more, err := readTargets(p.Stdin)
		if err != nil {
			return p.failed(err)
		}
		list = append(list, more...)
	}
	if len(list) == 0 && !*environment {
		return p.wrong("check: no target given; name one, or give --environment or --targets-from-stdin")
	}
	decisions := []boundary.Decision{}
	if *environment {
		decisions = checker.References(ctx, references.Sources{Environment: true})
	}
	for _, target := range list {
		found, err := checker.Check(ctx, target)
		if err != nil {
			return p.failed(err)
		}
		decisions = append(decisions, found...)
	}
	var refusals []string
	for _, d := range decisions {
		if !d.Allowed {
			refusals = append(refusals, loadpolicy.Reason(d))
		}
	}
	if *output == "json" {
		encoder := json.NewEncoder(p.Stdout)
		if err := encoder.Encode(map[string]any{"allowed": len(refusals) == 0, "decisions": decisions, "refusal": strings.Join(refusals, "; ")}); err != nil {
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
			fmt.Fprintln(&lines, "allowed: it refers to no target")
		}
		if _, err := io.WriteString(p.Stdout, lines.String()); err != nil && len(refusals) == 0 {
			return p.failed(fmt.Errorf("writing the decisions: %w", err))
		}
	}
	if len(refusals) > 0 {
		return statusRefused
	}
	return statusOK
}

func readTargets(in io.Reader) ([]boundary.Target, error) {
	var list []boundary.Target
	decoder := json.NewDecoder(bufio.NewReader(in))
	decoder.DisallowUnknownFields()
	for {
		var line targetLine
		err := decoder.Decode(&line)
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading targets from standard input: %w", err)
		}
		list = append(list, boundary.Target{Kind: line.Kind, Value: line.Value, Port: line.Port, From: line.From})
	}
}

func (p Process) explain(ctx context.Context, args []string) int {
	set := flags("explain [flags] TARGET")
	file := set.String("boundary", "", "the boundary manifest")
	output := set.String("output", "text", "text or json")
	kind := set.String("kind", "", "kind of the target; by default, the host that ssh connects to")
	if status, done := p.parse(set, args); done {
		return status
	}
	if set.NArg() != 1 {
		return p.wrong("explain: got %d targets; give one", set.NArg())
	}
	checker, err := p.load(*file)
	if err != nil {
		return p.failed(err)
	}
	target := boundary.Target{Kind: boundary.Kind(*kind), Value: set.Arg(0)}
	var through string
	if *kind == "" {
		// ssh may resolve an alias to any host.
		target.Kind = boundary.Host
		w, err := sshexec.Call{Env: p.Env}.Wrapper("")
		if err == nil {
			host, port, err := w.Resolve(ctx, target.Value)
			if err != nil {
				return p.failed(err)
			}
			if host != target.Value {
				through = fmt.Sprintf("ssh's configuration: %s is %s, port %d", target.Value, host, port)
			}
			target.Value, target.Port = host, uint16(port)
		}
	}
	d := checker.Decide(ctx, target)
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
		return statusRefused
	}
	return statusOK
}
