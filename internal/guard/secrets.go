// SPDX-License-Identifier: GPL-3.0-or-later

package guard

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/arcodange-org/sandbox/internal/lazyregexp"
)

// hidden stands in the place of what may be a secret.
const hidden = "***"

// Letters of Ansible's commands that take no value and may stand before one that does (`-vve KEY=VALUE`).
const bare = "vKkbCDho1"

// withoutSecrets is a command line of Ansible as it may be written down: of
// extra variables the names, and the values only of those that say where a run
// leads; nothing of the arguments of an ad hoc module, which may be any text;
// no password in an URL or behind an option that is named after one.
func withoutSecrets(command []string) []string {
	words := make([]string, 0, len(command))
	var value func(string) string // what is written in the place of the next word
	for _, word := range command {
		if value != nil {
			words, value = append(words, value(word)), nil
			continue
		}
		option, given, rest := takes(word)
		switch {
		case option == nil:
			word = scrubbed(word)
		case given:
			word = strings.TrimSuffix(word, rest) + option(rest)
		default:
			value = option
		}
		words = append(words, word)
	}
	return words
}

// takes tells what is to be written for the value of an option; nil for a word
// whose value may be shown. given says that the value stands in the word itself.
// Ansible takes an option by the beginning of its name, too.
func takes(word string) (hide func(string) string, given bool, rest string) {
	if strings.HasPrefix(word, "--") {
		name, value, given := strings.Cut(word, "=")
		switch {
		case len(name) > 2 && strings.HasPrefix("--extra-vars", name):
			return variables, given, value
		case len(name) > 3 && strings.HasPrefix("--args", name):
			return arguments, given, value
		}
		return nil, false, ""
	}
	if !strings.HasPrefix(word, "-") {
		return nil, false, ""
	}
	letters := strings.TrimLeft(word[1:], bare)
	switch {
	case strings.HasPrefix(letters, "e"):
		return variables, len(letters) > 1, letters[1:]
	case strings.HasPrefix(letters, "a"):
		return arguments, len(letters) > 1, letters[1:]
	}
	return nil, false, ""
}

// variables is a word of extra variables with the values taken out.
func variables(word string) string {
	if strings.HasPrefix(word, "@") {
		return word // a file's name
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
			kept = append(kept, shown(name, value))
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
		return hidden // where a value ends is not known
	}
	for _, piece := range pieces {
		if name, value, given := strings.Cut(piece, "="); given {
			kept = append(kept, shown(name, value))
		}
	}
	if len(kept) == 0 {
		return hidden
	}
	return strings.Join(kept, " ")
}

// shown is a variable's name, and its value if that says where a run leads and is plainly no secret.
func shown(name, value string) string {
	if !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,80}$`).MatchString(name) {
		return hidden
	}
	telling := regexp.MustCompile(`^(i_mean_prod|i_mean_prod_cluster|ansible_(host|port|user|connection))$`)
	if !telling.MatchString(name) || !regexp.MustCompile(`^[A-Za-z0-9._:-]{1,80}$`).MatchString(value) {
		value = hidden
	}
	return name + "=" + value
}

// arguments stands for the arguments of an ad hoc module.
func arguments(string) string { return hidden }

// scrubbed is a word without the password of an URL and without values that are named after a secret.
func scrubbed(word string) string {
	word = lazyregexp.New(`(://[^/\s:@]*:)[^/\s]*@`).ReplaceAllString(word, "${1}"+hidden+"@")
	return regexp.MustCompile(`(?i)((?:pass|secret|token|credential|api.?key)[^=\s]*=)\S+`).ReplaceAllString(word, "${1}"+hidden)
}
