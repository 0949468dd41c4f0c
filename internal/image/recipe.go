// SPDX-License-Identifier: GPL-3.0-or-later

// Package image builds the images a sandbox is made of, from Debian's packages,
// with or without a registry. It knows recipes, a cache of built root file
// systems, and how to bring one into a container engine. It does not know what
// an image is used for, and never pushes one anywhere.
//
// An image is named after its content: the digest of its recipe and its
// architecture. What is there under that name is right; what is not there is
// imported from the cache, and what is not in the cache is built.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/strictyaml"
)

//go:embed all:recipes
var embedded embed.FS

// Recipe is what an image is made of. Everything in it is part of the digest.
type Recipe struct {
	Name     string   `yaml:"-"`
	Suite    string   `yaml:"suite"`    // Debian's code name of the release
	Variant  string   `yaml:"variant"`  // mmdebstrap's name for how much is there before Packages
	Packages []string `yaml:"packages"` // installed without what they only recommend
	Excludes []string `yaml:"excludes"` // paths of packages that are left out, beside those that no image has
	Config   []string `yaml:"config"`   // Dockerfile instructions that only set metadata

	files fs.FS  // copied over the root file system
	setup []byte // run inside the root file system, last
	raw   []byte
}

// Names lists the recipes that this build knows.
func Names() []string {
	entries, err := embedded.ReadDir("recipes")
	if err != nil {
		panic(err) // embedded at build time: cannot be missing
	}
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// Load gives the recipe of that name.
func Load(name string) (Recipe, error) {
	if !slices.Contains(Names(), name) {
		return Recipe{}, fmt.Errorf("there is no image recipe %q: choose one of %s", name, strings.Join(Names(), ", "))
	}
	dir, err := fs.Sub(embedded, path.Join("recipes", name))
	if err != nil {
		return Recipe{}, err
	}
	return load(name, dir)
}

func load(name string, dir fs.FS) (Recipe, error) {
	r := Recipe{Name: name}
	var err error
	if r.raw, err = fs.ReadFile(dir, "recipe.yml"); err != nil {
		return r, fmt.Errorf("read image recipe %s: %w", name, err)
	}
	if err := strictyaml.File("recipe.yml").Decode(r.raw, &r); err != nil {
		return r, fmt.Errorf("read image recipe %s: %w", name, err)
	}
	if r.setup, err = fs.ReadFile(dir, "setup.sh"); err != nil {
		return r, fmt.Errorf("read image recipe %s: %w", name, err)
	}
	if r.Suite == "" || r.Variant == "" {
		return r, fmt.Errorf("read image recipe %s: suite and variant must both be set", name)
	}
	r.Excludes = append(slices.Clone(excludes), r.Excludes...)
	r.files, err = fs.Sub(dir, "files")
	return r, err
}

// Digest names the image that this recipe makes for an architecture: equal
// digests mean interchangeable images.
func (r Recipe) Digest(arch string) (string, error) {
	sum := sha256.New()
	add := func(name string, data []byte) { fmt.Fprintf(sum, "%s\x00%d\x00%s", name, len(data), data) }
	add("format", []byte("2")) // raise it when what a recipe is turned into changes
	add("arch", []byte(arch))
	add("excludes", []byte(strings.Join(append(slices.Clone(excludes), includes...), "\n")))
	add("recipe", r.raw)
	add("setup", r.setup)
	overlay, err := r.overlay()
	if err != nil {
		return "", err
	}
	add("files", overlay)
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

// overlay is the recipe's files as a tar, owned by root and without times, so
// that equal files give equal bytes.
func (r Recipe) overlay() ([]byte, error) {
	var buf bytes.Buffer
	out := tar.NewWriter(&buf)
	err := fs.WalkDir(r.files, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && name == ".":
			return nil // a recipe may have no files
		case err != nil:
			return err
		case name == ".":
			return nil
		case entry.IsDir():
			return nil // tar's reader makes the folders that are missing
		}
		f, err := r.files.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		data, err := io.ReadAll(f)
		if err != nil {
			return err
		}
		// embed forgets modes; scripts are recognised by their first bytes.
		mode := int64(0o644)
		if bytes.HasPrefix(data, []byte("#!")) {
			mode = 0o755
		}
		if err := out.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(data)), Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		_, err = out.Write(data)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("pack the files of image recipe %s: %w", r.Name, err)
	}
	if err := out.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}
