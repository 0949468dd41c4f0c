// SPDX-License-Identifier: GPL-3.0-or-later

package tofu

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Evaluator evaluates expressions with a module's variables and locals. The zero value has none.
type Evaluator struct {
	variables, locals map[string]cty.Value
	scope             *hcl.EvalContext
}

func (e *Evaluator) refresh() {
	here := cty.StringVal(".")
	e.scope = &hcl.EvalContext{Variables: map[string]cty.Value{
		"var": cty.ObjectVal(e.variables), "local": cty.ObjectVal(e.locals),
		"path":      cty.ObjectVal(map[string]cty.Value{"module": here, "root": here, "cwd": here}),
		"terraform": cty.ObjectVal(map[string]cty.Value{"workspace": cty.UnknownVal(cty.String)}),
	}}
}

// value returns the value of an expression; unknown if it is known only at run time, or larger than any setting.
func (e *Evaluator) value(expression hcl.Expression) cty.Value { return evaluate(e.scope, expression) }

func evaluate(scope *hcl.EvalContext, expression hcl.Expression) cty.Value {
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
	return limited(value)
}

// Values returns the attributes of a block, and its inner blocks as objects,
// several of one type as a tuple.
func (e *Evaluator) Values(block *hcl.Block) map[string]cty.Value { return e.valuesOf(block.Body) }

func (e *Evaluator) valuesOf(body hcl.Body) map[string]cty.Value {
	values := map[string]cty.Value{}
	attributes, _ := body.JustAttributes() // its diagnostics are about the blocks; in JSON all are attributes
	for name, attribute := range attributes {
		values[name] = e.value(attribute.Expr)
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
		blocks[block.Type] = append(blocks[block.Type], cty.ObjectVal(e.valuesOf(block.Body)))
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

// Texts returns the strings and numbers in a block, by the name of the attribute or
// inner block: the known values, and the literals in unknown ones.
func (e *Evaluator) Texts(block *hcl.Block) map[string][]string {
	all := map[string][]string{}
	var look func(body hcl.Body, within string)
	look = func(body hcl.Body, within string) {
		attributes, _ := body.JustAttributes() // as above
		for name, attribute := range attributes {
			if within != "" {
				name = within
			}
			value := e.value(attribute.Expr)
			all[name] = appendStrings(all[name], value)
			if !value.IsWhollyKnown() {
				all[name] = append(all[name], literals(attribute.Expr)...)
			}
		}
		if native, ok := body.(*hclsyntax.Body); ok {
			for _, inner := range native.Blocks {
				if within != "" {
					look(inner.Body, within)
				} else {
					look(inner.Body, inner.Type)
				}
			}
		}
	}
	look(block.Body, "")
	return all
}

// literals returns the string literals in an expression.
func literals(expression hcl.Expression) []string {
	if _, native := expression.(hclsyntax.Node); !native {
		raw, _ := expression.Value(nil)
		return appendStrings(nil, raw)
	}
	var all []string
	parts, _ := nodes(expression)
	for _, node := range parts {
		if literal, ok := node.(*hclsyntax.LiteralValueExpr); ok {
			all = appendStrings(all, literal.Val)
		}
	}
	return all
}

// nodes returns the parts of an expression. In JSON these are the parts of the templates in
// its strings and keys; ok is false if they are unknown, or nested too deep.
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
	// Without a scope a string of JSON is a literal.
	raw, diagnostics := expression.Value(nil)
	if diagnostics.HasErrors() {
		return nil, false
	}
	for _, text := range appendStrings(nil, raw) {
		if tooDeep([]byte(text)) {
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

// limited returns a value for use in other expressions. A value that is larger
// than any setting becomes unknown: locals that each double another would fill the memory.
func limited(value cty.Value) cty.Value {
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
