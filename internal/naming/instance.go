// SPDX-License-Identifier: GPL-3.0-or-later

package naming

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/arcodange-org/sandbox/internal/oneline"
)

// Prod is the production env. Its names do not contain the env.
const Prod = "prod"

// maxWord is the maximal length of an app or an env: a DNS label's.
const maxWord = 63

// Instance is an application in one env.
type Instance struct {
	App string
	Env string
}

// Key returns the instance as one word: the app in production, app-env elsewhere.
func (i Instance) Key() string {
	if i.Env == Prod || i.Env == "" {
		return i.App
	}
	return i.App + "-" + i.Env
}

// String returns the instance for messages.
func (i Instance) String() string {
	switch {
	case i.App == "":
		return fmt.Sprintf("env %q of any app", i.Env)
	case i.Env == "":
		return fmt.Sprintf("app %q in all its envs", i.App)
	}
	return fmt.Sprintf("app %q in env %q", i.App, i.Env)
}

// CheckApp returns why app cannot be an application's name; nil if it can.
func (t *Table) CheckApp(app string) error {
	if err := checkWord("app", app); err != nil {
		return err
	}
	if endsInProd(app) {
		return fmt.Errorf(`app %q: %q is reserved for production and may not be an app or its last part; call the app %s and give it the env %s`,
			app, Prod, orExample(strings.TrimSuffix(strings.TrimSuffix(app, Prod), "-")), Prod)
	}
	if t.reservedApps[app] {
		return fmt.Errorf("app %q: the word is reserved, a system of the platform has that name; choose another", app)
	}
	return nil
}

// CheckEnv returns why env cannot be an env; nil if it can.
func (t *Table) CheckEnv(env string) error {
	if env == Prod {
		return nil
	}
	if err := checkWord("env", env); err != nil {
		return err
	}
	if endsInProd(env) {
		return fmt.Errorf("env %q: it contains %q, which is reserved for production; choose another", env, Prod)
	}
	if t.reservedEnvs[env] {
		return fmt.Errorf("env %q: the word is reserved; choose another", env)
	}
	return nil
}

func endsInProd(word string) bool { return word == Prod || strings.HasSuffix(word, "-"+Prod) }

func orExample(word string) string {
	if word == "" {
		return "by its own name"
	}
	return word
}

// checkWord returns why word is not lower-case kebab-case. what is "app" or "env".
func checkWord(what, word string) error {
	const form = "lower-case letters, digits and single hyphens, beginning with a letter"
	if word == "" {
		return fmt.Errorf("%s %q is empty; it must be a word of %s", what, word, form)
	}
	if len(word) > maxWord {
		return fmt.Errorf("%s %q has %d bytes; at most %d fit a DNS label", what, oneline.Cut(word, 80), len(word), maxWord)
	}
	for at, r := range word {
		switch {
		case r >= 'a' && r <= 'z':
		case r >= '0' && r <= '9':
			if at == 0 {
				return fmt.Errorf("%s %q begins with the digit %q; it must begin with a letter", what, word, r)
			}
		case r == '-':
			if at == 0 {
				return fmt.Errorf("%s %q begins with a hyphen; it must begin with a letter", what, word)
			}
			if at == len(word)-1 {
				return fmt.Errorf("%s %q ends with a hyphen; it must end with a letter or a digit", what, word)
			}
			if word[at-1] == '-' {
				return fmt.Errorf("%s %q has two hyphens in a row; one joins words", what, word)
			}
		case r >= 'A' && r <= 'Z':
			return fmt.Errorf("%s %q has the capital %q; names are lower case, write %q", what, word, r, strings.ToLower(word))
		case r == '_':
			return fmt.Errorf("%s %q has an underscore; words are joined by hyphens, write %q", what, word, strings.ReplaceAll(word, "_", "-"))
		case r == utf8.RuneError:
			return fmt.Errorf("%s %q is not valid UTF-8; it must be a word of %s", what, word, form)
		case r > unicode.MaxASCII:
			return fmt.Errorf("%s %q has the character %q (%U), which is not ASCII however much it may look so; it must be a word of %s", what, word, r, r, form)
		default:
			return fmt.Errorf("%s %q has the character %q; it must be a word of %s", what, word, r, form)
		}
	}
	return nil
}

// App is an application with the envs it exists in.
type App struct {
	Name string
	Envs []string // empty means production only
}

// Instances returns the instances of apps, in order. It reports every invalid
// app and env, an app that is listed twice, and an env twice in one app.
func (t *Table) Instances(apps []App) ([]Instance, error) {
	var instances []Instance
	var problems []error
	seen := make(map[string]bool, len(apps))
	for _, app := range apps {
		if err := t.CheckApp(app.Name); err != nil {
			problems = append(problems, err)
			continue
		}
		if seen[app.Name] {
			problems = append(problems, fmt.Errorf("app %q is listed twice; merge its envs", app.Name))
			continue
		}
		seen[app.Name] = true
		envs := app.Envs
		if len(envs) == 0 {
			envs = []string{Prod}
		}
		for n, env := range envs {
			if err := t.CheckEnv(env); err != nil {
				problems = append(problems, fmt.Errorf("app %q: %w", app.Name, err))
				continue
			}
			if slices.Contains(envs[:n], env) {
				problems = append(problems, fmt.Errorf("app %q has the env %q twice; an env exists once", app.Name, env))
				continue
			}
			instances = append(instances, Instance{App: app.Name, Env: env})
		}
	}
	return instances, join(problems)
}

// problemsError is several errors on one line.
type problemsError []error

// Error joins them with semicolons.
func (p problemsError) Error() string {
	texts := make([]string, len(p))
	for i, err := range p {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns the single errors.
func (p problemsError) Unwrap() []error { return p }

func join(problems []error) error {
	if len(problems) == 0 {
		return nil
	}
	return problemsError(problems)
}
