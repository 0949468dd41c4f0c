// SPDX-License-Identifier: GPL-3.0-or-later

package references

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/lazyregexp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// tofu reads what of a root module says where states lie and where providers
// lead: backend, cloud and provider blocks, remote states, and what `tofu init`
// wrote down. Values may refer to variables that have a value, and to locals.
func (r Reader) tofu(root Root) []Finding {
	t := &tofuReader{Reader: r, root: root, parser: hclparse.NewParser(), vars: map[string]cty.Value{}, locals: map[string]cty.Value{}, seen: map[string]bool{}, used: map[string]string{}, registries: map[string]string{}}
	bodies := t.module(root.Directory)
	if len(t.found) > 0 {
		return t.found
	}
	t.given()
	t.variables(bodies)
	t.local(bodies)
	backend := false
	for _, body := range bodies {
		for _, block := range body.blocks["terraform"] {
			for _, inside := range t.inside(block, "backend", "cloud", "encryption") {
				switch inside.Type {
				case "encryption":
					t.encryption(inside)
					continue
				case "cloud":
					t.backend("cloud", t.values(inside), rangeOf(inside))
				default:
					t.backend(inside.Labels[0], t.merged(t.values(inside)), rangeOf(inside))
				}
				backend = true
			}
		}
		for _, block := range body.blocks["provider"] {
			t.provider(block.Labels[0], t.values(block), rangeOf(block))
			t.mentions(block)
		}
		for _, block := range body.blocks["data"] {
			t.data(block)
		}
		for _, block := range body.blocks["resource"] {
			t.provisioners(block)
		}
		t.calls(body)
	}
	t.fetched()
	t.implicit(bodies)
	if !backend {
		t.backend("local", t.merged(map[string]cty.Value{}), root.Directory)
	}
	t.initialised()
	return t.found
}

type tofuReader struct {
	Reader
	root       Root
	parser     *hclparse.Parser
	vars       map[string]cty.Value
	locals     map[string]cty.Value
	known      *hcl.EvalContext  // both of these, once they are complete
	seen       map[string]bool   // directories of modules
	used       map[string]string // providers that resources need, and where the first of those stands
	registries map[string]string // hosts that serve providers, and where they stand
	found      []Finding
}

// body is a file's blocks by type.
type body struct {
	directory string
	blocks    map[string][]*hcl.Block
}

func rangeOf(b *hcl.Block) string { return at(b.DefRange.Filename, b.DefRange.Start.Line) }

func (t *tofuReader) add(f ...Finding) { t.found = append(t.found, f...) }

func (t *tofuReader) problem(what, from, format string, args ...any) {
	t.add(problem(what, from, format, args...))
}

var moduleSchema = &hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
	{Type: "terraform"}, {Type: "provider", LabelNames: []string{"name"}}, {Type: "variable", LabelNames: []string{"name"}}, {Type: "locals"},
	{Type: "module", LabelNames: []string{"name"}}, {Type: "data", LabelNames: []string{"type", "name"}}, {Type: "resource", LabelNames: []string{"type", "name"}},
	{Type: "ephemeral", LabelNames: []string{"type", "name"}}, {Type: "check", LabelNames: []string{"name"}},
}}

// override tells whether a file's values replace those of all files that are none, however they are called.
func override(name string) bool {
	base, _, _ := strings.Cut(name, ".")
	return base == "override" || strings.HasSuffix(base, "_override")
}

// module reads the files of a module, or finds a problem.
func (t *tofuReader) module(directory string) []body {
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.problem("OpenTofu root", directory, "it cannot be read (%s)", reason(err))
		return nil
	}
	slices.SortStableFunc(entries, func(a, b os.DirEntry) int {
		return strings.Compare(strconv.FormatBool(override(a.Name())), strconv.FormatBool(override(b.Name())))
	})
	t.seen[oneOf(directory)] = true
	var bodies []body
	for _, entry := range entries {
		name := entry.Name()
		isJSON := strings.HasSuffix(name, ".tf.json") || strings.HasSuffix(name, ".tofu.json")
		if strings.HasPrefix(name, ".") || entry.IsDir() || !isJSON && !strings.HasSuffix(name, ".tf") && !strings.HasSuffix(name, ".tofu") {
			continue
		}
		path := filepath.Join(directory, name)
		file := t.file(path, isJSON)
		if file == nil {
			continue
		}
		content, _, diagnostics := file.Body.PartialContent(moduleSchema)
		if diagnostics.HasErrors() {
			t.diagnosed(path, diagnostics)
			continue
		}
		b := body{directory, map[string][]*hcl.Block{}}
		for _, block := range content.Blocks {
			b.blocks[block.Type] = append(b.blocks[block.Type], block)
			if block.Type == "check" { // it has a source of data of its own
				b.blocks["data"] = append(b.blocks["data"], t.inside(block, "data")...)
			}
		}
		for _, block := range slices.Concat(b.blocks["resource"], b.blocks["data"], b.blocks["ephemeral"]) {
			kind, _, _ := strings.Cut(block.Labels[0], "_")
			t.use(kind, rangeOf(block))
		}
		for _, block := range b.blocks["terraform"] {
			t.renamed(block)
		}
		bodies = append(bodies, b)
	}
	if len(bodies) == 0 && len(t.found) == 0 {
		t.problem("OpenTofu root", directory, "it holds no configuration")
	}
	return bodies
}

