// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/arcodange-org/sandbox/internal/tofu"
)

// The override's file name in the copy, which sorts after all others.
const overrideName = "zz_backend_override.tf"

// parse reads a file of the root module in HCL, not JSON.
func parse(path string) (*hclsyntax.Body, []byte, error) {
	file, failed := tofu.ParseFile(path)
	if failed != nil {
		return nil, nil, fmt.Errorf("reading %s: it cannot be parsed (%s); run `tofu validate` to see where", failed.At, failed.Reason)
	}
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		return nil, nil, fmt.Errorf("reading %s: it is not in HCL", path)
	}
	return body, file.Bytes, nil
}

// backends returns the backend and cloud blocks of a file.
func backends(body *hclsyntax.Body) []*hclsyntax.Block {
	var all []*hclsyntax.Block
	for _, block := range body.Blocks {
		if block.Type != "terraform" {
			continue
		}
		for _, inner := range block.Body.Blocks {
			if inner.Type == "backend" || inner.Type == "cloud" {
				all = append(all, inner)
			}
		}
	}
	return all
}

// override makes the override's backend the only one of the copied root. It
// blanks the replaced blocks, so that the copy has one backend, and
// all other lines keep their numbers.
func override(root, file string) error {
	body, data, err := parse(file)
	if err != nil {
		return err
	}
	if found := backends(body); len(found) != 1 || len(body.Attributes) > 0 || len(body.Blocks) != 1 || len(body.Blocks[0].Body.Blocks) != 1 || len(body.Blocks[0].Body.Attributes) > 0 {
		return fmt.Errorf("reading the backend override %s: it must hold one terraform block with one backend, and nothing else", file)
	}
	files, err := tofu.ConfigFiles(root)
	if err != nil {
		return fmt.Errorf("reading the root module: %w", err)
	}
	for _, path := range files {
		// Files with another ending would override it.
		if strings.HasPrefix(filepath.Base(path), strings.TrimSuffix(overrideName, "tf")) {
			return fmt.Errorf("overriding the backend: %s has the name that the override takes in the copy; rename it", filepath.Base(path))
		}
	}
	for _, path := range files {
		if tofu.IsJSON(path) {
			data, err := os.ReadFile(path)
			if err != nil {
				return fmt.Errorf("reading a file of the root module: %w", err)
			}
			if mayHoldBackend(data) {
				return fmt.Errorf("overriding the backend: %s has a terraform part, and may have a backend that cannot be taken out; write it in HCL", filepath.Base(path))
			}
			continue
		}
		body, data, err := parse(path)
		if err != nil {
			return err
		}
		blocks := backends(body)
		for _, block := range blocks {
			for n := block.Range().Start.Byte; n < block.Body.EndRange.End.Byte; n++ {
				if data[n] != '\n' {
					data[n] = ' '
				}
			}
		}
		if len(blocks) > 0 {
			if err := os.WriteFile(path, data, 0o600); err != nil {
				return fmt.Errorf("overriding the backend in the copy: %w", err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(root, overrideName), data, 0o600); err != nil {
		return fmt.Errorf("overriding the backend in the copy: %w", err)
	}
	return nil
}

// mayHoldBackend reports whether a file in JSON has a terraform part, however its key is written.
func mayHoldBackend(data []byte) bool {
	var top any
	if json.Unmarshal(data, &top) != nil {
		return true
	}
	parts, ok := top.([]any)
	if !ok {
		parts = []any{top}
	}
	return slices.ContainsFunc(parts, func(part any) bool {
		object, ok := part.(map[string]any)
		return !ok || object["terraform"] != nil
	})
}

// base returns the common folder of the root and all modules that it calls by a path.
func base(root string) (string, error) {
	seen := map[string]bool{}
	var walk func(dir string) error
	walk = func(dir string) error {
		if seen[dir] {
			return nil
		}
		seen[dir] = true
		if _, err := os.ReadDir(dir); err != nil {
			return fmt.Errorf("reading the root module: %w", err)
		}
		// The check of external references refuses a file that cannot be parsed, and an unknown source.
		module, _ := tofu.Load(dir)
		for _, block := range module.Blocks("module") {
			source, _ := tofu.Text((&tofu.Evaluator{}).Values(block), "source")
			if strings.HasPrefix(source, "./") || strings.HasPrefix(source, "../") {
				if err := walk(filepath.Join(dir, source)); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := walk(root); err != nil {
		return "", err
	}
	common := root
	for dir := range seen {
		for !within(dir, common) {
			common = filepath.Dir(common)
		}
	}
	return common, nil
}

func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// Files that are not copied: other initialisations, states, history.
func left(name string) bool {
	return slices.Contains([]string{".terraform", ".git", ".terraform.tfstate.lock.info"}, name) || strings.HasSuffix(name, ".tfstate") || strings.HasSuffix(name, ".tfstate.backup")
}

// duplicate copies a tree, except one folder. Links to files become files; other links must point inside the tree.
func duplicate(from, to, without string) error {
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if rel != "." && (left(entry.Name()) || path == without) {
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		target := filepath.Join(to, rel)
		switch info, err := os.Stat(path); {
		case errors.Is(err, fs.ErrNotExist):
			return nil // a dangling link
		case err != nil:
			return err
		case entry.IsDir():
			return os.MkdirAll(target, 0o700)
		case info.IsDir():
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			if filepath.IsAbs(link) || !within(filepath.Join(filepath.Dir(path), link), from) {
				return fmt.Errorf("%s links to a folder outside of %s", path, from)
			}
			return os.Symlink(link, target)
		case !info.Mode().IsRegular():
			return nil
		default:
			return copyFile(path, target, info.Mode().Perm()&0o700)
		}
	})
	if err != nil {
		return fmt.Errorf("copying the root module: %w", err)
	}
	return nil
}

func copyFile(from, to string, mode fs.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode|0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}
