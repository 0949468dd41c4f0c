// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits of a pattern, so that matching is linear in the path.
const (
	patternLimit = 1024 // bytes
	partLimit    = 62   // parts between slashes: the states of a match are bits of a uint64
)

// pattern is a pattern of paths with the syntax of .gitignore, without
// the error-prone parts of it (!, \ and [ ]):
//
//   - with a slash at the beginning or in the middle it is relative to the top;
//     without one it matches a name in any folder;
//   - * matches any number of characters, ? one, within a name;
//   - ** as a whole part matches any number of folders, including none;
//   - a pattern of a folder matches everything in it. With a slash at the end
//     it matches only a folder.
//
// It is case-sensitive, like git.
type pattern struct {
	Text   string
	parts  []string // "**" matches any number of parts
	folder bool     // matches only paths inside the folder
}

// parsePattern parses a pattern.
func parsePattern(text string) (pattern, error) {
	wrong := func(format string, words ...any) (pattern, error) {
		return pattern{}, fmt.Errorf("the pattern %q "+format, append([]any{text}, words...)...)
	}
	switch {
	case text == "":
		return pattern{}, errors.New("a pattern is empty")
	case len(text) > patternLimit:
		return pattern{}, fmt.Errorf("a pattern has %d bytes, and at most %d are read", len(text), patternLimit)
	case !utf8.ValidString(text) || strings.ContainsRune(text, utf8.RuneError):
		return wrong("is not text")
	case strings.ContainsAny(text, "![]\\"):
		return wrong("holds one of ! [ ] \\, which are not supported: write one pattern for each, and exceptions under excludes")
	case strings.TrimSpace(text) != text:
		return wrong("begins or ends with a blank")
	}
	for _, r := range text {
		if r < ' ' || r == 0x7f {
			return wrong("holds a control character")
		}
	}
	body, folder := strings.CutSuffix(text, "/")
	tied := strings.Contains(body, "/")
	body = strings.TrimPrefix(body, "/")
	if body == "" {
		return wrong("names nothing: write ** for every file")
	}
	p := pattern{Text: text, folder: folder}
	if !tied {
		p.parts = append(p.parts, "**")
	}
	for part := range strings.SplitSeq(body, "/") {
		switch {
		case part == "":
			return wrong("holds two slashes in a row")
		case part == "." || part == "..":
			return wrong("holds %s, and paths in git are from the top", part)
		case part == "**":
			if n := len(p.parts); n > 0 && p.parts[n-1] == "**" {
				continue
			}
		case strings.Contains(part, "**"):
			return wrong("holds ** next to other characters; put it alone between slashes")
		}
		p.parts = append(p.parts, part)
	}
	// At the end it matches at least one name, or a folder with everything in it.
	if n := len(p.parts) - 1; p.parts[n] == "**" {
		p.parts[n] = "*"
		if n == 0 {
			p.parts = []string{"**", "*"}
		}
	}
	if len(p.parts) > partLimit {
		return wrong("has more than %d parts", partLimit)
	}
	return p, nil
}

// match returns whether the pattern matches a path of git, which may contain any
// bytes.
func (p pattern) match(path string) bool {
	// at has a bit for every possible number of matched parts.
	at := p.rest(1)
	last := uint64(1) << len(p.parts)
	for rest := path; ; {
		name, more, deeper := strings.Cut(rest, "/")
		var next uint64
		for n, part := range p.parts {
			if at&(1<<n) == 0 {
				continue
			}
			if part == "**" {
				next |= 1 << n
			} else if matchName(part, name) {
				next |= 1 << (n + 1)
			}
		}
		at = p.rest(next)
		switch {
		case at == 0:
			return false
		case !deeper:
			return at&last != 0 && !p.folder
		case at&last != 0:
			return true // the pattern matches a parent folder
		}
		rest = more
	}
}

// rest adds the states in which a ** matches nothing.
func (p pattern) rest(at uint64) uint64 {
	for n, part := range p.parts {
		if at&(1<<n) != 0 && part == "**" {
			at |= 1 << (n + 1)
		}
	}
	return at
}

// matchName returns whether a part of the pattern matches one name: * matches any
// number of characters, ? one. An invalid byte of UTF-8 is one character.
func matchName(part, name string) bool {
	star, mark, at := -1, 0, 0
	for i := 0; i < len(name); {
		_, size := utf8.DecodeRuneInString(name[i:])
		switch {
		case at < len(part) && part[at] == '*':
			star, mark = at, i
			at++
		case at < len(part) && part[at] == '?':
			at++
			i += size
		case at < len(part) && part[at] == name[i]:
			at++
			i++
		case star >= 0:
			_, size := utf8.DecodeRuneInString(name[mark:])
			mark += size
			at, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(part[at:], "*") == ""
}
