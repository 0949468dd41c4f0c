// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/arcodange-org/sandbox/internal/lazyregexp"
	"github.com/arcodange-org/sandbox/internal/strictyaml"
)

// policyLimit is the maximal size of a policy.
const policyLimit = 1 << 20

// promotionPolicy defines the classes of change and the evidence that each needs
// to reach production. docs/schema/promotion.schema.json describes its file.
type promotionPolicy struct {
	SHA256       string // of the file's bytes
	Signed       bool   // every record must carry the signature of an allowed signer
	Repositories map[string]repository
	Classes      map[string]class
}

// repository maps its files to classes of change.
type repository struct {
	Related []string // further repositories that evidence must list
	Classes []member
}

// member defines the files of one class in one repository.
type member struct {
	Class    string
	Paths    []pattern // each must match a file of base or head
	Optional []pattern // may match none
	Excludes []pattern
}

// holds returns whether path is in the class.
func (m member) holds(path string) bool {
	matches := func(p pattern) bool { return p.match(path) }
	return (slices.ContainsFunc(m.Paths, matches) || slices.ContainsFunc(m.Optional, matches)) && !slices.ContainsFunc(m.Excludes, matches)
}

// class lists the requirements of a class of change.
type class struct {
	Gates    []gateRequirement
	Drills   []gateRequirement
	MaxAge   time.Duration
	Fidelity fidelity
	Exempt   string // the reason why it needs no evidence; excludes gates and drills
}

// gateRequirement is a gate or a drill that must be green.
type gateRequirement struct {
	Name   string            `json:"name"`
	Report map[string]string `json:"report,omitempty"` // required values of its report, by key
	In     string            `json:"in,omitempty"`     // repository that must contain the report's subject; empty: the promoted one
}

// fidelity restricts the sandboxes whose evidence is accepted.
type fidelity struct {
	Modes         words `json:"modes"`
	Drivers       words `json:"drivers"`
	Distributions words `json:"distributions"`
	Deviations    words `json:"deviations"`
	Waivers       words `json:"waivers"`
}

// words are accepted values; in deviations and waivers a *
// matches any characters.
type words struct {
	Any  bool     `json:"any"` // any value, or none
	List []string `json:"list,omitempty"`
}

// subjectKey is the key of a report's subject. In a policy its value is a path in
// a repository, see record.Location.
const subjectKey = "subject"

// plainPath returns whether text is a path in git's form.
func plainPath(text string) bool {
	return text == "." || path.Clean(text) == text && !path.IsAbs(text) && text != ".." && !strings.HasPrefix(text, "../")
}

// gates are the gates that a policy can require.
var gates = [...]string{"idempotence_gate", "parity_assert", "tofu_plan_gate"}

// drillName matches names of drills.
var drillName = lazyregexp.New(`^drill_[a-z0-9]+(_[a-z0-9]+)*$`)

// word matches names of classes and repositories.
var word = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// parsePolicy parses a policy; file is its name in messages. Unknown keys and
// values are errors with line and column.
func parsePolicy(file string, data []byte) (*promotionPolicy, error) {
	policy, err := decodePolicy(reader{strictyaml.File(file)}, data)
	if err != nil {
		return nil, fmt.Errorf("promotion policy: %w", err)
	}
	return policy, nil
}

func decodePolicy(r reader, data []byte) (*promotionPolicy, error) {
	if len(data) > policyLimit {
		return nil, fmt.Errorf("%s:1:1: it has %d bytes, and at most %d are read", r.File, len(data), policyLimit)
	}
	root, err := r.Document(data)
	if err != nil {
		return nil, err
	}
	p := &promotionPolicy{SHA256: fmt.Sprintf("%x", sha256.Sum256(data)), Repositories: map[string]repository{}, Classes: map[string]class{}}
	var uses []*yaml.Node // where a class is named
	err = r.Mapping(root, nil, strictyaml.Keys{
		"signed": func(n *yaml.Node) (err error) { p.Signed, err = r.truth(n); return err },
		"repositories": func(n *yaml.Node) error {
			return r.each(n, func(key, n *yaml.Node) error {
				repository, named, err := r.repository(n)
				p.Repositories[key.Value] = repository
				uses = append(uses, named...)
				return err
			})
		},
		"classes": func(n *yaml.Node) error {
			return r.each(n, func(key, n *yaml.Node) (err error) { p.Classes[key.Value], err = r.class(n); return err })
		},
	})
	if err != nil {
		return nil, err
	}
	if len(p.Repositories) == 0 || len(p.Classes) == 0 {
		return nil, r.At(root, "repositories or classes are missing")
	}
	for _, n := range uses {
		if _, ok := p.Classes[n.Value]; !ok {
			return nil, r.At(n, "the class %q is not listed under classes", n.Value)
		}
	}
	return p, nil
}

