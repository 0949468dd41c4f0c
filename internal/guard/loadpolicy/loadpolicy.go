// SPDX-License-Identifier: GPL-3.0-or-later

// Package loadpolicy decides what an Ansible process may do that loads an
// inventory with a boundary manifest: whether its command line stays inside the
// sandbox, which connections it may make, and what its environment holds. The
// plugins apply the answer; see plugins/plugin_utils/guard.py.
package loadpolicy

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/guard/override"
	"github.com/arcodange-org/sandbox/internal/guard/targets"
)

// Request describes the process. It is a JSON object.
type Request struct {
	Early             bool              `json:"early"`     // no source was read yet, and extra variables may still be encrypted
	Granted           bool              `json:"granted"`   // an override was granted to this process before
	Override          *override.Request `json:"override"`  // null if the run has no i_mean_prod
	Options           map[string]any    `json:"options"`   // of Ansible's command line, as Ansible parsed them
	Playbooks         bool              `json:"playbooks"` // the process is ansible-playbook, so the option args lists playbooks
	ExtraVars         map[string]any    `json:"extra_vars"`
	ExtraVarsProblem  string            `json:"extra_vars_problem"` // why they cannot be read; empty if they were
	Sources           []inventorySource `json:"sources"`            // of the inventory
	YAMLExtensions    []string          `json:"yaml_extensions"`
	PromotionPlaybook string            `json:"promotion_playbook"` // path of the collection's own
}

// inventorySource is a source of the inventory.
type inventorySource struct {
	Name  string   `json:"name"`
	Files []string `json:"files"` // at or below it; null if no such path exists
}

// Policy is the answer.
type Policy struct {
	Refusal     string            `json:"refusal"`     // empty if the process may go on
	Override    bool              `json:"override"`    // the run may leave the sandbox
	Promotion   bool              `json:"promotion"`   // the process plays the promotion playbook and nothing else
	Digest      string            `json:"digest"`      // SHA-256 of the manifest
	Connections map[string]string `json:"connections"` // the connection plugin to use for each name that is allowed
	Environment *environment      `json:"environment"` // null if it stays as it is
	Warnings    []string          `json:"warnings"`
}

// Loader decides about a process.
type Loader struct {
	Targets  targets.Checker // with the environment of the process
	Boundary string          // absolute path of the manifest
	Digest   string          // SHA-256 of the manifest, in hexadecimal
	State    string          // directory of the log of overrides
	Guard    string          // path of the guard's executable
}

const (
	guardedSSH    = "arcodange.sandbox.guarded_ssh"
	builtinLocal  = "ansible.builtin.local"
	promotionName = "arcodange.sandbox.promote"
)

// connections maps the names of connections to the plugins that are used for
// them. Play keywords, tasks and add_host name connections long after the
// inventory was read.
var connections = map[string]string{
	"local": builtinLocal, "ansible.builtin.local": builtinLocal, "ansible.legacy.local": builtinLocal,
	"ssh": guardedSSH, "ansible.builtin.ssh": guardedSSH, "ansible.legacy.ssh": guardedSSH, guardedSSH: guardedSSH,
	"smart": guardedSSH, // Ansible's default
}

// Decide answers a request. An error means that it could not be decided.
func (l Loader) Decide(ctx context.Context, r Request) (Policy, error) {
	p := Policy{Digest: l.Digest, Connections: connections, Promotion: r.promotes()}
	if !p.Promotion {
		granted, refusal, err := l.override(ctx, r)
		if err != nil || refusal != "" {
			p.Refusal = refusal
			return p, err
		}
		if granted {
			p.Override = true
			if !r.Granted {
				p.Warnings = append(p.Warnings, fmt.Sprintf("i_mean_prod=true: this run may leave the sandbox; it was recorded in %s/overrides.log", l.State))
			}
			return p, nil
		}
	}
	refusal, err := l.refusal(ctx, r)
	if err != nil || refusal != "" {
		p.Refusal = refusal
		return p, err
	}
	if p.Environment, p.Warnings, err = l.environment(ctx); err != nil {
		return p, err
	}
	return p, nil
}