// oneOf is a directory by one path, whatever links led there: a link to its own directory would never end.
func oneOf(directory string) string {
	if real, err := filepath.EvalSymlinks(directory); err == nil {
		return real
	}
	return filepath.Clean(directory)
}

func (t *tofuReader) use(kind, from string) {
	if t.used[kind] == "" {
		t.used[kind] = from
	}
}

// data judges a source of data that itself leads somewhere, which no block of a provider says.
func (t *tofuReader) data(block *hcl.Block) {
	n := &need{t: t, what: "data " + block.Labels[0], from: rangeOf(block), values: t.values(block)}
	switch block.Labels[0] {
	case "terraform_remote_state":
		t.remoteState(block)
	case "tls_certificate":
		n.endpoint(n.maybe("url"))
	case "local_command":
		t.problem(n.what, n.from, "it runs a program, whose target is unknown")
	}
}

// renamed finds providers that a module calls by the name of another.
func (t *tofuReader) renamed(block *hcl.Block) {
	for _, required := range t.inside(block, "required_providers") {
		for name, value := range t.values(required) {
			source, known := text(object(value), "source")
			// Its registry is asked before anything of it is run.
			if parts := strings.Split(source, "/"); len(parts) == 3 && !slices.Contains([]string{"registry.opentofu.org", "registry.terraform.io"}, strings.ToLower(parts[0])) {
				t.registries[parts[0]] = rangeOf(required)
			}
			kind := source[strings.LastIndex(source, "/")+1:]
			if known && kind != "" && kind != name {
				t.use(kind, rangeOf(required))
			}
		}
	}
}

func (t *tofuReader) file(path string, isJSON bool) *hcl.File {
	data, err := read(path)
	if err == nil && (len(data) > maxTofu || deep(data)) {
		err = errors.New("it is too large, or nested too deep")
	}
	if err != nil {
		t.problem("OpenTofu file", path, "it cannot be read (%s)", reason(err))
		return nil
	}
	parse := t.parser.ParseHCL
	if isJSON {
		parse = t.parser.ParseJSON
	}
	file, diagnostics := parse(data, path)
	if diagnostics.HasErrors() {
		t.diagnosed(path, diagnostics)
		return nil
	}
	return file
}

// maxTofu is far more than a file of OpenTofu's holds.
const maxTofu = 1 << 20

// deep tells whether brackets or templates are nested so deep that hcl, which has no limit of its own, would run out of stack or of time.
func deep(data []byte) bool {
	if bytes.Count(data, []byte("%{")) > 1000 || bytes.Count(data, []byte("<<")) > 1000 {
		return true
	}
	depth := 0
	for _, c := range data {
		switch c {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth = max(0, depth-1)
		}
		if depth > 1000 {
			return true
		}
	}
	return false
}

// diagnosed keeps place and summary; the detail may quote a value.
func (t *tofuReader) diagnosed(path string, diagnostics hcl.Diagnostics) {
	first := diagnostics.Errs()[0]
	var d *hcl.Diagnostic
	where, summary := path, "it cannot be parsed"
	if errors.As(first, &d) {
		if d.Subject != nil {
			where = at(d.Subject.Filename, d.Subject.Start.Line)
		}
		summary = d.Summary
	}
	t.problem("OpenTofu file", where, "it cannot be read (%s)", summary)
}

// inside lists blocks within a block.
func (t *tofuReader) inside(block *hcl.Block, types ...string) []*hcl.Block {
	schema := &hcl.BodySchema{}
	for _, kind := range types {
		header := hcl.BlockHeaderSchema{Type: kind}
		switch kind {
		case "backend", "provisioner":
			header.LabelNames = []string{"type"}
		case "data", "key_provider", "method":
			header.LabelNames = []string{"type", "name"}
		}
		schema.Blocks = append(schema.Blocks, header)
	}
	content, _, diagnostics := block.Body.PartialContent(schema)
	if diagnostics.HasErrors() {
		t.diagnosed(block.DefRange.Filename, diagnostics)
	}
	return content.Blocks
}

// eval is what an expression comes to; unknown if that cannot be told, or not within bounds.
func (t *tofuReader) eval(expression hcl.Expression) cty.Value {
	scope := t.known
	if scope == nil {
		scope = t.scope()
	}
	return evalIn(scope, expression)
}

