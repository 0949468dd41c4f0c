// SPDX-License-Identifier: GPL-3.0-or-later

package override

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/arcodange-org/sandbox/internal/lazyregexp"
)

// hidden replaces a value that may be a secret.
const hidden = "***"

// switches are the letters of Ansible's commands without a value, which may precede one with a value (`-vve KEY=VALUE`).
const switches = "vKkbCDho1"

// redactCommand returns a command line of Ansible without what may be a secret:
// values of extra variables, except of those that tell the target of a run; the
// arguments of an ad hoc module; passwords in URLs, and values of options that
// are named after a secret.
func redactCommand(command []string) []string {
	words := make([]string, 0, len(command))
	var redact func(string) string // for the next word; nil if it may be shown
	for _, word := range command {
		if redact != nil {
			words, redact = append(words, redact(word)), nil
			continue
		}
		option, inline, value := redactorFor(word)
		switch {
		case option == nil:
			word = redactWord(word)
		case inline:
			word = strings.TrimSuffix(word, value) + option(value)
		default:
			redact = option
		}
		words = append(words, word)
	}
	return words
}

// redactorFor returns the function that redacts the value of an option, or nil if
// the value may be shown. inline is true if the word holds the value itself.
// Ansible accepts abbreviated option names.
func redactorFor(word string) (redact func(string) string, inline bool, value string) {
	if strings.HasPrefix(word, "--") {
		name, value, inline := strings.Cut(word, "=")
		switch {
		case len(name) > 2 && strings.HasPrefix("--extra-vars", name):
			return redactVariables, inline, value
		case len(name) > 3 && strings.HasPrefix("--args", name):
			return redactArguments, inline, value
		}
		return nil, false, ""
	}
	if !strings.HasPrefix(word, "-") {
		return nil, false, ""
	}
	letters := strings.TrimLeft(word[1:], switches)
	switch {
	case strings.HasPrefix(letters, "e"):
		return redactVariables, len(letters) > 1, letters[1:]
	case strings.HasPrefix(letters, "a"):
		return redactArguments, len(letters) > 1, letters[1:]
	}
	return nil, false, ""
}

// redactVariables returns extra variables without their values.
func redactVariables(word string) string {
	if strings.HasPrefix(word, "@") {
		return word // the name of a file
	}
	if strings.HasPrefix(word, "{") {
		var parsed map[string]any
		if yaml.Unmarshal([]byte(word), &parsed) != nil {
			return hidden
		}
		var kept []string
		for _, name := range slices.Sorted(maps.Keys(parsed)) {
			value := ""
			switch parsed[name].(type) {
			case string, bool, int:
				value = fmt.Sprint(parsed[name])
			}
			kept = append(kept, redactVariable(name, value))
		}
		return strings.Join(kept, " ")
	}
	var kept []string
	var quote rune
	pieces := strings.FieldsFunc(word, func(r rune) bool {
		switch {
		case quote == 0 && (r == '"' || r == '\''):
			quote = r
		case r == quote:
			quote = 0
		}
		return quote == 0 && r == ' '
	})
	if quote != 0 || strings.Contains(word, `\`) {
		return hidden // the end of a value is unknown
	}
	for _, piece := range pieces {
		if name, value, ok := strings.Cut(piece, "="); ok {
			kept = append(kept, redactVariable(name, value))
		}
	}
	if len(kept) == 0 {
		return hidden
	}
	return strings.Join(kept, " ")
}

// redactVariable returns name=value. The value is hidden unless it tells the target of a run and has the form of one.
func redactVariable(name, value string) string {
	if !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,80}$`).MatchString(name) {
		return hidden
	}
	public := regexp.MustCompile(`^(i_mean_prod|i_mean_prod_cluster|ansible_(host|port|user|connection))$`)
	if !public.MatchString(name) || !regexp.MustCompile(`^[A-Za-z0-9._:-]{1,80}$`).MatchString(value) {
		value = hidden
	}
	return name + "=" + value
}

// redactArguments hides the arguments of an ad hoc module, which may be any text.
func redactArguments(string) string { return hidden }

// redactWord hides the password of a URL and values that are named after a secret.
func redactWord(word string) string {
	word = lazyregexp.New(`(://[^/\s:@]*:)[^/\s]*@`).ReplaceAllString(word, "${1}"+hidden+"@")
	return regexp.MustCompile(`(?i)((?:pass|secret|token|credential|api.?key)[^=\s]*=)\S+`).ReplaceAllString(word, "${1}"+hidden)
}
