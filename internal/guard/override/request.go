// SPDX-License-Identifier: GPL-3.0-or-later

// Package override decides whether a run with i_mean_prod may leave
// the sandbox, and writes the log of overrides. It does not restrict other runs.
package override

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/gate/promotion"
	"github.com/arcodange-org/sandbox/internal/oneline"
	"github.com/arcodange-org/sandbox/internal/run"
	"github.com/arcodange-org/sandbox/internal/tree"
)

// witnessName is the file in the state folder where promotion.Gate records its clock.
const witnessName = "promotion-evaluated"

// Request are the settings of a run with i_mean_prod, as the plugins send them.
type Request struct {
	Value       json.RawMessage `json:"value"`        // as it was given
	Origin      string          `json:"origin"`       // where it was given
	CommandLine bool            `json:"command_line"` // whether it was given on the command line of this run, and not in a file
	LaterFiles  []string        `json:"later_files"`  // files of extra variables that the command line names after it
	Effective   json.RawMessage `json:"effective"`    // the value that Ansible uses, if there are later files
	Problem     string          `json:"problem"`      // why the later files could not be read; empty if they were
	Cluster     string          `json:"cluster"`      // i_mean_prod_cluster
	Token       string          `json:"token"`        // i_mean_prod_token
	Targets     []string        `json:"targets"`      // hosts or patterns
	Command     []string        `json:"command"`      // command line of the run
	User        string          `json:"user"`
	Playbooks   []string        `json:"playbooks"` // absolute paths; empty for a run without a playbook
	Run         string          `json:"run"`       // identifies the run in the log

	// Tree is the hash of the tree that a promotion checked out of the
	// repository. Empty for a run from a working tree.
	Tree string `json:"-"`
}

// NewGate returns the gate that verifies evidence of promotion again. state is
// the directory of the log.
func NewGate(env []string, state string) promotion.Gate {
	return promotion.Gate{Runner: run.Exec{}, Env: env, Now: time.Now, Witness: filepath.Join(state, witnessName)}
}

// Decide grants or refuses a request. A granted one is in the log of overrides
// before Decide returns. refusal is the reason; empty if it was granted.
func Decide(ctx context.Context, manifest *boundary.Manifest, r Request, state string, gate promotion.Gate) (refusal string, err error) {
	if refusal := r.refusal(manifest.Policy, state, gate.Now()); refusal != "" {
		return refusal, nil
	}
	e := r.entry(eventAllowed, manifest, gate.Now())
	if path := manifest.Policy.Evidence; path != "" {
		grant, err := r.redeem(ctx, manifest, state, gate)
		if err != nil {
			return fmt.Sprintf("the boundary manifest requires evidence of promotion, and the grant %v; promote with the playbook promote.yml", oneline.Join(err.Error())), nil
		}
		e.Grant, e.Repository, e.Tree = grant.ID, grant.Request.Repository, grant.Tree
	}
	if r.Tree != "" {
		e.Tree = r.Tree
	}
	return "", e.append(logFile(state))
}

// RecordHost writes the request's targets to the log as hosts that the run
// connects to, once each. granted is false if the log has no override of this run.
func RecordHost(manifest *boundary.Manifest, r Request, state string) (granted bool, err error) {
	granted, recorded, err := find(logFile(state), r)
	if err != nil || !granted || recorded {
		return granted, err
	}
	return true, r.entry(eventConnects, manifest, time.Now()).append(logFile(state))
}

// refusal checks everything but evidence, and uses up the token. It returns why the request is refused; empty if it is not.
func (r Request) refusal(policy boundary.Policy, state string, now time.Time) string {
	if !r.CommandLine {
		return fmt.Sprintf("i_mean_prod comes from %s, where it would be true of every run; "+
			"give it to this run alone, as -e i_mean_prod=true", r.Origin)
	}
	// Before a token is used up: Ansible takes the value that was given last.
	if len(r.LaterFiles) > 0 {
		if r.Problem != "" {
			return fmt.Sprintf("i_mean_prod is given before %s, which may change it and cannot be read yet (%s); give i_mean_prod last",
				strings.Join(r.LaterFiles, " and "), r.Problem)
		}
		if string(r.Effective) != string(r.Value) {
			return "i_mean_prod is given on the command line, and with another value in a file of variables after it; leave one of them out"
		}
	}
	// Ansible passes key=value on as text, so the word true is as good as the boolean.
	if value := string(r.Value); value != "true" && value != `"true"` && value != `"True"` {
		return fmt.Sprintf("i_mean_prod is %s, which is not true; write -e i_mean_prod=true if production is really meant", value)
	}
	if policy.ClusterName != "" && r.Cluster != policy.ClusterName {
		return "the boundary manifest requires the production cluster's name typed in as well: -e i_mean_prod_cluster=NAME"
	}
	if policy.TokenExpiry > 0 {
		if err := spendToken(state, r.Token, policy.TokenExpiry, now); err != nil {
			return fmt.Sprintf("the boundary manifest requires a fresh token (%v): make one with `prod-ip-guard token`, then give -e i_mean_prod_token=TOKEN", err)
		}
	}
	return ""
}

// redeem uses up the evidence of promotion that the manifest requires. The run
// must be of the promoted tree: the one that a promotion checked out, or a
// clean working tree with the same content that holds every playbook of the run.
func (r Request) redeem(ctx context.Context, manifest *boundary.Manifest, state string, gate promotion.Gate) (promotion.Grant, error) {
	grant, err := gate.Redeem(ctx, manifest.Policy.Evidence, func(id string) (bool, error) { return grantUsed(logFile(state), id) })
	if err != nil {
		return promotion.Grant{}, err
	}
	digest, err := evidence.Digest(manifest.File)
	if err != nil {
		return promotion.Grant{}, fmt.Errorf("cannot be compared with the boundary manifest: %w", err)
	}
	switch {
	case digest != grant.Boundary:
		return promotion.Grant{}, errors.New("was given with another boundary manifest")
	case r.Tree != "" && r.Tree != grant.Tree:
		return promotion.Grant{}, fmt.Errorf("is for the tree %s, and this run is of %s", grant.Tree, r.Tree)
	case r.Tree != "":
		return grant, nil
	case len(r.Playbooks) == 0:
		return promotion.Grant{}, errors.New("is for playbooks, and this run has none")
	}
	tree, err := tree.Of(ctx, gate.Runner, grant.Request.Path)
	if err != nil {
		return promotion.Grant{}, fmt.Errorf("is for a working tree that cannot be read: %w", err)
	}
	if tree.Tree != grant.Tree || tree.Dirty {
		return promotion.Grant{}, fmt.Errorf("is for the tree %s, which is not the content of %s", grant.Tree, grant.Request.Path)
	}
	for _, playbook := range r.Playbooks {
		if _, inside := promotion.Within(grant.Request.Path, playbook); !inside {
			return promotion.Grant{}, fmt.Errorf("is for %s, and the playbook %s is elsewhere", grant.Request.Path, playbook)
		}
	}
	return grant, nil
}