func (l Loader) override(ctx context.Context, r Request) (granted bool, refusal string, err error) {
	switch {
	case r.Granted:
		return true, "", nil
	case r.Override == nil || r.Early && !r.Override.CommandLine:
		return false, "", nil
	}
	refusal, err = override.Decide(ctx, l.Targets.Manifest, *r.Override, l.State, override.NewGate(l.Targets.Env, l.State))
	return err == nil && refusal == "", refusal, err
}

// promotes returns whether the process plays the promotion playbook of this
// collection and nothing else. Such a run is restricted like any other.
func (r Request) promotes() bool {
	names := texts(r.Options["args"], "")
	if !r.Playbooks || len(names) == 0 {
		return false
	}
	for _, name := range names {
		if name.text != promotionName && !samePath(name.text, r.PromotionPlaybook) {
			return false
		}
	}
	return true
}

func samePath(a, b string) bool {
	a, errA := realPath(a)
	b, errB := realPath(b)
	return errA == nil && errB == nil && a == b
}

func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// refusal returns why the command line or a source is refused; empty if neither is.
func (l Loader) refusal(ctx context.Context, r Request) (string, error) {
	var f findings
	if !r.Early {
		if r.ExtraVarsProblem != "" {
			return fmt.Sprintf("extra variables: cannot be read (%s), so they cannot be checked; correct them", r.ExtraVarsProblem), nil
		}
		f.extraVars(r.ExtraVars)
		f.options(r.Options)
	}
	for _, source := range r.Sources {
		if err := l.source(&f, r, source); err != nil {
			return "", err
		}
	}
	for _, target := range f.check {
		decisions, err := l.Targets.Check(ctx, target)
		if err != nil {
			f.refusals = append(f.refusals, err.Error())
			continue
		}
		for _, d := range decisions {
			if !d.Allowed {
				f.refuse("%s", Reason(d))
			}
		}
	}
	return strings.Join(f.refusals, "; "), nil
}

// Reason is a refused decision in one line.
func Reason(d boundary.Decision) string {
	text := fmt.Sprintf("%s: %s: %s", d.From, d.Target, d.Reason)
	if d.Rule != nil {
		text += " by " + d.Rule.String()
	}
	return text
}

// findings collects targets to decide about, and refusals that need no decision.
type findings struct {
	check    []boundary.Target
	refusals []string
}

func (f *findings) add(kind boundary.Kind, value, from string) {
	f.check = append(f.check, boundary.Target{Kind: kind, Value: value, From: from})
}

func (f *findings) refuse(format string, args ...any) {
	f.refusals = append(f.refusals, fmt.Sprintf(format, args...))
}

func (f *findings) texts(value any, from string) {
	for _, t := range texts(value, from) {
		f.add(targets.Text, t.text, t.from)
	}
}

func (f *findings) connection(value any, from string) {
	name, ok := value.(string)
	switch {
	case !ok:
		data, _ := json.Marshal(value) // it comes from JSON
		f.refuse("%s: the connection %s is not the name of a plugin; leave it out", from, data)
	case literal(name) && connections[name] == "":
		f.refuse("%s: the connection %s is not guarded; leave it out, or use %s", from, name, guardedSSH)
	}
}

func (f *findings) extraVars(extra map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		value, from := extra[name], "-e "+name
		text, isText := value.(string)
		switch {
		case name == "sandbox_boundary":
			f.refuse("%s: the boundary comes from the inventory; leave it out", from)
		case strings.HasPrefix(name, "ansible_") && strings.HasSuffix(name, "_connection"):
			f.connection(value, from)
		case slices.Contains([]string{"ansible_host", "ansible_ssh_host", "ansible_paramiko_host", "ansible_delegated_host"}, name) && isText && literal(text):
			f.add(targets.Destination, text, from)
			continue
		}
		f.texts(value, from)
	}
}

