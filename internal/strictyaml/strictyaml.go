// SPDX-License-Identifier: GPL-3.0-or-later

// Package strictyaml reads a file of one YAML document, in which unknown and
// repeated keys are errors. Every error begins with file:line:column. It has no
// schema: the callers say which keys there are.
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/arcodange-org/sandbox/internal/lazyregexp"
	"github.com/arcodange-org/sandbox/internal/oneline"
)

// File is the name of a YAML file as errors give it.
type File string

// Keys are the functions that read the values of a mapping, by key.
type Keys map[string]func(*yaml.Node) error

// At is an error at the position of n.
func (f File) At(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%s:%d:%d: %s", f, max(n.Line, 1), max(n.Column, 1), fmt.Sprintf(format, args...))
}

// Document returns the root of the only document in data.
func (f File) Document(data []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	switch err := decode(decoder, &document); {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%s:1:1: it is empty", f)
	case err != nil:
		return nil, f.syntax(err)
	}
	switch err := decode(decoder, &second); {
	case err == nil:
		return nil, f.At(&second, "a second YAML document begins here; keep one")
	case !errors.Is(err, io.EOF):
		return nil, f.syntax(err)
	}
	return document.Content[0], nil
}

// Documents returns the roots of all documents in data. Its error has the line
// alone: data may hold secrets, and yaml.v3 quotes what it cannot read.
func Documents(data []byte) ([]*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var all []*yaml.Node
	for {
		var document yaml.Node
		err := decode(decoder, &document)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			if line := anyLine.FindString(err.Error()); line != "" {
				return nil, fmt.Errorf("it is not YAML (%s)", line)
			}
			return nil, errors.New("it is not YAML")
		}
		all = append(all, document.Content[0])
	}
}

// Decode stores the only document in data in the struct that into points to.
func (f File) Decode(data []byte, into any) error {
	root, err := f.Document(data)
	if err != nil {
		return err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true) // which [yaml.Node.Decode] cannot do
	err = decode(decoder, into)
	var mismatches *yaml.TypeError
	switch {
	case errors.As(err, &mismatches):
		all := make([]string, len(mismatches.Errors))
		for i, text := range mismatches.Errors {
			all[i] = f.mismatch(root, text).Error()
		}
		return errors.New(strings.Join(all, "; "))
	case err != nil:
		return f.syntax(err)
	}
	return nil
}

// decode turns a panic, with which yaml.v3 answers some input, into an error.
func decode(decoder *yaml.Decoder, into any) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("yaml: not valid YAML")
		}
	}()
	return decoder.Decode(into)
}

var (
	syntaxError  = lazyregexp.New(`^yaml: (?:line (\d+): )?`)
	anyLine      = lazyregexp.New(`line \d+`)
	typeError    = lazyregexp.New(`(?s)^line (\d+): (.*)$`)
	unknownField = lazyregexp.New(`^field (.*) not found in type \S+$`)
	packageName  = lazyregexp.New(`\binto \w+\.`)
)

// syntax gives an error of yaml.v3 a position. It knows no column, so 1 is used.
func (f File) syntax(err error) error {
	line, text := "1", err.Error()
	if match := syntaxError.FindStringSubmatch(text); match != nil {
		text = text[len(match[0]):]
		if match[1] != "" {
			line = match[1]
		}
	}
	return fmt.Errorf("%s:%s:1: %s", f, line, oneline.Join(text))
}

// mismatch is one entry of a [yaml.TypeError], without the names of Go's types.
func (f File) mismatch(root *yaml.Node, text string) error {
	match := typeError.FindStringSubmatch(text)
	if match == nil {
		return f.At(root, "%s", text)
	}
	line, _ := strconv.Atoi(match[1])
	text = packageName.ReplaceAllString(match[2], "into ")
	at := &yaml.Node{Line: line}
	if field := unknownField.FindStringSubmatch(text); field != nil {
		text = fmt.Sprintf("unknown key %q", field[1])
		at.Column = column(root, line, field[1])
	}
	return f.At(at, "%s", text)
}

// column is where a scalar begins, or 0.
func column(n *yaml.Node, line int, value string) int {
	if n.Kind == yaml.ScalarNode && n.Line == line && n.Value == value {
		return n.Column
	}
	for _, child := range n.Content {
		if found := column(child, line, value); found > 0 {
			return found
		}
	}
	return 0
}

// Mapping calls the function of each key with its value. A key without a
// function is an error, and so is a required one that is missing. As in Pairs and
// List, an alias is not followed, and a merge key is an ordinary key.
func (f File) Mapping(n *yaml.Node, required []string, keys Keys) error {
	missing := slices.Clone(required)
	err := f.Pairs(n, func(key, value *yaml.Node) error {
		read, ok := keys[key.Value]
		if !ok {
			return f.At(key, "unknown key %q; use %s", key.Value, strings.Join(slices.Sorted(maps.Keys(keys)), ", "))
		}
		missing = slices.DeleteFunc(missing, func(name string) bool { return name == key.Value })
		return read(value)
	})
	if err == nil && len(missing) > 0 {
		err = f.At(n, "the key %q is missing", missing[0])
	}
	return err
}

// Pairs calls read with each key of a mapping and its value.
func (f File) Pairs(n *yaml.Node, read func(key, value *yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return f.At(n, "not a mapping")
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode:
			return f.At(key, "a key must be text")
		case seen[key.Value]:
			return f.At(key, "the key %q is listed twice", key.Value)
		}
		seen[key.Value] = true
		if err := read(key, value); err != nil {
			return err
		}
	}
	return nil
}

// List calls read with each entry of a list.
func (f File) List(n *yaml.Node, read func(*yaml.Node) error) error {
	if n.Kind != yaml.SequenceNode {
		return f.At(n, "not a list")
	}
	for _, entry := range n.Content {
		if err := read(entry); err != nil {
			return err
		}
	}
	return nil
}
