// SPDX-License-Identifier: GPL-3.0-or-later

// Package prodipguard is the module prod_ip_guard: arguments in, the boundary's
// decision out. It decides nothing itself.
package prodipguard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/internal/boundary"
)

type target struct {
	Host    string `arg:"host"`
	Address string `arg:"address"`
}

type arguments struct {
	Boundary  string   `arg:"boundary"`
	Targets   []target `arg:"targets"`
	Arrived   bool     `arg:"arrived"`
	IMeanProd bool     `arg:"i_mean_prod"`
}

// Module describes prod_ip_guard.
func Module() ansible.Module {
	return ansible.Module{
		Name:      "prod_ip_guard",
		CheckMode: true,
		Spec: ansible.Spec{
			Options: map[string]ansible.Option{
				"boundary": {Type: ansible.Path, Required: true},
				"targets": {Type: ansible.List, Elements: ansible.Dict, Default: []any{}, Spec: &ansible.Spec{
					Options: map[string]ansible.Option{
						"host":    {Required: true},
						"address": {Required: true},
					},
				}},
				"arrived":     {Type: ansible.Bool, Default: false},
				"i_mean_prod": {Type: ansible.Bool, Default: false},
			},
		},
		Run: run,
	}
}

type verdict struct {
	Host string `json:"host"`
	boundary.Decision
}

func run(ctx context.Context, c *ansible.Call) error {
	var args arguments
	if err := c.Bind(&args); err != nil {
		return err
	}
	manifest, err := boundary.Load(args.Boundary)
	if err != nil {
		return err
	}
	if len(args.Targets) == 0 && !args.Arrived {
		return fmt.Errorf("checking the targets against %s: there is none, and a guard that checked nothing has not guarded; give targets or arrived", args.Boundary)
	}
	engine := boundary.Engine{Manifest: manifest}
	verdicts := []verdict{}
	for _, t := range args.Targets {
		verdicts = append(verdicts, verdict{t.Host, engine.Decide(ctx, boundary.HostTarget(t.Address))})
	}
	if args.Arrived {
		arrived, err := whereArrived(ctx, engine)
		if err != nil {
			return err
		}
		verdicts = append(verdicts, arrived...)
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
	return fmt.Errorf("refused, %d of %d targets are not the sandbox's: %s; correct the inventory or the variable that leads there, "+
		"or, if production is really meant, add -e i_mean_prod=true", len(refused), len(verdicts), strings.Join(refused, "; "))
}

// whereArrived checks the machine that the module runs on: whatever way led
// here, its own addresses tell where here is. Addresses that the manifest does
// not know are no refusal, since every machine has private ones of its own.
func whereArrived(ctx context.Context, engine boundary.Engine) ([]verdict, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("reading this machine's own addresses: %w; without them nothing can be told about it", err)
	}
	if len(addresses) == 0 {
		return nil, errors.New("reading this machine's own addresses: it has none, so nothing can be told about it")
	}
	var verdicts []verdict
	for _, address := range addresses {
		prefix, err := netip.ParsePrefix(address.String())
		if err != nil {
			return nil, fmt.Errorf("reading this machine's own address %q: %w", address, err)
		}
		v := engine.Decide(ctx, boundary.Target{Kind: boundary.Address, Value: prefix.Addr().String()})
		if v.Rule == nil {
			v.Allowed, v.Reason = true, "it is an address of the machine's own that the boundary manifest does not list"
		}
		verdicts = append(verdicts, verdict{"this machine", v})
	}
	return verdicts, nil
}