func evalIn(scope *hcl.EvalContext, expression hcl.Expression) cty.Value {
	loops := 0
	parts, ok := nodes(expression)
	for _, node := range parts {
		if _, isLoop := node.(*hclsyntax.ForExpr); isLoop {
			loops++
		}
	}
	if !ok || loops > 1 || len(expression.Variables()) > 1000 {
		return cty.DynamicVal
	}
	value, diagnostics := expression.Value(scope)
	if diagnostics.HasErrors() {
		return cty.DynamicVal
	}
	return bounded(value)
}

// nodes are the parts of an expression. In JSON those are of the templates that
// its strings and keys are; ok is false if they cannot be told, or are nested too deep.
func nodes(expression hcl.Expression) (all []hclsyntax.Node, ok bool) {
	visit := func(node hclsyntax.Node) {
		_ = hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
			all = append(all, n)
			return nil
		})
	}
	if native, isNative := expression.(hclsyntax.Node); isNative {
		visit(native)
		return all, true
	}
	// Without a scope a string of JSON is what it says.
	raw, diagnostics := expression.Value(nil)
	if diagnostics.HasErrors() {
		return nil, false
	}
	for _, text := range stringsOf(nil, raw) {
		if deep([]byte(text)) {
			return all, false
		}
		template, diagnostics := hclsyntax.ParseTemplate([]byte(text), expression.Range().Filename, hcl.InitialPos)
		if diagnostics.HasErrors() {
			return all, false
		}
		visit(template)
	}
	return all, true
}

// bounded is a value that others may be made of. One that is larger than any
// setting is unknown: a few lines, each twice the one before, would fill the memory.
func bounded(value cty.Value) cty.Value {
	left := 16 << 10
	var fits func(cty.Value) bool
	fits = func(v cty.Value) bool {
		if left--; left < 0 {
			return false
		}
		if v, _ = v.Unmark(); !v.IsKnown() || v.IsNull() {
			return true
		}
		if v.Type() == cty.String {
			left -= len(v.AsString())
			return left >= 0
		}
		if v.CanIterateElements() {
			for it := v.ElementIterator(); it.Next(); {
				if _, element := it.Element(); !fits(element) {
					return false
				}
			}
		}
		return true
	}
	if !fits(value) {
		return cty.DynamicVal
	}
	return value
}

func (t *tofuReader) scope() *hcl.EvalContext {
	return &hcl.EvalContext{Variables: map[string]cty.Value{
		"var": cty.ObjectVal(t.vars), "local": cty.ObjectVal(t.locals),
		"path":      cty.ObjectVal(map[string]cty.Value{"module": cty.StringVal("."), "root": cty.StringVal("."), "cwd": cty.StringVal(".")}),
		"terraform": cty.ObjectVal(map[string]cty.Value{"workspace": cty.UnknownVal(cty.String)}),
	}}
}

// values are what stands in a block: attributes, and blocks within as objects,
// several of one type as a tuple. What cannot be told is unknown.
func (t *tofuReader) values(block *hcl.Block) map[string]cty.Value { return t.valuesOf(block.Body) }

func (t *tofuReader) valuesOf(body hcl.Body) map[string]cty.Value {
	values := map[string]cty.Value{}
	attributes, _ := body.JustAttributes() // its diagnostics are about the blocks; in JSON all are attributes
	for name, attribute := range attributes {
		values[name] = t.eval(attribute.Expr)
	}
	native, ok := body.(*hclsyntax.Body)
	if !ok {
		return values
	}
	blocks := map[string][]cty.Value{}
	for _, block := range native.Blocks {
		if block.Type == "dynamic" {
			blocks[strings.Join(block.Labels, ".")] = []cty.Value{cty.DynamicVal}
			continue
		}
		blocks[block.Type] = append(blocks[block.Type], cty.ObjectVal(t.valuesOf(block.Body)))
	}
	for kind, list := range blocks {
		if len(list) == 1 {
			values[kind] = list[0]
		} else {
			values[kind] = cty.TupleVal(list)
		}
	}
	return values
}

// flat lists the attributes of values and of all objects in them.
func flat(values map[string]cty.Value) []map[string]cty.Value {
	all := []map[string]cty.Value{values}
	var within func(cty.Value)
	within = func(v cty.Value) {
		if !v.IsKnown() || v.IsNull() || !v.CanIterateElements() {
			return
		}
		if v.Type().IsObjectType() || v.Type().IsMapType() {
			all = append(all, v.AsValueMap())
		}
		for it := v.ElementIterator(); it.Next(); {
			_, element := it.Element()
			within(element)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		within(values[name])
	}
	return all
}

// variables takes the values that variables have: defaults, the environment, the files that are read unasked, then those that are named.
func (t *tofuReader) variables(bodies []body) {
	for _, b := range bodies {
		for _, block := range b.blocks["variable"] {
			attributes, _ := block.Body.JustAttributes()
			value, before := t.vars[block.Labels[0]]
			if d := attributes["default"]; d != nil {
				value = evalIn(nil, d.Expr)
			} else if !before {
				value = cty.DynamicVal
			}
			if env := t.getenv("TF_VAR_" + block.Labels[0]); env != "" {
				value = bounded(cty.StringVal(env))
			}
			t.vars[block.Labels[0]] = value
		}
	}
	names := []string{"terraform.tfvars", "terraform.tfvars.json"}
	entries, _ := os.ReadDir(t.root.Directory)
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".auto.tfvars") || strings.HasSuffix(entry.Name(), ".auto.tfvars.json") {
			names = append(names, entry.Name())
		}
	}
	var files []string
	for _, name := range names {
		path := filepath.Join(t.root.Directory, name)
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			files = append(files, path)
		}
	}
	for _, path := range append(files, t.root.VarFiles...) {
		maps.Copy(t.vars, t.attributes(path))
	}
}

