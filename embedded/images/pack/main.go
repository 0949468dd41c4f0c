// SPDX-License-Identifier: GPL-3.0-or-later

// Command pack writes static binaries as container images of one file each
// into one archive, byte for byte the same every time:
//
//	pack OUTPUT ARCH NAME=BINARY:PATH ...
//
// NAME is the image's full name with tag; PATH is where the binary lies in it
// and what it runs.
package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 3 {
		return fmt.Errorf("usage: pack OUTPUT ARCH NAME=BINARY:PATH ...")
	}
	images := map[name.Tag]v1.Image{}
	for _, spec := range args[2:] {
		tag, file, ok := strings.Cut(spec, "=")
		binary, target, ok2 := strings.Cut(file, ":")
		if !ok || !ok2 {
			return fmt.Errorf("%q is not NAME=BINARY:PATH", spec)
		}
		reference, err := name.NewTag(tag, name.WeakValidation)
		if err != nil {
			return err
		}
		if images[reference], err = image(args[1], binary, target); err != nil {
			return fmt.Errorf("packing %s: %w", tag, err)
		}
	}
	return tarball.MultiWriteToFile(args[0], images)
}

func image(arch, binary, target string) (v1.Image, error) {
	data, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, dir := range []string{"tmp/", "etc/", strings.TrimPrefix(path.Dir(target)+"/", "/")} {
		if dir == "" {
			continue
		}
		mode := int64(0o755)
		if dir == "tmp/" {
			mode = 0o1777
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: mode}); err != nil {
			return nil, err
		}
	}
	if err := w.WriteHeader(&tar.Header{Name: strings.TrimPrefix(target, "/"), Mode: 0o755, Size: int64(len(data))}); err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil },
		tarball.WithCompressionLevel(1))
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, l)
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	config.Config.Entrypoint = []string{target}
	config.Config.Env = []string{"PATH=/"}
	return mutate.ConfigFile(img, config)
}