func (r reader) repository(n *yaml.Node) (repository, []*yaml.Node, error) {
	var out repository
	var named []*yaml.Node
	err := r.Mapping(n, nil, strictyaml.Keys{
		"related_repositories": func(n *yaml.Node) (err error) { out.Related, err = r.texts(n, word); return err },
		"classes": func(n *yaml.Node) error {
			return r.List(n, func(n *yaml.Node) error {
				var m member
				at := n
				err := r.Mapping(n, nil, strictyaml.Keys{
					"class": func(n *yaml.Node) (err error) {
						at = n
						named = append(named, n)
						m.Class, err = r.text(n, word)
						return err
					},
					"paths":          func(n *yaml.Node) (err error) { m.Paths, err = r.patterns(n); return err },
					"optional_paths": func(n *yaml.Node) (err error) { m.Optional, err = r.patterns(n); return err },
					"excludes":       func(n *yaml.Node) (err error) { m.Excludes, err = r.patterns(n); return err },
				})
				switch {
				case err != nil:
					return err
				case m.Class == "":
					return r.At(at, "class is missing")
				case len(m.Paths)+len(m.Optional) == 0:
					return r.At(at, "the class %q has no paths", m.Class)
				case slices.ContainsFunc(out.Classes, func(other member) bool { return other.Class == m.Class }):
					return r.At(at, "the class %q is listed twice; merge its paths", m.Class)
				}
				out.Classes = append(out.Classes, m)
				return nil
			})
		},
	})
	if err == nil && len(out.Classes) == 0 {
		err = r.At(n, "classes is missing")
	}
	return out, named, err
}

func (r reader) class(n *yaml.Node) (class, error) {
	c := class{Fidelity: fidelity{Drivers: words{Any: true}}}
	has := map[string]bool{}
	err := r.Mapping(n, nil, strictyaml.Keys{
		"gates": func(n *yaml.Node) (err error) {
			c.Gates, err = r.needs(n, "gate", func(name string) error {
				if !slices.Contains(gates[:], name) {
					return fmt.Errorf("unknown gate %q; use one of %s", name, strings.Join(gates[:], ", "))
				}
				return nil
			})
			return err
		},
		"drills": func(n *yaml.Node) (err error) {
			c.Drills, err = r.needs(n, "drill", func(name string) error {
				if !drillName.MatchString(name) {
					return fmt.Errorf("%q: not the name of a drill; write drill_ and lower-case letters", name)
				}
				return nil
			})
			return err
		},
		"max_age": func(n *yaml.Node) error {
			text, err := r.text(n, nil)
			if err != nil {
				return err
			}
			c.MaxAge, err = time.ParseDuration(text)
			if err != nil || c.MaxAge <= 0 {
				return r.At(n, "max_age %q: not a duration above zero, such as 72h or 30m", text)
			}
			return nil
		},
		"fidelity": func(n *yaml.Node) error {
			has["fidelity"] = true
			words := func(key string, into *words) func(*yaml.Node) error {
				return func(n *yaml.Node) (err error) { has[key] = true; *into, err = r.words(n); return err }
			}
			err := r.Mapping(n, nil, strictyaml.Keys{
				"modes": words("modes", &c.Fidelity.Modes), "drivers": words("drivers", &c.Fidelity.Drivers),
				"distributions": words("distributions", &c.Fidelity.Distributions),
				"deviations":    words("deviations", &c.Fidelity.Deviations), "waivers": words("waivers", &c.Fidelity.Waivers),
			})
			if err == nil && !(has["modes"] && has["distributions"]) {
				err = r.At(n, "modes and distributions are both required; any is a valid value")
			}
			return err
		},
		"exempt": func(n *yaml.Node) (err error) { c.Exempt, err = r.text(n, nil); return err },
	})
	switch needs := len(c.Gates) + len(c.Drills); {
	case err != nil:
		return c, err
	case c.Exempt != "" && (needs > 0 || c.MaxAge > 0 || has["fidelity"]):
		return c, r.At(n, "exempt cannot be combined with gates, drills, max_age or fidelity")
	case c.Exempt == "" && needs == 0:
		return c, r.At(n, "gates and drills are missing; list some, or write under exempt why none are needed")
	case c.Exempt == "" && c.MaxAge == 0:
		return c, r.At(n, "max_age is missing")
	case c.Exempt == "" && !has["fidelity"]:
		return c, r.At(n, "fidelity is missing; list the accepted sandboxes")
	}
	return c, nil
}