// attributes reads a file of values.
func (t *tofuReader) attributes(path string) map[string]cty.Value {
	values := map[string]cty.Value{}
	file := t.file(path, strings.HasSuffix(path, ".json"))
	if file == nil {
		return values
	}
	attributes, diagnostics := file.Body.JustAttributes()
	if diagnostics.HasErrors() {
		t.diagnosed(path, diagnostics)
	}
	for name, attribute := range attributes {
		values[name] = evalIn(nil, attribute.Expr)
	}
	return values
}

// local computes locals until no more of them become known. A chain of more than 100 stays unknown.
func (t *tofuReader) local(bodies []body) {
	all := map[string]*hcl.Attribute{}
	for _, b := range bodies {
		for _, block := range b.blocks["locals"] {
			attributes, _ := block.Body.JustAttributes()
			maps.Copy(all, attributes)
		}
	}
	for name := range all {
		t.locals[name] = cty.DynamicVal
	}
	t.known = t.scope()
	for range 100 {
		more := false
		next := map[string]cty.Value{}
		for name, attribute := range all {
			if value := t.eval(attribute.Expr); value.IsWhollyKnown() {
				next[name], more = value, true
				delete(all, name)
			} else if !value.RawEquals(t.locals[name]) {
				next[name], more = value, true // known in parts
			}
		}
		if !more {
			return
		}
		maps.Copy(t.locals, next)
		t.known = t.scope()
	}
}

// merged puts the files of -backend-config over what stands in the block.
func (t *tofuReader) merged(values map[string]cty.Value) map[string]cty.Value {
	for _, path := range t.root.BackendConfigs {
		maps.Copy(values, t.attributes(path))
	}
	return values
}

// text is an attribute as a string; known is false if it stands there but cannot be told.
func text(values map[string]cty.Value, name string) (value string, known bool) {
	v, ok := values[name]
	if !ok || v.IsKnown() && v.IsNull() {
		return "", true
	}
	v, _ = v.Unmark()
	s, err := convert.Convert(v, cty.String)
	if err != nil || !s.IsKnown() || s.IsNull() {
		return "", false
	}
	return s.AsString(), true
}

// texts are an attribute's strings, be it one, a list of them, or an object of them.
func texts(values map[string]cty.Value, name string) ([]string, bool) {
	v, ok := values[name]
	if !ok || v.IsKnown() && v.IsNull() {
		return nil, true
	}
	if !v.IsWhollyKnown() {
		return nil, false
	}
	if !v.CanIterateElements() {
		one, known := text(values, name)
		return []string{one}, known
	}
	var all []string
	for it := v.ElementIterator(); it.Next(); {
		_, element := it.Element()
		one, known := texts(map[string]cty.Value{"": element}, "")
		if !known {
			return nil, false
		}
		all = append(all, one...)
	}
	return all, true
}

// need hands out attributes as strings and finds a problem for each that cannot be told, or that is missing though it must not.
type need struct {
	t      *tofuReader
	what   string
	from   string
	values map[string]cty.Value
	failed bool
}

func (n *need) maybe(name string) string {
	value, known := text(n.values, name)
	if !known && !n.failed {
		n.failed = true
		n.t.problem(n.what, n.from, "its %s cannot be known before it runs", name)
	}
	return value
}

func (n *need) must(name string) string {
	value := n.maybe(name)
	if value == "" && !n.failed {
		n.failed = true
		n.t.problem(n.what, n.from, "it has no %s, so the command line or the environment decides", name)
	}
	return value
}

func (n *need) all(name string) []string {
	values, known := texts(n.values, name)
	if !known && !n.failed {
		n.failed = true
		n.t.problem(n.what, n.from, "its %s cannot be known before it runs", name)
	}
	return values
}

func (n *need) add(kind boundary.Kind, value string) {
	if !n.failed && value != "" {
		n.t.add(target(kind, value, n.from))
	}
}

// given finds what the environment adds to the command line or to the configuration, which no file shows.
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

