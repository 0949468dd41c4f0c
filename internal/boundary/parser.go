// SPDX-License-Identifier: GPL-3.0-or-later

package boundary

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/arcodange-org/sandbox/internal/lazyregexp"
	"github.com/arcodange-org/sandbox/internal/strictyaml"
)

// parser reads the nodes of a manifest.
type parser struct{ strictyaml.File }

func (p parser) text(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" || n.Value == "" {
		return p.At(n, "must be a string; put it in quotes")
	}
	return nil
}

// section reads the lists of one side.
type section struct {
	parser
	name string
}

func (s section) rule(n *yaml.Node, list, value string) Rule {
	return Rule{File: string(s.File), Line: n.Line, Column: n.Column, Text: s.name + "." + list + ": " + value}
}

func (s section) nodes(n *yaml.Node, each func(*yaml.Node) error) error {
	if n.Kind != yaml.SequenceNode {
		return s.At(n, "not a list")
	}
	if len(n.Content) == 0 && s.name == "sandbox" {
		return s.At(n, "empty list; fill it or remove its key")
	}
	for _, entry := range n.Content {
		if err := each(entry); err != nil {
			return err
		}
	}
	return nil
}

// texts reads a list of strings; read returns an error for a wrong one.
func (s section) texts(list string, read func(text string, rule Rule) error) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		return s.nodes(n, func(n *yaml.Node) error { return s.one(n, list, read) })
	}
}

func (s section) one(n *yaml.Node, list string, read func(text string, rule Rule) error) error {
	if err := s.text(n); err != nil {
		return err
	}
	if err := read(n.Value, s.rule(n, list, n.Value)); err != nil {
		return s.At(n, "%v", err)
	}
	return nil
}

// patterns reads a list of strings into rules, canonical as canon has it.
func (s section) patterns(list string, into *[]PatternRule, canon func(string) (string, error)) func(*yaml.Node) error {
	return s.texts(list, pattern(into, canon))
}

func pattern(into *[]PatternRule, canon func(string) (string, error)) func(string, Rule) error {
	return func(text string, rule Rule) error {
		canonical, err := canon(text)
		if err == nil {
			*into = append(*into, PatternRule{canonical, rule})
		}
		return err
	}
}

func endpointRule(into *[]EndpointRule, port bool) func(string, Rule) error {
	return func(text string, rule Rule) error {
		read, err := parseEndpoint(text, port)
		read.Rule = rule
		if err == nil {
			*into = append(*into, read)
		}
		return err
	}
}

func (p parser) side(n *yaml.Node, name string, side *Side) error {
	s := section{p, name}
	return p.Mapping(n, nil, strictyaml.Keys{
		"addresses": s.texts("addresses", func(text string, rule Rule) error {
			r, err := ParseRange(text)
			if err == nil {
				side.Addresses = append(side.Addresses, AddressRule{r, rule})
			}
			return err
		}),
		"names":     s.patterns("names", &side.Names, canonicalName),
		"endpoints": s.texts("endpoints", endpointRule(&side.Endpoints, true)),
		"outside": s.texts("outside", func(text string, rule Rule) error {
			if name != "sandbox" {
				return errors.New("only the sandbox's machines have an outside; move it under sandbox")
			}
			if strings.Contains(text, "*") {
				return errors.New("a pattern has no addresses; list each name")
			}
			return endpointRule(&side.Outside, true)(text, rule)
		}),
		"ssh_host_keys": s.patterns("ssh_host_keys", &side.HostKeys, canonicalFingerprint),
		"machines": func(n *yaml.Node) error {
			return s.nodes(n, func(n *yaml.Node) error {
				return s.entry(n, strictyaml.Keys{
					"machine_id": func(n *yaml.Node) error {
						return s.one(n, "machines.machine_id", pattern(&side.MachineIDs, canonicalMachineID))
					},
					"hostname": func(n *yaml.Node) error {
						return s.one(n, "machines.hostname", pattern(&side.Hostnames, canonicalName))
					},
				})
			})
		},
		"kube": func(n *yaml.Node) error { return s.nodes(n, func(n *yaml.Node) error { return s.kube(n, side) }) },
		"vault": func(n *yaml.Node) error {
			return s.nodes(n, func(n *yaml.Node) error {
				return s.entry(n, strictyaml.Keys{
					"address": func(n *yaml.Node) error { return s.one(n, "vault.address", endpointRule(&side.Vaults, false)) },
					"key_files": s.patterns("vault.key_files", &side.KeyFiles, func(text string) (string, error) {
						return s.path(text)
					}),
				})
			})
		},
		"git": s.patterns("git", &side.Git, canonicalGitPattern),
		"tofu_state": func(n *yaml.Node) error {
			return s.nodes(n, func(n *yaml.Node) error { return s.state(n, side) })
		},
		"tofu_providers": s.patterns("tofu_providers", &side.TofuProviders, canonicalWord),
		"dns_zones": func(n *yaml.Node) error {
			return s.nodes(n, func(n *yaml.Node) error {
				return s.entry(n, strictyaml.Keys{
					"name": func(n *yaml.Node) error { return s.one(n, "dns_zones.name", pattern(&side.DNSZones, canonicalName)) },
					"id":   func(n *yaml.Node) error { return s.one(n, "dns_zones.id", pattern(&side.DNSZoneIDs, canonicalWord)) },
				})
			})
		},
		"databases":   s.texts("databases", endpointRule(&side.Databases, false)),
		"environment": s.patterns("environment", &side.Environment, canonicalVariable),
	})
}

