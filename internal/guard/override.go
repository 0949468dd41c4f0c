// SPDX-License-Identifier: GPL-3.0-or-later

package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/guard/loadpolicy"
	"github.com/arcodange-org/sandbox/internal/guard/override"
	"github.com/arcodange-org/sandbox/internal/guard/sshexec"
	"github.com/arcodange-org/sandbox/internal/guard/targets"
	"github.com/arcodange-org/sandbox/internal/xdg"
)

// request reads one JSON object from standard input.
func (p Process) request(into any) error {
	decoder := json.NewDecoder(p.Stdin)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("reading the request from standard input: %w", err)
	}
	return nil
}

// override decides whether a run with i_mean_prod may leave the sandbox, and
// records it. With --reached it records a host that such a run connects to.
func (p Process) override(ctx context.Context, args []string) int {
	set := flags("override [flags] <request.json")
	file := set.String("boundary", "", "the boundary manifest")
	state := set.String("state", "", "directory of the log and the tokens")
	reached := set.Bool("reached", false, "record a host that a run with an override connects to")
	if status, done := p.parse(set, args); done {
		return status
	}
	checker, err := p.load(*file)
	if err != nil {
		return p.failed(err)
	}
	if *state == "" {
		return p.wrong("override: --state is required, since an override has to be recorded")
	}
	var request override.Request
	if err := p.request(&request); err != nil {
		return p.failed(err)
	}
	var refusal string
	if *reached {
		var granted bool
		if granted, err = override.RecordHost(checker.Manifest, request, *state); !granted {
			refusal = "the log of overrides has no override of this run"
		}
	} else {
		refusal, err = override.Decide(ctx, checker.Manifest, request, *state, override.NewGate(p.Env, *state))
	}
	if err != nil {
		return p.failed(err)
	}
	if refusal != "" {
		fmt.Fprintln(p.Stdout, refusal)
		return statusRefused
	}
	return statusOK
}

// token prints a token for one override.
func (p Process) token(_ context.Context, args []string) int {
	set := flags("token [flags]")
	state := set.String("state", "", "directory of the log and the tokens; by default the one of this user's runs")
	if status, done := p.parse(set, args); done {
		return status
	}
	if *state == "" {
		var err error
		if *state, err = xdg.State(p.getenv); err != nil {
			return p.failed(fmt.Errorf("override token: %w", err))
		}
	}
	token, err := override.NewToken(*state)
	if err != nil {
		return p.failed(err)
	}
	fmt.Fprintln(p.Stdout, token)
	return statusOK
}

// loadPolicy prints what the process may do that loads the inventory, as one
// JSON object. The environment that is decided about is this process's own.
func (p Process) loadPolicy(ctx context.Context, args []string) int {
	set := flags("load [flags] <request.json")
	call := sshexec.Call{Env: p.Env}
	set.StringVar(&call.Boundary, "boundary", "", "the boundary manifest")
	state := set.String("state", "", "directory of the log and the guard's programs")
	if status, done := p.parse(set, args); done {
		return status
	}
	if *state == "" {
		return p.wrong("load: --state is required")
	}
	var request loadpolicy.Request
	if err := p.request(&request); err != nil {
		return p.failed(err)
	}
	read, err := call.Manifest()
	if err != nil {
		return p.failed(err)
	}
	manifest, err := boundary.Parse(read.File, read.Data)
	if err != nil {
		return p.failed(err)
	}
	self, err := os.Executable()
	if err != nil {
		return p.failed(err)
	}
	loader := loadpolicy.Loader{
		Targets:  targets.Checker{Checker: boundary.Checker{Manifest: manifest}, Env: p.Env},
		Boundary: read.File, Digest: read.Digest, State: *state, Guard: filepath.Join(filepath.Dir(self), "prod-ip-guard"),
	}
	policy, err := loader.Decide(ctx, request)
	if err != nil {
		return p.failed(err)
	}
	if err := json.NewEncoder(p.Stdout).Encode(policy); err != nil {
		return p.failed(fmt.Errorf("writing the policy: %w", err))
	}
	if policy.Refusal != "" {
		return statusRefused
	}
	return statusOK
}