// encryption judges who is asked for the keys of states and plans.
func (t *tofuReader) encryption(block *hcl.Block) {
	for _, inside := range t.inside(block, "key_provider", "method") {
		kind := inside.Labels[0]
		n := &need{t: t, what: inside.Type + " " + kind, from: rangeOf(inside), values: t.values(inside)}
		cloud := map[string]string{"aws_kms": "aws", "gcp_kms": "google", "azure_vault": "azurerm"}[kind]
		switch {
		case kind == "pbkdf2" || kind == "aes_gcm" || kind == "unencrypted":
		case kind == "openbao":
			if n.values["address"] == cty.NilVal && t.getenv("BAO_ADDR") != "" {
				n.add(boundary.Vault, t.getenv("BAO_ADDR"))
			} else {
				n.add(boundary.Vault, n.must("address"))
			}
		case cloud != "":
			n.endpoints("endpoint", "endpoints", "http_proxy", "https_proxy")
			n.add(boundary.TofuProvider, cloud)
		default:
			t.problem(n.what, n.from, "it runs a program or is unknown, so its target is unknown")
		}
	}
}

// provisioners are run on this machine, or connect to another without any provider.
func (t *tofuReader) provisioners(block *hcl.Block) {
	what := block.Labels[0] + "." + block.Labels[1]
	connections, others := 0, false
	look := func(found []*hcl.Block) {
		for _, connection := range found {
			n := &need{t: t, what: "connection of " + what, from: rangeOf(connection), values: t.values(connection)}
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
			t.problem("provisioner "+inside.Labels[0]+" of "+what, rangeOf(inside), "it runs a program, whose target is unknown")
		}
	}
	if others && connections == 0 {
		t.problem("provisioner of "+what, rangeOf(block), "it has no connection, so its target is unknown")
	}
}

// backend turns a backend's settings into the state that it keeps and the hosts that it asks.
func (t *tofuReader) backend(kind string, values map[string]cty.Value, from string) {
	n := &need{t: t, what: "backend " + kind, from: from, values: values}
	switch kind {
	case "local":
		path := n.maybe("path")
		if path == "" {
			path = "terraform.tfstate"
		}
		if directory := n.maybe("workspace_dir"); directory != "" {
			n.add(boundary.TofuState, "local:"+t.expand(directory, t.root.Directory))
		}
		root, err := filepath.Abs(t.root.Directory)
		if err != nil {
			t.problem(n.what, from, "its location is unknown")
			return
		}
		if !strings.HasPrefix(path, "~/") && !filepath.IsAbs(path) {
			path = root + "/" + path
		}
		n.add(boundary.TofuState, "local:"+shortened(t.expand(path, root)))
	case "gcs":
		location := n.must("bucket")
		if prefix := strings.Trim(n.maybe("prefix"), "/"); prefix != "" {
			location += "/" + prefix
		}
		n.endpoints("storage_custom_endpoint")
		n.add(boundary.TofuState, "gcs:"+location)
	case "s3":
		n.endpoints("endpoint", "endpoints", "iam_endpoint", "sts_endpoint", "dynamodb_endpoint", "http_proxy", "https_proxy")
		n.add(boundary.TofuState, "s3:"+n.must("bucket")+"/"+n.must("key"))
		// States of workspaces lie beside that of the default one.
		if prefix := strings.Trim(n.maybe("workspace_key_prefix"), "/"); prefix != "" {
			n.add(boundary.TofuState, "s3:"+n.must("bucket")+"/"+prefix+"/"+n.must("key"))
		}
	case "azurerm":
		n.add(boundary.TofuState, "azurerm:"+n.must("storage_account_name")+"/"+n.must("container_name")+"/"+n.must("key"))
	case "http":
		address := n.must("address")
		n.endpoints("address", "lock_address", "unlock_address")
		for _, name := range []string{"lock_address", "unlock_address"} {
			if _, given := values[name]; !given {
				n.endpoint(t.getenv("TF_HTTP_" + strings.ToUpper(name)))
			}
		}
		n.add(boundary.TofuState, "http:"+withoutUser(address))
	case "pg":
		n.add(boundary.Database, n.must("conn_str"))
	case "consul":
		n.endpoint(n.must("address"))
		n.add(boundary.TofuState, "consul:"+n.must("path"))
	case "kubernetes":
		t.cluster(n)
	case "remote", "cloud":
		host := n.maybe("hostname")
		if host == "" {
			host = "app.terraform.io"
		}
		n.add(boundary.TofuState, "remote:"+host+"/"+n.must("organization"))
	case "inmem":
	default:
		t.problem(n.what, from, "its type is unknown, and so is its location")
	}
}

// withoutUser is a URL without user and password. Its query stays: there are
// servers that keep several states at one path.
func withoutUser(url string) string {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		return url
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, path := rest[:end], rest[end:]
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		authority = authority[at+1:]
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return scheme + "://" + authority + path
}

func (n *need) endpoints(names ...string) {
	for _, name := range names {
		for _, value := range n.all(name) {
			n.endpoint(value)
		}
	}
}

