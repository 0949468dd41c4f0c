// SPDX-License-Identifier: GPL-3.0-or-later

// Package prodipguard is the Ansible module prod_ip_guard. The package boundary decides.
package prodipguard

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/internal/boundary"
)

type target struct {
	Host    string `arg:"host"`
	Address string `arg:"address"`
	Port    int    `arg:"port"`
	Kind    string `arg:"kind"`
}

// References are the arguments of the option of that name.
type References struct {
	Kubeconfigs []string `arg:"kubeconfigs"`
	Environment bool     `arg:"environment"`
	Tofu        []Root   `arg:"tofu"`
	ArgoCD      []string `arg:"argocd"`
	Git         []string `arg:"git"`
	Keys        []string `arg:"keys"`
}

// Root is a root module of OpenTofu.
type Root struct {
	Directory      string   `arg:"directory"`
	BackendConfigs []string `arg:"backend_configs"`
	VarFiles       []string `arg:"var_files"`
}

// none returns whether there are no references to read.
func (c *References) none() bool {
	return c == nil || !c.Environment && len(c.Kubeconfigs)+len(c.Tofu)+len(c.ArgoCD)+len(c.Git)+len(c.Keys) == 0
}

type arguments struct {
	Boundary        string      `arg:"boundary"`
	Content         *string     `arg:"content"`
	Targets         []target    `arg:"targets"`
	References      *References `arg:"external_references"`
	CheckRemoteHost bool        `arg:"check_remote_host"`
	IMeanProd       bool        `arg:"i_mean_prod"`
}

// Reader reads external references and decides about each.
type Reader func(context.Context, boundary.Checker, References) []boundary.Decision

// Module describes prod_ip_guard for a target. It reads no external references, since the code for that is large.
func Module() ansible.Module { return With(nil) }

// With describes prod_ip_guard with a reader of external references.
func With(read Reader) ansible.Module {
	return ansible.Module{
		Name:      "prod_ip_guard",
		CheckMode: true,
		Spec:      ansible.Spec{Options: options()},
		Run:       func(ctx context.Context, c *ansible.Call) error { return run(ctx, c, read) },
	}
}

type verdict struct {
	Host string `json:"host"`
	boundary.Decision
}

func load(args arguments) (*boundary.Manifest, error) {
	if args.Content != nil {
		return boundary.Parse(args.Boundary, []byte(*args.Content))
	}
	return boundary.Load(args.Boundary)
}

func run(ctx context.Context, c *ansible.Call, read Reader) error {
	var args arguments
	if err := c.Bind(&args); err != nil {
		return err
	}
	manifest, err := load(args)
	if err != nil {
		return err
	}
	if len(args.Targets) == 0 && !args.CheckRemoteHost && args.References.none() {
		return fmt.Errorf("prod_ip_guard: nothing to check; give targets, external_references or check_remote_host")
	}
	checker := boundary.Checker{Manifest: manifest}
	verdicts := []verdict{}
	for _, t := range args.Targets {
		if t.Port < 0 || t.Port > 65535 {
			return fmt.Errorf("%s: port %d: must be 1-65535", t.Host, t.Port)
		}
		verdicts = append(verdicts, verdict{t.Host, checker.Decide(ctx, boundary.Target{Kind: boundary.Kind(t.Kind), Value: t.Address, Port: uint16(t.Port)})})
	}
	if !args.References.none() {
		if read == nil {
			return errors.New("external_references: only available on the controller; delegate the task to localhost")
		}
		decisions := read(ctx, checker, *args.References)
		for _, decision := range decisions {
			verdicts = append(verdicts, verdict{decision.From, decision})
		}
	}
	if args.CheckRemoteHost {
		for _, decision := range checkRemoteHost(ctx, checker, machine{}) {
			verdicts = append(verdicts, verdict{"this machine", decision})
		}
	}
	c.Return("verdicts", verdicts)

	var refused []string
	for _, v := range verdicts {
		if v.Allowed {
			continue
		}
		reason := fmt.Sprintf("%s (%s): %s", v.Host, v.Target, v.Reason)
		if v.Rule != nil {
			reason += " by " + v.Rule.String()
		}
		refused = append(refused, reason)
	}
	c.Return("overridden", len(refused) > 0 && args.IMeanProd)
	if len(refused) == 0 {
		return nil
	}
	if args.IMeanProd {
		c.Warn("i_mean_prod=true: the boundary is crossed on purpose: " + strings.Join(refused, "; "))
		return nil
	}
	return fmt.Errorf("refused, %d of %d targets are outside the sandbox: %s; correct the inventory or the variable, "+
		"or, if production is really meant, add -e i_mean_prod=true", len(refused), len(verdicts), strings.Join(refused, "; "))
}
