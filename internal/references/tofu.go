// SPDX-License-Identifier: GPL-3.0-or-later

package references

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/lazyregexp"
	"github.com/arcodange-org/sandbox/internal/pathlink"
	"github.com/arcodange-org/sandbox/internal/tofu"
)

// tofu reads the states and the endpoints of providers of a root module: backend,
// cloud and provider blocks, remote states, and the files of `tofu init`. Values
// may refer to variables that have a value, and to locals.
func (r Reader) tofu(root Root) []Finding {
	t := &tofuReader{Reader: r, root: root, seen: map[string]bool{}, used: map[string]string{}, registries: map[string]string{}}
	module := t.load(root.Directory)
	if len(t.found) > 0 {
		return t.found
	}
	t.given()
	evaluator, failed := module.Evaluator(t.getenv, root.VarFiles)
	t.unread(failed...)
	t.evaluator = evaluator
	backend := false
	for _, block := range module.Blocks("terraform") {
		for _, inside := range t.inside(block, "backend", "cloud", "encryption") {
			switch inside.Type {
			case "encryption":
				t.encryption(inside)
				continue
			case "cloud":
				t.backend("cloud", evaluator.Values(inside), tofu.Position(inside))
			default:
				t.backend(inside.Labels[0], t.merged(evaluator.Values(inside)), tofu.Position(inside))
			}
			backend = true
		}
	}
	for _, block := range module.Blocks("provider") {
		t.provider(block.Labels[0], evaluator.Values(block), tofu.Position(block))
		t.mentions(block)
	}
	for _, block := range module.Blocks("data") {
		t.data(block)
	}
	for _, block := range module.Blocks("resource") {
		t.provisioners(block)
	}
	t.calls(module, evaluator)
	t.fetched()
	t.implicit(module.Blocks("provider"))
	if !backend {
		t.backend("local", t.merged(map[string]cty.Value{}), root.Directory)
	}
	t.initialised()
	return t.found
}

type tofuReader struct {
	Reader
	root       Root
	evaluator  *tofu.Evaluator   // of the root module
	seen       map[string]bool   // directories of modules
	used       map[string]string // providers that resources need, and the position of the first
	registries map[string]string // hosts that serve providers, and their positions
	found      []Finding
}

func (t *tofuReader) add(f ...Finding) { t.found = append(t.found, f...) }

func (t *tofuReader) problem(what, from, format string, args ...any) {
	t.add(problem(what, from, format, args...))
}

func (t *tofuReader) unread(failed ...*tofu.Error) {
	for _, err := range failed {
		t.problem("OpenTofu file", err.At, "it cannot be read (%s)", err.Reason)
	}
}

// load reads a module and notes the providers and registries that it needs.
func (t *tofuReader) load(directory string) *tofu.Module {
	module, failed := tofu.Load(directory)
	t.unread(failed...)
	t.seen[pathlink.Canonical(directory)] = true
	for _, kind := range []string{"resource", "data", "ephemeral"} {
		for _, block := range module.Blocks(kind) {
			provider, _, _ := strings.Cut(block.Labels[0], "_")
			t.use(provider, tofu.Position(block))
		}
	}
	for _, block := range module.Blocks("terraform") {
		t.renamed(block)
	}
	return module
}

// inside lists blocks within a block.
func (t *tofuReader) inside(block *hcl.Block, types ...string) []*hcl.Block {
	blocks, err := tofu.Inside(block, types...)
	if err != nil {
		t.unread(err)
	}
	return blocks
}

func (t *tofuReader) use(kind, from string) {
	if t.used[kind] == "" {
		t.used[kind] = from
	}
}

// data checks a data source that has an endpoint itself, not in a provider block.
func (t *tofuReader) data(block *hcl.Block) {
	n := &need{t: t, what: "data " + block.Labels[0], from: tofu.Position(block), values: t.evaluator.Values(block)}
	switch block.Labels[0] {
	case "terraform_remote_state":
		t.remoteState(block)
	case "tls_certificate":
		n.endpoint(n.maybe("url"))
	case "local_command":
		t.problem(n.what, n.from, "it runs a program, whose target is unknown")
	}
}

// renamed finds providers with the local name of another one.
func (t *tofuReader) renamed(block *hcl.Block) {
	for _, required := range t.inside(block, "required_providers") {
		for name, value := range (&tofu.Evaluator{}).Values(required) {
			source, known := tofu.Text(tofu.Object(value), "source")
			// init sends requests to its registry.
			if parts := strings.Split(source, "/"); len(parts) == 3 && !slices.Contains([]string{"registry.opentofu.org", "registry.terraform.io"}, strings.ToLower(parts[0])) {
				t.registries[parts[0]] = tofu.Position(required)
			}
			kind := source[strings.LastIndex(source, "/")+1:]
			if known && kind != "" && kind != name {
				t.use(kind, tofu.Position(required))
			}
		}
	}
}

// given finds arguments and settings from the environment, which are in no file.
func (t *tofuReader) given() {
	for _, entry := range t.Environ {
		name, _, _ := strings.Cut(entry, "=")
		value := t.getenv(name)
		leads := strings.HasPrefix(name, "TF_CLI_ARGS") && elsewhere.MatchString(value)
		if leads || name == "TF_ENCRYPTION" && value != "" {
			t.problem(name, "environment variable "+name, "it changes the root's configuration from outside its files; unset it")
		}
	}
}

var elsewhere = lazyregexp.New(`-(?:backend|var|state|chdir|from-module|plugin-dir)`)

