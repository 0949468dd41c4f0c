// SPDX-License-Identifier: GPL-3.0-or-later

package ansible

import (
	"fmt"
	"math/big"
	"reflect"
)

// Bind fills the struct that dst points to: each field with a tag `arg:"name"`
// gets the coerced value of that option. Null leaves a zero value, or a nil
// pointer. Dicts are stored in structs with tags, or in maps. Fields of an
// embedded struct are treated as the outer struct's. A tag without an option, and
// a field of the wrong type, are errors of the module; a number too large for
// its field is an error of the user.
func (c *Call) Bind(dst any) error {
	target := reflect.ValueOf(dst)
	if target.Kind() != reflect.Pointer || target.IsNil() || target.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("binding arguments: %T is not a pointer to a struct", dst)
	}
	return bindStruct("", c.args, target.Elem())
}

func bindStruct(where string, from *dict, to reflect.Value) error {
	for i := range to.NumField() {
		field := to.Type().Field(i)
		name, ok := field.Tag.Lookup("arg")
		if !ok && field.Anonymous && field.Type.Kind() == reflect.Struct {
			if err := bindStruct(where, from, to.Field(i)); err != nil {
				return err
			}
		}
		if !ok {
			continue
		}
		value, ok := from.get(name)
		if !ok {
			return fmt.Errorf("binding arguments: field %s: the spec has no option %s%s", field.Name, where, name)
		}
		if !field.IsExported() {
			return fmt.Errorf("binding arguments: field %s is not exported", field.Name)
		}
		if err := bind(where+name, value, to.Field(i)); err != nil {
			return err
		}
	}
	return nil
}

func bind(path string, value any, to reflect.Value) error {
	if value == nil {
		to.SetZero()
		return nil
	}
	if to.Kind() == reflect.Pointer {
		to.Set(reflect.New(to.Type().Elem()))
		return bind(path, value, to.Elem())
	}
	if to.Kind() == reflect.Interface && to.NumMethod() == 0 {
		to.Set(reflect.ValueOf(plain(value)))
		return nil
	}
	mismatch := fmt.Errorf("binding arguments: %s is %s, which a field of type %s cannot hold", path, kind(value), to.Type())
	switch value := value.(type) {
	case string:
		if to.Kind() != reflect.String {
			return mismatch
		}
		to.SetString(value)
	case bool:
		if to.Kind() != reflect.Bool {
			return mismatch
		}
		to.SetBool(value)
	case float64:
		if !to.CanFloat() {
			return mismatch
		}
		to.SetFloat(value)
	case int64:
		return bindInt(path, value, to, mismatch)
	case *big.Int:
		return fmt.Errorf("argument %s: %s is too large", path, value)
	case []any:
		if to.Kind() != reflect.Slice {
			return mismatch
		}
		list := reflect.MakeSlice(to.Type(), len(value), len(value))
		for i, item := range value {
			if err := bind(fmt.Sprintf("%s[%d]", path, i), item, list.Index(i)); err != nil {
				return err
			}
		}
		to.Set(list)
	case *dict:
		return bindDict(path, value, to, mismatch)
	}
	return nil
}

func bindInt(path string, value int64, to reflect.Value, mismatch error) error {
	switch {
	case to.CanInt():
		if to.OverflowInt(value) {
			return fmt.Errorf("argument %s: %d is too large", path, value)
		}
		to.SetInt(value)
	case to.CanUint():
		if value < 0 || to.OverflowUint(uint64(value)) {
			return fmt.Errorf("argument %s: %d is negative or too large", path, value)
		}
		to.SetUint(uint64(value))
	case to.CanFloat():
		to.SetFloat(float64(value))
	default:
		return mismatch
	}
	return nil
}

func bindDict(path string, value *dict, to reflect.Value, mismatch error) error {
	switch {
	case to.Kind() == reflect.Struct:
		return bindStruct(path+".", value, to)
	case to.Kind() == reflect.Map && to.Type().Key().Kind() == reflect.String:
		out := reflect.MakeMapWithSize(to.Type(), len(value.keys))
		for _, key := range value.keys {
			item := reflect.New(to.Type().Elem()).Elem()
			if item.Kind() == reflect.String { // in a dict without a spec, YAML chose the type of a scalar
				item.SetString(coerceStr(value.values[key]))
			} else if err := bind(path+"."+key, value.values[key], item); err != nil {
				return err
			}
			out.SetMapIndex(reflect.ValueOf(key).Convert(to.Type().Key()), item)
		}
		to.Set(out)
		return nil
	}
	return mismatch
}
