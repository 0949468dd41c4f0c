// SPDX-License-Identifier: GPL-3.0-or-later

package ansible

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/arcodange-org/sandbox/internal/run"
)

// What stands in place of a secret, in Ansible's own words: for a whole value, and inside a longer one.
const (
	maskedValue = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
	maskedPart  = "********"
)

// secrets is the set of texts that must not leave the program.
type secrets struct {
	mu    sync.Mutex
	texts []string // longest first, so that a secret inside another one leaves no rest
}

// add takes every text and number in value, however deep. Booleans and null are nobody's secret.
func (s *secrets) add(value any) {
	switch v := value.(type) {
	case nil, bool:
	case []any:
		for _, element := range v {
			s.add(element)
		}
	case map[string]any:
		for _, element := range v {
			s.add(element)
		}
	default:
		s.addText(pythonString(value))
	}
}

// addText adds text and the forms in which it shows up inside messages: as a quoted Go, JSON, shell or URL word.
func (s *secrets) addText(text string) {
	if text == "" {
		return
	}
	quoted, python := strconv.Quote(text), pythonQuote(text)
	forms := []string{text, quoted[1 : len(quoted)-1], python[1 : len(python)-1], url.QueryEscape(text), url.PathEscape(text)}
	if encoded, err := json.Marshal(text); err == nil {
		forms = append(forms, string(encoded[1:len(encoded)-1]))
	}
	if shell := run.Quote(text); shell != text {
		forms = append(forms, shell)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, form := range forms {
		if !slices.Contains(s.texts, form) {
			s.texts = append(s.texts, form)
		}
	}
	slices.SortStableFunc(s.texts, func(a, b string) int { return len(b) - len(a) })
}

// text masks what is secret in one text.
func (s *secrets) text(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.texts, text) {
		return maskedValue
	}
	// One pass, so that a mask is never masked again and what stands between two masks cannot join up to a secret.
	var pairs []string
	for _, secret := range s.texts {
		pairs = append(pairs, secret, maskedPart)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// value masks a decoded JSON value, keys of mappings included.
func (s *secrets) value(value any) any {
	switch v := value.(type) {
	case string:
		return s.text(v)
	case int64, float64:
		if text := pythonString(v); s.text(text) != text {
			return maskedValue
		}
		return v
	case []any:
		masked := make([]any, len(v))
		for i, element := range v {
			masked[i] = s.value(element)
		}
		return masked
	case map[string]any:
		masked := make(map[string]any, len(v))
		for key, element := range v {
			masked[s.text(key)] = s.value(element)
		}
		return masked
	}
	return value
}