// entry reads a mapping that is not empty.
func (s section) entry(n *yaml.Node, keys strictyaml.Keys) error {
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		return s.At(n, "empty entry")
	}
	return s.Mapping(n, nil, keys)
}

func (s section) kube(n *yaml.Node, side *Side) error {
	var rule KubeRule
	var said []string
	err := s.entry(n, strictyaml.Keys{
		"server": func(n *yaml.Node) error {
			return s.one(n, "kube.server", func(text string, where Rule) error {
				server, err := parseEndpoint(text, false)
				server.Rule = where
				rule.Server = &server
				said = append(said, text)
				return err
			})
		},
		"ca_sha256": func(n *yaml.Node) error {
			return s.one(n, "kube.ca_sha256", func(text string, _ Rule) (err error) {
				rule.CASHA256, err = canonicalSHA256(text)
				said = append(said, "ca_sha256 "+text)
				return err
			})
		},
		"cluster_uid": func(n *yaml.Node) error {
			return s.one(n, "kube.cluster_uid", func(text string, _ Rule) (err error) {
				rule.ClusterUID, err = canonicalUID(text)
				said = append(said, "cluster_uid "+text)
				return err
			})
		},
	})
	rule.Rule = s.rule(n, "kube", strings.Join(said, ", "))
	side.Kube = append(side.Kube, rule)
	return err
}

func (s section) state(n *yaml.Node, side *Side) error {
	var backend string
	var locations []PatternRule
	err := s.entry(n, strictyaml.Keys{
		"backend": func(n *yaml.Node) error {
			return s.one(n, "tofu_state.backend", func(text string, _ Rule) (err error) {
				backend, err = canonicalWord(text)
				return err
			})
		},
		"locations": s.patterns("tofu_state.locations", &locations, canonicalLocation),
	})
	if err != nil {
		return err
	}
	if backend == "" || len(locations) == 0 {
		return s.At(n, "a state requires backend and locations")
	}
	for _, location := range locations {
		if backend == "local" {
			if location.Pattern, err = s.path(location.Pattern); err != nil {
				return s.At(n, "%v", err)
			}
		}
		location.Pattern = strings.ToLower(backend) + ":" + location.Pattern
		side.TofuState = append(side.TofuState, location)
	}
	return nil
}