func (n *need) endpoint(value string) {
	if value != "" && !strings.Contains(value, "://") {
		value = "https://" + value
	}
	n.add(boundary.Endpoint, value)
}

// Providers without an endpoint.
var nowhere = []string{"archive", "cloudinit", "local", "null", "random", "template", "terraform", "time", "tls"}

// Providers whose endpoint depends on credentials or resources.
// A place that one of them names is that of one service among many: its others
// are still asked where they always are.
var anywhere = []string{
	// clouds, and whoever else has many services
	"alicloud", "aws", "awscc", "azapi", "azuread", "azuredevops", "azurerm", "azurestack", "cloudscale", "cloudstack", "confluent", "databricks", "digitalocean", "exoscale",
	"flexibleengine", "google", "google-beta", "googleworkspace", "gridscale", "hcloud", "hcp", "heroku", "huaweicloud", "ibm", "ionoscloud", "linode", "mongodbatlas", "newrelic", "oci",
	"opentelekomcloud", "openstack", "ovh", "scaleway", "selectel", "snowflake", "stackit", "tencentcloud", "upcloud", "vercel", "volcengine", "vultr", "yandex",
	// names and what stands before them
	"akamai", "bunnynet", "cloudflare", "constellix", "desec", "dnsimple", "fastly", "gandi", "godaddy", "hetznerdns", "infomaniak", "inwx", "namecheap", "netlify", "ns1", "porkbun", "ultradns",
	// a place of their own, or a program, in every resource
	"ansible", "command", "external", "http", "powershell", "remote", "scp", "shell", "ssh", "sshcommand",
}

var (
	kindOfProvider = lazyregexp.New(`^[a-z0-9_-]+$`)
	// What most providers call the place that they lead to, and what others are called.
	placeName  = lazyregexp.New(`^(?:address|addresses|api_url|auth_url|base_url|endpoint|endpoints|host|hosts|hostname|server|server_addr|uri|url)$`)
	otherPlace = lazyregexp.New(`_(?:url|urls|uri|uris|endpoint|endpoints|host|hosts|hostname|server|servers)$`)
)

// provider turns a provider's settings into what it leads to.
func (t *tofuReader) provider(kind string, values map[string]cty.Value, from string) {
	kind = strings.ToLower(kind) // OpenTofu tells no cases apart
	n := &need{t: t, what: "provider " + kind, from: from, values: values}
	asked := false // about every place that may be named
	switch kind {
	case "postgresql", "mysql", "mariadb":
		host := n.maybe("host")
		if endpoint := n.maybe("endpoint"); host == "" {
			host = endpoint
		}
		if host == "" && !n.failed {
			t.problem(n.what, from, "it has no host, so the environment decides")
			return
		}
		if port := n.maybe("port"); port != "" && !strings.Contains(strings.Trim(host, "[]"), ":") {
			if number, err := strconv.Atoi(port); err != nil || number < 1 || number > 65535 {
				t.problem(n.what, from, "its port must be 1-65535")
				return
			}
			host += ":" + port
		}
		n.add(boundary.Database, host)
		n.endpoints("proxy")
		n.jump()
	case "vault":
		address := n.maybe("address")
		if address == "" && !n.failed {
			if address = t.getenv("VAULT_ADDR"); address == "" {
				t.problem(n.what, from, "it has no address, so the environment decides")
			}
		}
		n.add(boundary.Vault, address)
	case "kubernetes", "kubectl", "kustomization":
		t.cluster(n)
	case "helm":
		inner := *n
		inner.values = object(values["kubernetes"])
		t.cluster(&inner)
	case "docker":
		host := n.maybe("host")
		if n.maybe("context") != "" {
			t.problem(n.what, from, "it names a context, which is defined elsewhere; give its host")
		}
		for _, auth := range flat(map[string]cty.Value{"": values["registry_auth"]})[1:] {
			(&need{t: t, what: n.what, from: from, values: auth}).endpoints("address")
		}
		if host == "" {
			host = t.getenv("DOCKER_HOST")
		}
		if host != "" && !n.failed {
			t.add(dockerHost(host, from)...)
		} else if !n.failed {
			t.add(t.DockerContext()...)
		}
	default:
		if slices.Contains(nowhere, kind) {
			return
		}
		places := 0
		for _, values := range flat(values) {
			inner := &need{t: t, what: n.what, from: from, values: values}
			for _, name := range slices.Sorted(maps.Keys(values)) {
				main := placeName.MatchString(name)
				if kind := values[name].Type(); !main && (kind == cty.Bool || kind == cty.Number || !otherPlace.MatchString(name)) {
					continue
				}
				for _, value := range inner.all(name) {
					if main && value != "" { // any other leads beside it, not instead of it
						places++
					}
					inner.endpoint(value)
				}
			}
			n.failed = n.failed || inner.failed
		}
		if (places == 0 || slices.Contains(anywhere, kind) || !kindOfProvider.MatchString(kind)) && !n.failed {
			n.add(boundary.TofuProvider, kind)
		}
		asked = true
	}
	n.endpoints("http_proxy", "https_proxy")
	if !asked && !slices.Contains([]string{"kubernetes", "kubectl", "kustomization"}, kind) { // those have been asked
		n.endpoints("proxy_url")
	}
}

