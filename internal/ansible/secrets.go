// SPDX-License-Identifier: GPL-3.0-or-later

package ansible

import (
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

const (
	maskWhole = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER" // AnsibleModule's replacement of a secret value
	maskPart  = "********"
	shortest  = 4 // minimal length of a secret that is masked inside words
	lineMin   = 8 // minimal length of a line of a secret that is masked alone
)

// secrets masks secrets in output. It is safe for concurrent use.
type secrets struct {
	mu    sync.Mutex
	whole map[string]bool // the secrets as they were given
	parts []string        // every spelling to mask inside text, without short secrets
	short []string
}

// addValue adds every string and number in value.
func (s *secrets) addValue(value any) {
	switch value := value.(type) {
	case nil, bool:
	case []any:
		for _, item := range value {
			s.addValue(item)
		}
	case *dict:
		for _, item := range value.values {
			s.addValue(item)
		}
	default:
		s.add(pyStr(value))
	}
}

// add adds one secret with its quoted and encoded spellings.
func (s *secrets) add(secret string) {
	if secret == "" || strings.Trim(secret, "*") == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.whole[secret] {
		return
	}
	if s.whole == nil {
		s.whole = map[string]bool{}
	}
	s.whole[secret] = true
	quoted := strconv.Quote(secret)
	var inASCII strings.Builder
	pyJSONString(&inASCII, secret)
	inJSON, _ := jsonBytes(secret)
	forHTML, _ := json.Marshal(secret)
	spellings := []string{
		secret, pyStrip(secret),
		quoted[1 : len(quoted)-1],
		unquoted(string(inJSON)), unquoted(string(forHTML)), unquoted(inASCII.String()),
		strings.ReplaceAll(secret, "'", `'\''`), // as a shell's word
		url.QueryEscape(secret), url.PathEscape(secret),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.URLEncoding.EncodeToString([]byte(secret)),
	}
	if strings.Contains(secret, "\n") {
		for line := range strings.Lines(secret) {
			if line = pyStrip(line); utf8.RuneCountInString(line) >= lineMin {
				spellings = append(spellings, line)
			}
		}
	}
	for _, spelling := range spellings {
		if _, err := valueOf(spelling); err != nil || strings.Trim(spelling, "*") == "" {
			continue
		}
		if utf8.RuneCountInString(spelling) < shortest {
			s.short = append(s.short, spelling)
		} else {
			s.parts = append(s.parts, spelling)
		}
	}
	slices.Sort(s.parts)
	slices.Sort(s.short)
	s.parts, s.short = slices.Compact(s.parts), slices.Compact(s.short)
}

func unquoted(text string) string {
	if len(text) < 2 {
		return text
	}
	return text[1 : len(text)-1]
}

// text returns text with secrets masked. Overlapping secrets are masked as one.
func (s *secrets) text(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.whole) == 0 || text == "" {
		return text
	}
	if s.whole[text] {
		if !s.holds(maskWhole) {
			return maskWhole
		}
		return maskPart
	}
	hidden := s.find(text)
	if hidden == nil {
		return text
	}
	var out strings.Builder
	for i := 0; i < len(text); {
		if !hidden[i] {
			out.WriteByte(text[i])
			i++
			continue
		}
		out.WriteString(maskPart)
		for i < len(text) && hidden[i] {
			i++
		}
	}
	if masked := out.String(); !s.holds(masked) {
		return masked
	}
	return maskPart // a secret with asterisks came together around a mask
}

func (s *secrets) holds(text string) bool { return s.find(text) != nil }

// find marks the bytes of text that belong to a secret; nil if none does.
func (s *secrets) find(text string) []bool {
	var hidden []bool
	mark := func(from, to int) {
		if hidden == nil {
			hidden = make([]bool, len(text))
		}
		for i := from; i < to; i++ {
			hidden[i] = true
		}
	}
	each := func(secret string, do func(from, to int)) {
		for from := 0; ; {
			at := strings.Index(text[from:], secret)
			if at < 0 {
				return
			}
			do(from+at, from+at+len(secret))
			_, size := utf8.DecodeRuneInString(text[from+at:])
			from += at + size
		}
	}
	for _, secret := range s.parts {
		each(secret, mark)
	}
	for _, secret := range s.short {
		each(secret, func(from, to int) {
			before, _ := utf8.DecodeLastRuneInString(text[:from])
			after, _ := utf8.DecodeRuneInString(text[to:])
			if !inWord(before) && !inWord(after) {
				mark(from, to)
			}
		})
	}
	return hidden
}

func inWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// value returns value with secrets masked, in keys too.
func (s *secrets) value(value any) any {
	switch value := value.(type) {
	case string:
		return s.text(value)
	case int64, float64, *big.Int:
		text := pyStr(value)
		if masked := s.text(text); masked != text {
			return maskWhole
		}
		return value
	case []any:
		out := make([]any, len(value))
		for i, item := range value {
			out[i] = s.value(item)
		}
		return out
	case *dict:
		out := sizedDict(len(value.keys))
		for _, key := range value.keys {
			out.set(s.text(key), s.value(value.values[key]))
		}
		return out
	}
	return value
}
