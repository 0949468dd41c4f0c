// SPDX-License-Identifier: GPL-3.0-or-later

package tofu

import (
	"fmt"
	"maps"
	"slices"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// Text returns an attribute as a string, empty if it is not set; known is false if its value is not a known string.
func Text(values map[string]cty.Value, name string) (value string, known bool) {
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

// Texts returns the strings of an attribute that is a string, a list or an object.
func Texts(values map[string]cty.Value, name string) (all []string, known bool) {
	v, ok := values[name]
	if !ok || v.IsKnown() && v.IsNull() {
		return nil, true
	}
	if !v.IsWhollyKnown() {
		return nil, false
	}
	if !v.CanIterateElements() {
		one, known := Text(values, name)
		return []string{one}, known
	}
	for it := v.ElementIterator(); it.Next(); {
		_, element := it.Element()
		some, known := Texts(map[string]cty.Value{"": element}, "")
		if !known {
			return nil, false
		}
		all = append(all, some...)
	}
	return all, true
}

// Object returns the attributes of an object, or of the first one in a list, including unknown ones.
func Object(v cty.Value) map[string]cty.Value {
	if v == cty.NilVal || !v.IsKnown() || v.IsNull() {
		return nil
	}
	if v.Type().IsTupleType() || v.Type().IsListType() {
		for it := v.ElementIterator(); it.Next(); {
			_, first := it.Element()
			return Object(first)
		}
		return nil
	}
	if !v.Type().IsObjectType() && !v.Type().IsMapType() {
		return nil
	}
	return v.AsValueMap()
}

// Objects returns the attributes of every object in values.
func Objects(values map[string]cty.Value) []map[string]cty.Value {
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

// appendStrings adds all known strings and numbers in a value, including keys.
func appendStrings(all []string, v cty.Value) []string {
	v, _ = v.Unmark()
	switch {
	case v == cty.NilVal || !v.IsKnown() || v.IsNull():
	case v.Type() == cty.String:
		all = append(all, v.AsString())
	case v.Type() == cty.Number: // an IPv4 address can be written as a number
		all = append(all, v.AsBigFloat().Text('f', -1))
	case v.CanIterateElements():
		for it := v.ElementIterator(); it.Next(); {
			key, element := it.Element()
			all = appendStrings(appendStrings(all, key), element)
		}
	}
	return all
}

// FromJSON converts a value that encoding/json decoded.
func FromJSON(value any) cty.Value {
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
			list = append(list, FromJSON(item))
		}
		return cty.TupleVal(list)
	case map[string]any:
		fields := map[string]cty.Value{}
		for name, item := range v {
			fields[name] = FromJSON(item)
		}
		return cty.ObjectVal(fields)
	}
	return cty.StringVal(fmt.Sprint(value))
}