// mentions searches a provider's block for production, which may stand under any
// name: what is known of its values, and where one is not, what is written there.
func (t *tofuReader) mentions(block *hcl.Block) {
	said := map[string][]string{}
	var look func(body hcl.Body, name string)
	look = func(body hcl.Body, within string) {
		attributes, _ := body.JustAttributes() // its diagnostics are about the blocks; in JSON all are attributes
		for name, attribute := range attributes {
			key := cmp.Or(within, name)
			value := t.eval(attribute.Expr)
			said[key] = stringsOf(said[key], value)
			if !value.IsWhollyKnown() {
				said[key] = append(said[key], written(attribute.Expr)...)
			}
		}
		if native, ok := body.(*hclsyntax.Body); ok {
			for _, inner := range native.Blocks {
				look(inner.Body, cmp.Or(within, inner.Type))
			}
		}
	}
	look(block.Body, "")
	for _, name := range slices.Sorted(maps.Keys(said)) {
		if text := strings.Join(said[name], "\n"); text != "" {
			t.add(search("provider "+block.Labels[0]+", "+name, text, rangeOf(block)))
		}
	}
}

// stringsOf adds all strings and numbers that are known of a value, keys included.
func stringsOf(all []string, v cty.Value) []string {
	v, _ = v.Unmark()
	switch {
	case v == cty.NilVal || !v.IsKnown() || v.IsNull():
	case v.Type() == cty.String:
		all = append(all, v.AsString())
	case v.Type() == cty.Number: // an address is one as well
		all = append(all, v.AsBigFloat().Text('f', -1))
	case v.CanIterateElements():
		for it := v.ElementIterator(); it.Next(); {
			key, element := it.Element()
			all = stringsOf(stringsOf(all, key), element)
		}
	}
	return all
}

// written are the strings that stand in an expression, whatever it makes of them.
func written(expression hcl.Expression) []string {
	if _, native := expression.(hclsyntax.Node); !native {
		raw, _ := expression.Value(nil)
		return stringsOf(nil, raw)
	}
	var all []string
	parts, _ := nodes(expression)
	for _, node := range parts {
		if literal, ok := node.(*hclsyntax.LiteralValueExpr); ok {
			all = stringsOf(all, literal.Val)
		}
	}
	return all
}

// jump is a bastion, as some providers have it.
func (n *need) jump() {
	n.add(boundary.Host, n.maybe("jumphost"))
}

// object are the attributes of an object, unknown ones included.
func object(v cty.Value) map[string]cty.Value {
	if v == cty.NilVal || !v.IsKnown() || v.IsNull() {
		return nil
	}
	if v.Type().IsTupleType() || v.Type().IsListType() {
		for it := v.ElementIterator(); it.Next(); {
			_, first := it.Element()
			return object(first)
		}
		return nil
	}
	if !v.Type().IsObjectType() && !v.Type().IsMapType() {
		return nil
	}
	return v.AsValueMap()
}

// cluster is a Kubernetes cluster, by its URL or by kubeconfig files.
func (t *tofuReader) cluster(n *need) {
	if insecure := n.maybe("insecure"); insecure != "" && insecure != "false" {
		t.problem(n.what, n.from, "insecure accepts any server; give the cluster's CA")
	}
	if exec, ok := n.values["exec"]; ok && (!exec.IsKnown() || !exec.IsNull()) {
		t.problem(n.what, n.from, "its exec names a program, which may lead anywhere")
	}
	n.endpoints("proxy_url")
	host := n.maybe("host")
	if host != "" {
		if !strings.Contains(host, "://") {
			host = "https://" + host
		}
		ca := n.maybe("cluster_ca_certificate")
		if n.failed {
			return
		}
		var data []byte
		if ca != "" {
			data = []byte(ca)
		}
		sums, err := caSums(data, nil)
		if err != nil {
			t.problem(n.what, n.from, "its CA cannot be read (%v)", err)
		}
		t.add(kube(host, sums, n.from)...)
	}
	files := n.all("config_paths")
	if one := n.maybe("config_path"); one != "" {
		files = append(files, one)
	}
	if load := n.maybe("load_config_file"); load == "false" {
		files = nil
	}
	if n.failed {
		return
	}
	if len(files) == 0 && host == "" {
		t.problem(n.what, n.from, "it has neither host nor config_path, so the environment decides")
	}
	for _, file := range files {
		t.add(t.kubeconfig(t.expand(file, t.root.Directory))...)
	}
}

