// SPDX-License-Identifier: GPL-3.0-or-later

// Package tofu reads OpenTofu and Terraform configuration without running it:
// files, blocks, and values of expressions. A value that is known only at run time
// is unknown. Its errors do not quote files.
package tofu

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/json"

	"github.com/arcodange-org/sandbox/internal/limitedread"
)

// Error is about a file that cannot be read.
type Error struct {
	At     string // the path, with the line if that is known
	Reason string
}

func (e *Error) Error() string { return e.At + ": " + e.Reason }

var endings = []string{".tf", ".tofu", ".tf.json", ".tofu.json"}

// ConfigFiles lists the configuration files of the module in dir in the order
// in which OpenTofu merges them: override files come last.
func ConfigFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var ordinary, overrides []string
	for _, entry := range entries {
		name := entry.Name()
		if entry.IsDir() || strings.HasPrefix(name, ".") {
			continue
		}
		if !slices.ContainsFunc(endings, func(ending string) bool { return strings.HasSuffix(name, ending) }) {
			continue
		}
		base, _, _ := strings.Cut(name, ".")
		if path := filepath.Join(dir, name); base == "override" || strings.HasSuffix(base, "_override") {
			overrides = append(overrides, path)
		} else {
			ordinary = append(ordinary, path)
		}
	}
	return append(ordinary, overrides...), nil
}

// IsJSON returns whether a file is read as JSON.
func IsJSON(path string) bool { return strings.HasSuffix(path, ".json") }

// maxFile is far more than a configuration file holds.
const maxFile = 1 << 20

// ParseFile reads a file of configuration or of values.
func ParseFile(path string) (*hcl.File, *Error) {
	data, err := read(path)
	if err != nil {
		return nil, &Error{path, withoutPath(err)}
	}
	var file *hcl.File
	var diagnostics hcl.Diagnostics
	if IsJSON(path) {
		file, diagnostics = json.Parse(data, path)
	} else {
		file, diagnostics = hclsyntax.ParseConfig(data, path, hcl.InitialPos)
	}
	if diagnostics.HasErrors() {
		return nil, diagnosed(path, diagnostics)
	}
	return file, nil
}

func read(path string) ([]byte, error) {
	data, err := limitedread.File(path, maxFile)
	if err == nil && tooDeep(data) {
		err = errors.New("nested too deep")
	}
	return data, err
}

// withoutPath removes the path from an error, since [Error] has it.
func withoutPath(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// tooDeep returns whether brackets or templates are nested so deep that hcl,
// which has no limit, would exhaust the stack or take too long.
func tooDeep(data []byte) bool {
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

// diagnosed returns position and summary of the first error, without its detail, which may quote a value.
func diagnosed(path string, diagnostics hcl.Diagnostics) *Error {
	for _, d := range diagnostics {
		if d.Severity != hcl.DiagError {
			continue
		}
		if d.Subject != nil {
			path = fmt.Sprintf("%s:%d", d.Subject.Filename, d.Subject.Start.Line)
		}
		return &Error{path, d.Summary}
	}
	return nil
}