// reader reads the nodes of a policy.
type reader struct{ strictyaml.File }

// each reads a mapping of names.
func (r reader) each(n *yaml.Node, read func(key, value *yaml.Node) error) error {
	return r.Pairs(n, func(key, value *yaml.Node) error {
		if _, err := r.text(key, word); err != nil {
			return err
		}
		return read(key, value)
	})
}

func (r reader) text(n *yaml.Node, shape *lazyregexp.Regexp) (string, error) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" || strings.TrimSpace(n.Value) == "" {
		return "", r.At(n, "not text; put it in quotes")
	}
	if shape != nil && !shape.MatchString(n.Value) {
		return "", r.At(n, "%q: not a name of letters, digits, dots, hyphens and underscores", n.Value)
	}
	return n.Value, nil
}

func (r reader) truth(n *yaml.Node) (bool, error) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
		return false, r.At(n, "not true or false")
	}
	return strings.EqualFold(n.Value, "true"), nil
}

func (r reader) texts(n *yaml.Node, shape *lazyregexp.Regexp) ([]string, error) {
	var out []string
	err := r.List(n, func(n *yaml.Node) error {
		text, err := r.text(n, shape)
		if err == nil && slices.Contains(out, text) {
			err = r.At(n, "%q is listed twice", text)
		}
		out = append(out, text)
		return err
	})
	return out, err
}

// words reads a list, or the word any.
func (r reader) words(n *yaml.Node) (words, error) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" && n.Value == "any" {
		return words{Any: true}, nil
	}
	list, err := r.texts(n, nil)
	return words{List: list}, err
}

func (r reader) patterns(n *yaml.Node) ([]pattern, error) {
	var out []pattern
	err := r.List(n, func(n *yaml.Node) error {
		text, err := r.text(n, nil)
		if err != nil {
			return err
		}
		p, err := parsePattern(text)
		if err != nil {
			return r.At(n, "%v", err)
		}
		out = append(out, p)
		return nil
	})
	return out, err
}

// needs reads a list of names, each alone or with required values of its report.
func (r reader) needs(n *yaml.Node, key string, good func(string) error) ([]gateRequirement, error) {
	var out []gateRequirement
	err := r.List(n, func(n *yaml.Node) error {
		var need gateRequirement
		named := n
		if n.Kind == yaml.MappingNode {
			err := r.Mapping(n, nil, strictyaml.Keys{
				key: func(n *yaml.Node) (err error) { named = n; need.Name, err = r.text(n, nil); return err },
				"report": func(n *yaml.Node) error {
					need.Report = map[string]string{}
					return r.each(n, func(key, n *yaml.Node) (err error) {
						need.Report[key.Value], err = r.text(n, nil)
						if err == nil && key.Value == subjectKey && !plainPath(need.Report[key.Value]) {
							err = r.At(n, "%q: not a path in a repository; write it as git does, such as playbooks/site.yml", n.Value)
						}
						return err
					})
				},
				"in": func(n *yaml.Node) (err error) { need.In, err = r.text(n, word); return err },
			})
			if err != nil {
				return err
			}
		} else {
			var err error
			if need.Name, err = r.text(n, nil); err != nil {
				return err
			}
		}
		if err := good(need.Name); err != nil {
			return r.At(named, "%v", err)
		}
		if slices.ContainsFunc(out, func(other gateRequirement) bool {
			return other.Name == need.Name && other.In == need.In && maps.Equal(other.Report, need.Report)
		}) {
			return r.At(named, "%s is listed twice", need.Name)
		}
		out = append(out, need)
		return nil
	})
	return out, err
}