// provisioners run on this machine, or connect to another without a provider.
func (t *tofuReader) provisioners(block *hcl.Block) {
	what := block.Labels[0] + "." + block.Labels[1]
	connections, others := 0, false
	look := func(found []*hcl.Block) {
		for _, connection := range found {
			n := &need{t: t, what: "connection of " + what, from: tofu.Position(connection), values: t.evaluator.Values(connection)}
			connections++
			n.add(boundary.Host, n.must("host"))
			n.add(boundary.Host, n.maybe("bastion_host"))
			n.add(boundary.Host, n.maybe("proxy_host"))
		}
	}
	for _, inside := range t.inside(block, "connection", "provisioner") {
		switch {
		case inside.Type == "connection":
			look([]*hcl.Block{inside})
		case inside.Labels[0] == "remote-exec" || inside.Labels[0] == "file":
			others = true
			look(t.inside(inside, "connection"))
		default:
			t.problem("provisioner "+inside.Labels[0]+" of "+what, tofu.Position(inside), "it runs a program, whose target is unknown")
		}
	}
	if others && connections == 0 {
		t.problem("provisioner of "+what, tofu.Position(block), "it has no connection, so its target is unknown")
	}
}

// implicit checks the registries of providers, and providers that resources need without a provider block: the environment configures them.
func (t *tofuReader) implicit(configured []*hcl.Block) {
	for _, host := range slices.Sorted(maps.Keys(t.registries)) {
		(&need{t: t, from: t.registries[host]}).endpoint(host)
	}
	for _, kind := range slices.Sorted(maps.Keys(t.used)) {
		if !slices.ContainsFunc(configured, func(block *hcl.Block) bool { return block.Labels[0] == kind }) {
			t.provider(kind, map[string]cty.Value{}, t.used[kind])
		}
	}
}

// calls reads the local modules that the root calls, since they may have providers too.
func (t *tofuReader) calls(module *tofu.Module, evaluator *tofu.Evaluator) {
	for _, block := range module.Blocks("module") {
		n := &need{t: t, what: "module " + block.Labels[0], from: tofu.Position(block), values: evaluator.Values(block)}
		source := n.must("source")
		switch {
		case n.failed:
		case strings.HasPrefix(source, "./") || strings.HasPrefix(source, "../"):
			directory := filepath.Join(module.Directory, source)
			if t.seen[pathlink.Canonical(directory)] {
				continue
			}
			t.called(directory)
		default:
			t.source(n, source)
		}
	}
}

// called checks a module that is not the root.
func (t *tofuReader) called(directory string) {
	module := t.load(directory)
	for _, provider := range module.Blocks("provider") {
		t.problem("provider "+provider.Labels[0], tofu.Position(provider), "it is in a module, where its values are unknown; move it to the root")
	}
	for _, data := range module.Blocks("data") {
		if slices.Contains([]string{"terraform_remote_state", "tls_certificate", "local_command"}, data.Labels[0]) {
			t.problem("data "+data.Labels[0]+" "+data.Labels[1], tofu.Position(data), "it is in a module, where its values are unknown; move it to the root")
		}
	}
	for _, resource := range module.Blocks("resource") {
		for _, inside := range t.inside(resource, "connection", "provisioner") {
			t.problem(inside.Type+" of "+resource.Labels[0]+"."+resource.Labels[1], tofu.Position(inside), "it is in a module, where its values are unknown; move it to the root")
		}
	}
	t.calls(module, &tofu.Evaluator{}) // its variables are not known
}

var (
	forge    = lazyregexp.New(`^(?:github\.com|bitbucket\.org)/[^/]+/[^/]+`)
	registry = lazyregexp.New(`^(?:([^/]+\.[^/]+)/)?[^/:.]+/[^/:.]+/[^/:.]+$`)
)

// source checks the source of a module. A registry, which serves providers too, must be listed unless it is the default one.
func (t *tofuReader) source(n *need, source string) {
	bare, _, _ := strings.Cut(source, "?")
	scheme, rest, found := strings.Cut(bare, "://")
	if path, _, within := strings.Cut(rest, "//"); found && within {
		bare = scheme + "://" + path
	} else if !found {
		bare, _, _ = strings.Cut(bare, "//")
	}
	switch address, git := strings.CutPrefix(bare, "git::"); {
	case git:
		n.add(boundary.Git, address)
	case strings.HasPrefix(bare, "git@"):
		n.add(boundary.Git, bare)
	case forge.MatchString(bare):
		n.add(boundary.Git, "https://"+forge.FindString(bare))
	case strings.HasPrefix(bare, "https://"), strings.HasPrefix(bare, "http://"):
		n.endpoint(bare)
	case registry.MatchString(bare):
		if host := registry.FindStringSubmatch(bare)[1]; host != "" {
			n.endpoint(host)
		}
	default:
		t.problem(n.what, n.from, "its source %s is unknown: keep it in the tree, or give it as git::", bare)
	}
}

// fetched checks the modules that `tofu init` has fetched.
func (t *tofuReader) fetched() {
	path := filepath.Join(t.dataDirectory(), "modules", "modules.json")
	data, err := read(path)
	if os.IsNotExist(err) {
		return
	}
	var listed struct{ Modules []struct{ Dir string } }
	if err == nil && json.Unmarshal(data, &listed) != nil {
		err = errors.New("it is not what `tofu init` writes")
	}
	if err != nil {
		t.problem("fetched modules", path, "they cannot be read (%s)", reason(err))
		return
	}
	for _, module := range listed.Modules {
		if directory := t.expand(module.Dir, t.root.Directory); !t.seen[pathlink.Canonical(directory)] {
			t.called(directory)
		}
	}
}

func (t *tofuReader) dataDirectory() string {
	directory := t.getenv("TF_DATA_DIR")
	if directory == "" {
		directory = ".terraform"
	}
	return t.expand(directory, t.root.Directory)
}
