// SPDX-License-Identifier: GPL-3.0-or-later

package tofu

import (
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// Evaluator returns the evaluator of the module as a root. Values of variables
// come, in this order, from defaults, TF_VAR_* of the
// environment, the files that OpenTofu loads automatically, and varFiles (-var-file).
func (m *Module) Evaluator(getenv func(string) string, varFiles []string) (*Evaluator, []*Error) {
	e := &Evaluator{variables: map[string]cty.Value{}, locals: map[string]cty.Value{}}
	for _, block := range m.Blocks("variable") {
		name := block.Labels[0]
		attributes, _ := block.Body.JustAttributes()
		value, before := e.variables[name]
		if d := attributes["default"]; d != nil {
			value = evaluate(nil, d.Expr)
		} else if !before {
			value = cty.DynamicVal
		}
		if env := getenv("TF_VAR_" + name); env != "" {
			value = limited(cty.StringVal(env))
		}
		e.variables[name] = value
	}
	var failed []*Error
	for _, path := range append(m.automaticVarFiles(), varFiles...) {
		values, err := Attributes(path)
		if err != nil {
			failed = append(failed, err)
		}
		maps.Copy(e.variables, values)
	}
	e.addLocals(m.Blocks("locals"))
	return e, failed
}

func (m *Module) automaticVarFiles() []string {
	names := []string{"terraform.tfvars", "terraform.tfvars.json"}
	entries, _ := os.ReadDir(m.Directory)
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".auto.tfvars") || strings.HasSuffix(entry.Name(), ".auto.tfvars.json") {
			names = append(names, entry.Name())
		}
	}
	var files []string
	for _, name := range names {
		path := filepath.Join(m.Directory, name)
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			files = append(files, path)
		}
	}
	return files
}

// Attributes reads a file of values, such as *.tfvars or one for -backend-config.
func Attributes(path string) (map[string]cty.Value, *Error) {
	values := map[string]cty.Value{}
	file, failed := ParseFile(path)
	if failed != nil {
		return values, failed
	}
	attributes, diagnostics := file.Body.JustAttributes()
	if diagnostics.HasErrors() {
		failed = diagnosed(path, diagnostics)
	}
	for name, attribute := range attributes {
		values[name] = evaluate(nil, attribute.Expr)
	}
	return values, failed
}

// addLocals computes locals until no more of them become known. A chain of more than 100 stays unknown.
func (e *Evaluator) addLocals(blocks []*hcl.Block) {
	all := map[string]*hcl.Attribute{}
	for _, block := range blocks {
		attributes, _ := block.Body.JustAttributes()
		maps.Copy(all, attributes)
	}
	for name := range all {
		e.locals[name] = cty.DynamicVal
	}
	e.refresh()
	for range 100 {
		more := false
		next := map[string]cty.Value{}
		for name, attribute := range all {
			if value := e.value(attribute.Expr); value.IsWhollyKnown() {
				next[name], more = value, true
				delete(all, name)
			} else if !value.RawEquals(e.locals[name]) {
				next[name], more = value, true // partly known
			}
		}
		if !more {
			return
		}
		maps.Copy(e.locals, next)
		e.refresh()
	}
}
