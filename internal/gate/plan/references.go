// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/gate"
	"github.com/arcodange-org/sandbox/internal/references"
	"github.com/arcodange-org/sandbox/internal/tofu"
)

// insideBoundary checks all external references of the copy, before it is used.
func (s *session) insideBoundary(ctx context.Context) bool {
	var environ []string
	for name, value := range s.o.Environment {
		environ = append(environ, name+"="+value)
	}
	slices.Sort(environ)
	if !s.check(ctx, environ, references.Sources{Environment: true}) {
		return false
	}
	if kind := s.backend(); s.report.State == "" && kind != "pg" && kind != "kubernetes" {
		s.add("unknown_state", expectedState, fmt.Sprintf("its location in the backend %q is unknown", kind))
		return false
	} else if s.report.State == "" {
		s.report.State = kind
	}
	return true
}

const expectedState = "a state that the boundary manifest lists as sandbox"

// check checks the references of the root module and of further sources. It
// returns whether all are allowed.
func (s *session) check(ctx context.Context, environ []string, sources references.Sources) bool {
	reader := references.Reader{Environ: environ, Home: filepath.Join(s.dir, "home"), Runner: s.Runner}
	sources.Tofu = []references.Root{{Directory: s.root, BackendConfigs: s.o.BackendConfigs, VarFiles: s.o.VarFiles}}
	for _, finding := range references.Decide(ctx, s.o.Boundary, reader.Read(ctx, sources)) {
		d := finding.Decision
		where := s.original(finding.Target.From)
		state := finding.Target.Kind == boundary.TofuState
		if d.Allowed {
			if state && s.report.State == "" {
				s.report.State = d.Target
			}
			continue
		}
		rule, expected, what := "boundary", "every reference is inside the sandbox", fmt.Sprintf("%s (%s): %s", d.Target, d.Kind, d.Reason)
		switch {
		case state && strings.Contains(d.Target, s.dir):
			rule, what = "unknown_state", "the path of the state is relative; give an absolute one"
		case state && d.Rule != nil:
			rule = "production_state"
		case state, strings.HasPrefix(finding.Target.Value, "backend "):
			rule = "unknown_state"
		}
		if rule != "boundary" {
			expected = expectedState
		}
		s.report.Add(gate.Finding{Rule: rule, Where: where, Expected: expected, Found: s.original(what)})
	}
	return len(s.report.Findings) == 0
}

// initialised checks the backend that init recorded: the state that the program
// will read, and whether the backend can lock it.
func (s *session) initialised(ctx context.Context) bool {
	data := filepath.Join(s.dir, "data")
	if !s.check(ctx, []string{"TF_DATA_DIR=" + data}, references.Sources{}) {
		return false
	}
	var written struct {
		Backend struct {
			Type   string         `json:"type"`
			Config map[string]any `json:"config"`
		} `json:"backend"`
	}
	text, err := os.ReadFile(filepath.Join(data, "terraform.tfstate"))
	if err == nil {
		err = json.Unmarshal(text, &written)
	}
	if err != nil || written.Backend.Type == "" {
		s.add("unknown_state", expectedState, "the initialised root module names no backend; set backend_override")
		return false
	}
	if missing := unlockable(written.Backend.Type, written.Backend.Config); missing != "" {
		s.add("unlocked", "a state that is locked while it is read", "the backend "+written.Backend.Type+" does not lock without "+missing)
		return false
	}
	return true
}

// unlockable returns the setting that a backend lacks to lock its state; empty for none.
func unlockable(kind string, config map[string]any) string {
	set := func(name string) bool {
		switch v := config[name].(type) {
		case string:
			return v != ""
		case bool:
			return v
		}
		return false
	}
	switch {
	case kind == "http" && !set("lock_address"):
		return "lock_address"
	case kind == "s3" && !set("dynamodb_table") && !set("use_lockfile"):
		return "use_lockfile or dynamodb_table"
	case kind == "consul" && config["lock"] == false:
		return "lock"
	}
	return ""
}

// backend returns the type of the root module's backend; empty if the module cannot be read.
func (s *session) backend() string {
	module, failed := tofu.Load(s.root)
	if len(failed) > 0 {
		return ""
	}
	found := "local"
	for _, block := range module.Blocks("terraform") {
		inside, _ := tofu.Inside(block, "backend", "cloud")
		for _, block := range inside {
			found = block.Type
			if block.Type == "backend" {
				found = block.Labels[0]
			}
		}
	}
	return found
}
