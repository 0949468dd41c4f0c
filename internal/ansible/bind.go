// SPDX-License-Identifier: GPL-3.0-or-later

package ansible

import (
	"fmt"
	"math"
	"reflect"
)

// Bind fills the struct that dst points to with the coerced arguments. A field
// names its argument in a tag, `arg:"name"`; fields without one are left alone.
// A null leaves the field's zero value; a pointer field tells null from zero.
// Lists go to slices, nested options to structs with tags of their own, and
// mappings without options to map[string]any.
//
// It returns an error when a value does not fit the field, which is a mistake
// of the module and not of its user.
func (c *Call) Bind(dst any) error {
	target := reflect.ValueOf(dst)
	if target.Kind() != reflect.Pointer || target.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("binding the arguments: a pointer to a struct is needed, not a %T", dst)
	}
	return bindStruct(target.Elem(), c.args)
}

func bindStruct(target reflect.Value, args map[string]any) error {
	for i := range target.NumField() {
		name, ok := target.Type().Field(i).Tag.Lookup("arg")
		if !ok {
			continue
		}
		value, ok := args[name]
		if !ok {
			return fmt.Errorf("binding the arguments: the spec has no option %q", name)
		}
		if err := bindValue(target.Field(i), value); err != nil {
			return fmt.Errorf("binding the argument %q: %w", name, err)
		}
	}
	return nil
}

func bindValue(field reflect.Value, value any) error {
	if value == nil {
		field.SetZero()
		return nil
	}
	switch field.Kind() {
	case reflect.Pointer:
		field.Set(reflect.New(field.Type().Elem()))
		return bindValue(field.Elem(), value)
	case reflect.Interface:
		field.Set(reflect.ValueOf(value))
		return nil
	case reflect.Slice:
		list, ok := value.([]any)
		if !ok {
			break
		}
		slice := reflect.MakeSlice(field.Type(), len(list), len(list))
		for i, element := range list {
			if err := bindValue(slice.Index(i), element); err != nil {
				return err
			}
		}
		field.Set(slice)
		return nil
	case reflect.Struct:
		if args, ok := value.(map[string]any); ok {
			return bindStruct(field, args)
		}
	case reflect.Map:
		if args, ok := value.(map[string]any); ok && field.Type() == reflect.TypeFor[map[string]any]() {
			field.Set(reflect.ValueOf(args))
			return nil
		}
		if args, ok := value.(map[string]any); ok && field.Type() == reflect.TypeFor[map[string]string]() {
			texts := make(map[string]string, len(args))
			for key, element := range args {
				texts[key] = toStr(element)
			}
			field.Set(reflect.ValueOf(texts))
			return nil
		}
	case reflect.String:
		if text, ok := value.(string); ok {
			field.SetString(text)
			return nil
		}
	case reflect.Bool:
		if b, ok := value.(bool); ok {
			field.SetBool(b)
			return nil
		}
	case reflect.Int, reflect.Int64:
		if n, ok := value.(int64); ok && (field.Kind() == reflect.Int64 || n >= math.MinInt && n <= math.MaxInt) {
			field.SetInt(n)
			return nil
		}
	case reflect.Float64:
		switch n := value.(type) {
		case float64:
			field.SetFloat(n)
			return nil
		case int64:
			field.SetFloat(float64(n))
			return nil
		}
	}
	return fmt.Errorf("a %s does not fit a %s", kind(value), field.Type())
}
