// SPDX-License-Identifier: GPL-3.0-or-later

// Command attach appends programs to a binary, as a zip archive that the binary reads out of itself:
//
//	attach BINARY NAME=FILE...
package main

import (
	"archive/zip"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "attach:", err)
		os.Exit(1)
	}
}

func run(binary string, programs []string) error {
	out, err := os.OpenFile(binary, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer out.Close()
	size, err := out.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	archive := zip.NewWriter(out)
	archive.SetOffset(size)
	for _, program := range programs {
		name, path, _ := strings.Cut(program, "=")
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		// Without a time: the same programs make the same file.
		entry, err := archive.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate})
		if err == nil {
			_, err = io.Copy(entry, file)
		}
		file.Close()
		if err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return out.Close()
}
