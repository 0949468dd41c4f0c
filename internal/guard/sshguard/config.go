// SPDX-License-Identifier: GPL-3.0-or-later

package sshguard

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxDepth is how deep ssh follows Include (READCONF_MAX_DEPTH).
const maxDepth = 16

// maxFiles limits the files that are read: a chain of files that include the next one twice grows exponentially.
const maxFiles = 4096

// systemFiles are the system's configurations of ssh, by build: most systems,
// openSUSE, Homebrew, and local builds. Reading one too many can only refuse.
var systemFiles = []string{
	"/etc/ssh/ssh_config", "/usr/etc/ssh/ssh_config",
	"/opt/homebrew/etc/ssh/ssh_config", "/usr/local/etc/ssh/ssh_config", "/usr/local/etc/ssh_config",
}

// scan reads the configuration files that ssh reads, and refuses those that run
// a program when they are read: `ssh -G` evaluates `Match exec` too, so it has to
// be found before that is run. The digest covers all files.
type scan struct {
	home     string
	relative []string // directories of what is included by a relative path
	digest   io.Writer
	files    *int // number of files read
}

// configuration scans the files that ssh reads for -F file; empty for the defaults.
func configuration(file, home string) (digest string, err error) {
	return configurationOf(systemFiles, file, home)
}

func configurationOf(system []string, file, home string) (digest string, err error) {
	hash, own := sha256.New(), filepath.Join(home, ".ssh")
	s := scan{home: home, relative: []string{own}, digest: hash, files: new(int)}
	switch strings.ToLower(file) {
	case "none":
	case "":
		if err := s.file(filepath.Join(own, "config"), 0); err != nil {
			return "", err
		}
		for _, name := range system {
			// Relative to the file, or to the directory of the build, which may be that of the first file.
			s.relative = slices.Compact([]string{filepath.Dir(system[0]), filepath.Dir(name)})
			if err := s.file(name, 0); err != nil {
				return "", err
			}
		}
	default:
		if _, err := os.Stat(file); err != nil {
			return "", fmt.Errorf("reading ssh's configuration: %w; name a file that is there", err)
		}
		if err := s.file(file, 0); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%x", hash.Sum(nil)), nil
}

func (s scan) file(name string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("reading ssh's configuration: %s is included more than 16 levels deep; remove the loop", name)
	}
	if *s.files++; *s.files > maxFiles {
		return fmt.Errorf("reading ssh's configuration: more than %[2]d files (at %[1]s); include fewer", name, maxFiles)
	}
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading ssh's configuration: %w; what cannot be read cannot be checked", err)
	}
	// Anything but a regular file may have other content when ssh reads it.
	if !info.Mode().IsRegular() && name != os.DevNull {
		return fmt.Errorf("reading ssh's configuration: %s: not a regular file, so ssh may read other content than the guard; use a regular file", name)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("reading ssh's configuration: %w; what cannot be read cannot be checked", err)
	}
	fmt.Fprintf(s.digest, "%s %d\n%s", name, len(data), data)
	for number, line := range strings.Split(string(data), "\n") {
		if _, ok := after("match", line); ok && execCriterion(line) {
			return fmt.Errorf("%s:%d: Match exec runs a program while ssh reads its configuration, before anything can be checked; "+
				"take it out, or give another file with -F", name, number+1)
		}
		if plain, ok := after("include", line); ok {
			if strings.ContainsAny(line, `"'\`) {
				plain = line // include refuses it
			}
			if err := s.include(plain, name, number+1, depth); err != nil {
				return err
			}
		}
		if word := setting(line); word != "" && classOf(word) == unknown {
			return fmt.Errorf("%s:%d: %s: unknown setting, so the guard cannot tell where it leads; take it out, or give another file with -F", name, number+1, word)
		}
	}
	return nil
}

// after returns what follows a keyword at the beginning of a line. ssh skips
// blanks and an equals sign before it, removes quotes, and needs no blank behind
// a closing quote (strdelim in misc.c). This skips more, so that it finds every
// keyword that ssh finds.
func after(keyword, line string) (rest string, ok bool) {
	plain := strings.TrimLeft(strings.NewReplacer(`"`, "", "'", "", `\`, "").Replace(line), blanks)
	if len(plain) < len(keyword) || !strings.EqualFold(plain[:len(keyword)], keyword) {
		return "", false
	}
	return strings.TrimLeft(plain[len(keyword):], blanks), true
}

// blanks is what ssh skips between words, and more.
const blanks = "= \t\r\n\v\f"

// execCriterion returns whether a Match line has the criterion exec or !exec. In
// a line with quotes, which ssh may join to words, the letters are enough.
func execCriterion(line string) bool {
	rest, _ := after("match", line)
	rest = strings.ToLower(rest)
	if strings.ContainsAny(line, `"'\`) {
		return strings.Contains(rest, "exec")
	}
	return slices.Contains(strings.FieldsFunc(rest, func(r rune) bool { return strings.ContainsRune(blanks+"!,", r) }), "exec")
}

func (s scan) include(patterns, from string, line, depth int) error {
	if strings.ContainsAny(patterns, `"'\%$`) {
		return fmt.Errorf("%s:%d: Include with quotes, tokens or variables (%s) is not supported by the guard; write plain paths", from, line, patterns)
	}
	for pattern := range strings.FieldsSeq(patterns) {
		if strings.HasPrefix(pattern, "#") {
			return nil
		}
		paths := []string{pattern}
		switch {
		case strings.HasPrefix(pattern, "~/"):
			paths[0] = filepath.Join(s.home, pattern[2:])
		case strings.HasPrefix(pattern, "~"):
			return fmt.Errorf("%s:%d: Include of another user's file (%s) is not supported by the guard; write the whole path", from, line, pattern)
		case !filepath.IsAbs(pattern):
			paths = paths[:0]
			for _, directory := range s.relative {
				paths = append(paths, filepath.Join(directory, pattern))
			}
		}
		for _, path := range paths {
			names, err := filepath.Glob(widen(path))
			if err != nil {
				return fmt.Errorf("%s:%d: Include %s: %w", from, line, path, err)
			}
			for _, name := range names {
				if err := s.file(name, depth+1); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// widen returns a pattern that matches at least what glob(3) matches. Brackets
// and question marks differ between implementations; one file too many can only
// refuse.
func widen(pattern string) string {
	steps := strings.Split(strings.ReplaceAll(pattern, "?", "*"), "/")
	for i, step := range steps {
		if open := strings.IndexByte(step, '['); open >= 0 {
			steps[i] = step[:open] + "*"
			if closed := strings.LastIndexByte(step, ']'); closed > open {
				steps[i] += step[closed+1:]
			}
		}
	}
	return strings.Join(steps, "/")
}
