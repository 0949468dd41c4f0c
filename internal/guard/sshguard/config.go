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

// How deep ssh follows Include (READCONF_MAX_DEPTH).
const maxDepth = 16

// How many files are looked at: a few that include the next twice are read more often than there is time for.
const maxFiles = 4096

// systemFiles are the system's own configurations of ssh, by where its builds
// have theirs: most systems, openSUSE, Homebrew, and what is built by hand. A
// file more that is looked at can only refuse.
var systemFiles = []string{
	"/etc/ssh/ssh_config", "/usr/etc/ssh/ssh_config",
	"/opt/homebrew/etc/ssh/ssh_config", "/usr/local/etc/ssh/ssh_config", "/usr/local/etc/ssh_config",
}

// scan reads the configuration files that ssh is going to read and refuses
// what runs a program while ssh reads them: `Match exec` is evaluated by
// `ssh -G` too, so it must be found before that is asked. The digest is of all
// that was read.
type scan struct {
	home     string
	relative []string // directories of what is included by a relative path
	digest   io.Writer
	files    *int // that were read
}

// configuration scans what ssh reads with the given -F (empty: the defaults).
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
			// Beside the file, or in the directory that the build was told of, which may be the first one's.
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
		return fmt.Errorf("reading ssh's configuration: %s is included too deeply; take the circle out", name)
	}
	if *s.files++; *s.files > maxFiles {
		return fmt.Errorf("reading ssh's configuration: with %s there are more than %d files; include fewer", name, maxFiles)
	}
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading ssh's configuration: %w; what cannot be read cannot be checked", err)
	}
	// A pipe, and whatever else is no file, may say something else to the next who reads it.
	if !info.Mode().IsRegular() && name != os.DevNull {
		return fmt.Errorf("reading ssh's configuration: %s is no plain file, so ssh may read something else in it than the guard; name a file", name)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("reading ssh's configuration: %w; what cannot be read cannot be checked", err)
	}
	fmt.Fprintf(s.digest, "%s %d\n%s", name, len(data), data)
	for number, line := range strings.Split(string(data), "\n") {
		if _, is := after("match", line); is && execCriterion(line) {
			return fmt.Errorf("%s:%d: Match exec runs a program while ssh reads its configuration, before anything can be checked; "+
				"take it out, or give another file with -F", name, number+1)
		}
		if plain, is := after("include", line); is {
			if strings.ContainsAny(line, `"'\`) {
				plain = line // refused, with what is written there
			}
			if err := s.include(plain, name, number+1, depth); err != nil {
				return err
			}
		}
		if word := setting(line); word != "" && classOf(word) == unheard {
			return fmt.Errorf("%s:%d: %s is not a setting that the guard knows, so it cannot tell where it leads; take it out, or give another file with -F", name, number+1, word)
		}
	}
	return nil
}

// after tells whether a line of a configuration begins with a keyword, and what
// follows it. ssh passes over blanks and an equals sign before it, takes quotes
// out of it and needs nothing behind a closing one (strdelim in misc.c); here,
// more is passed over, so that no line is read as less than ssh reads in it.
func after(keyword, line string) (rest string, is bool) {
	plain := strings.TrimLeft(strings.NewReplacer(`"`, "", "'", "", `\`, "").Replace(line), blanks)
	if len(plain) < len(keyword) || !strings.EqualFold(plain[:len(keyword)], keyword) {
		return "", false
	}
	return strings.TrimLeft(plain[len(keyword):], blanks), true
}

// What ssh passes over between words, and more.
const blanks = "= \t\r\n\v\f"

// execCriterion tells whether exec, or its negation, stands among a Match
// line's words. Where quotes may join and part words in ssh's own way, the
// letters are enough.
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
		return fmt.Errorf("%s:%d: Include with quotes, tokens or variables (%s) is not followed by the guard; write plain paths", from, line, patterns)
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
			return fmt.Errorf("%s:%d: Include of another user's file (%s) is not followed by the guard; write the path in full", from, line, pattern)
		case !filepath.IsAbs(pattern):
			paths = paths[:0]
			for _, directory := range s.relative {
				paths = append(paths, filepath.Join(directory, pattern))
			}
		}
		for _, path := range paths {
			names, err := filepath.Glob(wider(path))
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

// wider is a pattern that covers all that a pattern of glob(3) does. What stands
// in brackets, and how many bytes a question mark takes, is not read alike by
// all; a file more that is looked at can only refuse.
func wider(pattern string) string {
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