func (f *findings) options(options map[string]any) {
	for _, name := range []string{"ssh_common_args", "ssh_extra_args", "sftp_extra_args", "scp_extra_args"} {
		f.texts(options[name], "--"+strings.ReplaceAll(name, "_", "-"))
	}
	if connection := options["connection"]; connection != nil && connection != "" {
		f.connection(connection, "-c")
	}
	for _, option := range []struct{ name, from string }{{"subset", "--limit"}, {"module_args", "-a"}, {"args", "the command line"}, {"pattern", "the command line"}} {
		for _, t := range texts(options[option.name], option.from) {
			if _, err := os.Stat(t.text); option.name == "args" && err == nil {
				continue // a file, such as a playbook
			}
			f.add(targets.Text, t.text, t.from)
		}
	}
}

type located struct{ text, from string }

// texts returns every string of a value of JSON.
func texts(value any, from string) []located {
	var found []located
	switch v := value.(type) {
	case string:
		if v != "" {
			found = append(found, located{v, from})
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			found = append(found, texts(v[key], from+"."+key)...)
		}
	case []any:
		for i, inner := range v {
			found = append(found, texts(inner, fmt.Sprintf("%s[%d]", from, i))...)
		}
	}
	return found
}

// literal reports whether a text is not a template. The connection checks templates, once they are rendered.
func literal(text string) bool { return !strings.Contains(text, "{{") && !strings.Contains(text, "{%") }

// source looks at a source of the inventory other than the manifest's own
// directory: its hosts are connected to under the sandbox's name.
func (l Loader) source(f *findings, r Request, s inventorySource) error {
	from := "-i " + s.Name
	if s.Files == nil || strings.HasSuffix(s.Name, ",") {
		for host := range strings.SplitSeq(s.Name, ",") {
			if host = strings.TrimSpace(host); host != "" {
				f.add(targets.Destination, host, from)
			}
		}
		return nil
	}
	path, err := filepath.Abs(s.Name)
	if err != nil {
		return err
	}
	real, err := realPath(path)
	if err != nil {
		return err
	}
	// Several inventories may share a manifest through links; each has its own directory.
	own := filepath.Dir(l.Boundary)
	manifest, err := realPath(l.Boundary)
	if err != nil {
		return err
	}
	ownReal, err := realPath(own)
	if err != nil {
		return err
	}
	for _, home := range []string{ownReal, filepath.Dir(manifest)} {
		if real == home || filepath.Dir(real) == home {
			return nil
		}
	}
	if strings.HasPrefix(own, strings.TrimSuffix(path, "/")+"/") {
		f.refuse("%s: it contains the inventory %s, whose variables are not loaded from there; give that one", from, own)
		return nil
	}
	if second := manifestOf(s); second != "" && !samePath(second, l.Boundary) {
		f.refuse("%s: it has a boundary manifest, %s, beside %s, and a run has one; give one of the inventories", from, second, l.Boundary)
		return nil
	}
	f.add(targets.File, real, from)
	f.add(targets.Inventory, real, from)
	for _, file := range s.Files {
		switch plugin := inventoryPlugin(file, r.YAMLExtensions); {
		case executable(file):
			f.refuse("%s: %s is a program, which may connect anywhere; leave it out", from, file)
		case !slices.Contains(harmlessPlugins, plugin):
			f.refuse("%s: %s is for %s, which may query anything; leave it out", from, file, plugin)
		}
	}
	return nil
}

// manifestOf returns the boundary manifest that Ansible finds in a source; empty if there is none.
func manifestOf(s inventorySource) string {
	for _, file := range s.Files {
		below, err := filepath.Rel(s.Name, file)
		if base := filepath.Base(file); err != nil || base != "boundary.yml" && base != "boundary.yaml" {
			continue
		}
		directories := strings.Split(filepath.Dir(below), "/")
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() &&
			!slices.Contains(directories, "group_vars") && !slices.Contains(directories, "host_vars") { // these hold variables
			return file
		}
	}
	return ""
}

func executable(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode()&0o111 != 0
}