func (p parser) policy(n *yaml.Node, policy *Policy) error {
	return p.Mapping(n, nil, strictyaml.Keys{
		"cluster_name": func(n *yaml.Node) error {
			policy.ClusterName = n.Value
			return p.text(n)
		},
		"token_expiry": func(n *yaml.Node) error {
			if err := p.text(n); err != nil {
				return err
			}
			d, err := time.ParseDuration(n.Value)
			if err != nil || d <= 0 {
				return p.At(n, "%q is not a duration such as 15m or 1h30m", n.Value)
			}
			policy.TokenExpiry = d
			return nil
		},
		"evidence":  func(n *yaml.Node) error { return p.pathValue(n, &policy.Evidence) },
		"promotion": func(n *yaml.Node) error { return p.pathValue(n, &policy.Promotion) },
	})
}

// pathValue reads a path.
func (p parser) pathValue(n *yaml.Node, into *string) error {
	if err := p.text(n); err != nil {
		return err
	}
	path, err := p.path(n.Value)
	if err != nil {
		return p.At(n, "%v", err)
	}
	*into = path
	return nil
}

// path returns an absolute path: ~ is the home of this user, and a relative path starts at the manifest.
func (p parser) path(text string) (string, error) {
	switch {
	case text == "~" || strings.HasPrefix(text, "~/"):
		home, err := os.UserHomeDir()
		if err != nil {
			who, err := user.Current()
			if err != nil {
				return "", fmt.Errorf("%q: the home directory is unknown: %w", text, err)
			}
			home = who.HomeDir
		}
		text = home + text[1:]
	case strings.HasPrefix(text, "~"):
		return "", fmt.Errorf("%q: write another user's home in full", text)
	case !filepath.IsAbs(text):
		text = filepath.Join(filepath.Dir(string(p.File)), text)
	}
	return filepath.Abs(text)
}

var (
	namePattern     = lazyregexp.New(`^[a-z0-9*_]([a-z0-9*_-]*[a-z0-9*])?(\.[a-z0-9*_]([a-z0-9*_-]*[a-z0-9*])?)*$`)
	wordPattern     = lazyregexp.New(`^[A-Za-z0-9*_-]+$`)
	variablePattern = lazyregexp.New(`^[A-Za-z_*][A-Za-z0-9_*]*$`)
	uidPattern      = lazyregexp.New(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	helperPattern   = lazyregexp.New(`^[A-Za-z0-9+.-]+::`)
)

func canonicalName(text string) (string, error) {
	name := strings.TrimSuffix(strings.ToLower(text), ".")
	if !namePattern.MatchString(name) {
		if folded, ok := fold(text); ok {
			return "", fmt.Errorf("%q is not a host name in ASCII; write %s", text, folded)
		}
		return "", fmt.Errorf("%q is not a host name, nor a pattern with * in it", text)
	}
	return name, nil
}

func canonicalWord(text string) (string, error) {
	if !wordPattern.MatchString(text) {
		return "", fmt.Errorf("%q must be of letters, digits, - and _, and * for any of them", text)
	}
	return text, nil
}

func canonicalVariable(text string) (string, error) {
	if !variablePattern.MatchString(text) || strings.Trim(text, "*") == "" {
		return "", fmt.Errorf("%q is not the name of an environment variable, nor a pattern for some", text)
	}
	return text, nil
}

func canonicalLocation(text string) (string, error) {
	if strings.TrimSpace(text) != text || strings.Trim(text, "*") == "" {
		return "", fmt.Errorf("%q is not the location of a state", text)
	}
	return strings.Trim(strings.ReplaceAll(text, "//", "/"), " "), nil
}

// canonicalFingerprint reads SHA256:... as ssh-keygen -l writes it.
func canonicalFingerprint(text string) (string, error) {
	sum, ok := strings.CutPrefix(text, "SHA256:")
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(sum, "="))
	if !ok || err != nil || len(raw) != 32 {
		return "", fmt.Errorf("%q is not a fingerprint as `ssh-keygen -lf FILE` writes it (SHA256:...)", text)
	}
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(raw), nil
}

// canonicalSHA256 reads 64 hexadecimal digits, with or without openssl's colons and prefix.
func canonicalSHA256(text string) (string, error) {
	digits := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(text, "sha256:"), ":", ""))
	if raw, err := hex.DecodeString(digits); err != nil || len(raw) != 32 {
		return "", fmt.Errorf("%q is not a SHA-256 in hexadecimal", text)
	}
	return digits, nil
}