func (t *tofuReader) remoteState(block *hcl.Block) {
	values := t.values(block)
	n := &need{t: t, what: "remote state " + block.Labels[1], from: rangeOf(block), values: values}
	if kind := n.must("backend"); !n.failed {
		config := values["config"]
		if config != cty.NilVal && !config.IsKnown() {
			t.problem(n.what, n.from, "its config cannot be known before it runs")
			return
		}
		t.backend(kind, object(config), n.from)
	}
}

// implicit judges the registries of providers, and the providers that resources need though no block configures them: the environment does.
func (t *tofuReader) implicit(bodies []body) {
	for _, host := range slices.Sorted(maps.Keys(t.registries)) {
		(&need{t: t, from: t.registries[host]}).endpoint(host)
	}
	for _, kind := range slices.Sorted(maps.Keys(t.used)) {
		configured := slices.ContainsFunc(bodies, func(b body) bool {
			return slices.ContainsFunc(b.blocks["provider"], func(block *hcl.Block) bool { return block.Labels[0] == kind })
		})
		if !configured {
			t.provider(kind, map[string]cty.Value{}, t.used[kind])
		}
	}
}

// calls follows the modules that lie beside the root, since they may hold providers as well.
func (t *tofuReader) calls(b body) {
	for _, block := range b.blocks["module"] {
		n := &need{t: t, what: "module " + block.Labels[0], from: rangeOf(block), values: t.values(block)}
		source := n.must("source")
		switch {
		case n.failed:
		case strings.HasPrefix(source, "./") || strings.HasPrefix(source, "../"):
			directory := filepath.Join(b.directory, source)
			if t.seen[oneOf(directory)] {
				continue
			}
			t.called(directory)
		default:
			t.source(n, source)
		}
	}
}

// called judges a module that is not the root.
func (t *tofuReader) called(directory string) {
	for _, inner := range t.module(directory) {
		for _, provider := range inner.blocks["provider"] {
			t.problem("provider "+provider.Labels[0], rangeOf(provider), "it is in a module, where its values are unknown; move it to the root")
		}
		for _, data := range inner.blocks["data"] {
			if slices.Contains([]string{"terraform_remote_state", "tls_certificate", "local_command"}, data.Labels[0]) {
				t.problem("data "+data.Labels[0]+" "+data.Labels[1], rangeOf(data), "it is in a module, where its values are unknown; move it to the root")
			}
		}
		for _, resource := range inner.blocks["resource"] {
			for _, inside := range t.inside(resource, "connection", "provisioner") {
				t.problem(inside.Type+" of "+resource.Labels[0]+"."+resource.Labels[1], rangeOf(inside), "it is in a module, where its values are unknown; move it to the root")
			}
		}
		t.calls(inner)
	}
}

var (
	forge    = lazyregexp.New(`^(?:github\.com|bitbucket\.org)/[^/]+/[^/]+`)
	registry = lazyregexp.New(`^(?:([^/]+\.[^/]+)/)?[^/:.]+/[^/:.]+/[^/:.]+$`)
)

// source is where a module is fetched from. Registries serve providers as well, and need be named only if they are not the usual one.
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

// fetched judges the modules that `tofu init` has fetched: what lies there is known only now.
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
		if directory := t.expand(module.Dir, t.root.Directory); !t.seen[oneOf(directory)] {
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

// initialised reads what `tofu init` wrote down: this is the backend that counts until the next one.
func (t *tofuReader) initialised() {
	path := filepath.Join(t.dataDirectory(), "terraform.tfstate")
	data, err := read(path)
	if os.IsNotExist(err) {
		return
	}
	var state struct {
		Backend *struct {
			Type   string         `json:"type"`
			Config map[string]any `json:"config"`
		} `json:"backend"`
	}
	if err == nil {
		if json.Unmarshal(data, &state) != nil {
			err = errors.New("it is not what `tofu init` writes")
		}
	}
	if err != nil {
		t.problem("initialised backend", path, "it cannot be read (%s)", reason(err))
		return
	}
	if state.Backend == nil {
		return
	}
	values := map[string]cty.Value{}
	for name, value := range state.Backend.Config {
		values[name] = fromJSON(value)
	}
	t.backend(state.Backend.Type, values, path)
}

func fromJSON(value any) cty.Value {
	switch v := value.(type) {
	case nil:
		return cty.NullVal(cty.DynamicPseudoType)
	case string:
		return cty.StringVal(v)
	case bool:
		return cty.BoolVal(v)
	case float64:
		return cty.NumberFloatVal(v)
	case []any:
		list := []cty.Value{}
		for _, item := range v {
			list = append(list, fromJSON(item))
		}
		return cty.TupleVal(list)
	case map[string]any:
		fields := map[string]cty.Value{}
		for name, item := range v {
			fields[name] = fromJSON(item)
		}
		return cty.ObjectVal(fields)
	}
	return cty.StringVal(fmt.Sprint(value))
}