func canonicalMachineID(text string) (string, error) {
	digits := strings.ToLower(strings.ReplaceAll(text, "-", ""))
	if raw, err := hex.DecodeString(digits); err != nil || len(raw) != 16 {
		return "", fmt.Errorf("%q is not a machine-id (32 hexadecimal digits)", text)
	}
	return digits, nil
}

func canonicalUID(text string) (string, error) {
	uid := strings.ToLower(text)
	if !uidPattern.MatchString(uid) {
		return "", fmt.Errorf("%q is not a UID as `kubectl get namespace kube-system -o jsonpath={.metadata.uid}` prints it", text)
	}
	return uid, nil
}

// parseEndpoint reads host:port or a URL of a manifest. The host is a name, a pattern, an address, or a range of them.
func parseEndpoint(text string, needPort bool) (EndpointRule, error) {
	wrong := func(why string) (EndpointRule, error) { return EndpointRule{}, fmt.Errorf("%q %s", text, why) }
	rest := text
	_, after, isURL := strings.Cut(rest, "://")
	if isURL {
		rest, _, _ = strings.Cut(after, "/")
	}
	if strings.ContainsAny(rest, "@?#") {
		return wrong("is not host:port; leave out users and queries")
	}
	host, port := rest, ""
	if at := strings.LastIndexByte(rest, ':'); at >= 0 && !strings.HasSuffix(rest, "]") {
		if before := rest[:at]; !strings.Contains(before, ":") || strings.HasPrefix(before, "[") && strings.HasSuffix(before, "]") {
			host, port = before, rest[at+1:]
		}
	}
	var rule EndpointRule
	if port != "" {
		p := readEndpoint("x:" + port)
		if p.odd != "" {
			return wrong("has no port from 1 to 65535")
		}
		rule.Port = p.port
	} else if needPort || strings.HasSuffix(rest, ":") {
		return wrong("has no port; write host:port")
	}
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	if r, err := ParseRange(host); err == nil {
		rule.Range = r
		return rule, nil
	}
	name, err := canonicalName(host)
	if err != nil || numeric(name[strings.LastIndexByte(name, '.')+1:]) {
		return wrong("does not begin with a host name or an address in plain spelling")
	}
	rule.Name = name
	return rule, nil
}

// canonicalGitPattern returns host/path for a URL, with or without scheme, or the scp-like form; an absolute path stays.
func canonicalGitPattern(text string) (string, error) {
	if strings.HasPrefix(text, "/") {
		return gitPath(text), nil
	}
	rest := text
	if helperPattern.MatchString(rest) || strings.ContainsAny(rest, " \t\\") {
		return "", fmt.Errorf("%q is not the URL of a repository, nor a pattern for some", text)
	}
	if _, after, isURL := strings.Cut(rest, "://"); isURL {
		rest = after
	} else if before, path, ok := strings.Cut(rest, ":"); ok && !strings.ContainsAny(before, "/[") {
		rest = before + "/" + path
	}
	host, path, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(host, '@'); at >= 0 {
		host = host[at+1:]
	}
	if inside, _, ok := strings.Cut(strings.TrimPrefix(host, "["), "]"); ok {
		host = inside
	}
	if name, port, ok := strings.Cut(host, ":"); ok && strings.Trim(port, "0123456789") == "" {
		host = name // a repository is the same by every port
	}
	if host == "" || path == "" || strings.Trim(path, "/") == "" {
		return "", fmt.Errorf("%q has no host or no path; write host/path, with * for any part", text)
	}
	if address, ok := canonical(host); ok {
		host = address.String()
	} else if _, err := canonicalName(host); err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.ToLower(host), ".") + gitPath("/"+path), nil
}

// gitPath returns a path without .git and in lower case, since common forges ignore case.
func gitPath(path string) string {
	clean := strings.ToLower(filepath.ToSlash(filepath.Clean(path)))
	return strings.TrimSuffix(strings.TrimSuffix(clean, "/"), ".git")
}
