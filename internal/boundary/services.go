// SPDX-License-Identifier: GPL-3.0-or-later

package boundary

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/arcodange-org/sandbox/internal/pathlink"
)

// lookUp looks a canonical text up in the same list of both sides.
func lookUp(d *Decision, canonical string, production, sandbox []PatternRule, what string) {
	d.Canonical = canonical
	if rule := match(production, canonical); rule != nil {
		d.refuse(rule, "it is %s of production", what)
	} else if rule := match(sandbox, canonical); rule != nil {
		d.allow(rule, "it is sandbox")
	} else {
		d.refuse(nil, "it is %s that the boundary manifest does not list as sandbox", what)
	}
}

func match(rules []PatternRule, text string) *Rule {
	for i := range rules {
		if rules[i].matches(text) {
			return &rules[i].Rule
		}
	}
	return nil
}

func (c Checker) decideHostKey(d *Decision, t Target) {
	canonical, err := canonicalFingerprint(t.Value)
	if err != nil {
		if canonical, err = Fingerprint(t.Value); err != nil {
			d.refuse(nil, "it is neither a SHA256 fingerprint nor a public key")
			return
		}
	}
	lookUp(d, canonical, c.Manifest.Production.HostKeys, c.Manifest.Sandbox.HostKeys, "a host key")
}

// Fingerprint returns the SHA256 fingerprint of a public key as it is in a .pub
// file, or on a line of known_hosts or of ssh-keyscan's.
func Fingerprint(line string) (string, error) {
	for _, word := range strings.Fields(line) {
		// A key begins with the length of its type's name, which takes three bytes of zero.
		if !strings.HasPrefix(word, "AAAA") {
			continue
		}
		if raw, err := base64.StdEncoding.DecodeString(word); err == nil {
			sum := sha256.Sum256(raw)
			return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]), nil
		}
	}
	return "", fmt.Errorf("public key: not found in the line; write it as in a .pub file")
}

func (c Checker) decideMachineID(d *Decision, t Target) {
	canonical, err := canonicalMachineID(strings.TrimSpace(t.Value))
	if err != nil {
		d.refuse(nil, "it is not a machine-id")
		return
	}
	lookUp(d, canonical, c.Manifest.Production.MachineIDs, c.Manifest.Sandbox.MachineIDs, "a machine-id")
}

func (c Checker) decideHostname(d *Decision, t Target) {
	canonical := strings.TrimSuffix(strings.ToLower(strings.TrimSpace(t.Value)), ".")
	if !plainName(canonical) {
		d.refuse(nil, "it is not a plain host name")
		return
	}
	production := slices.Concat(c.Manifest.Production.Hostnames, c.Manifest.Production.Names)
	lookUp(d, canonical, production, c.Manifest.Sandbox.Hostnames, "a hostname")
}

func (c Checker) decideKeyFile(d *Decision, t Target) {
	path, err := parser{}.path(t.Value)
	if err != nil || t.Value == "" {
		d.refuse(nil, "it is not a path")
		return
	}
	// A link is checked by its own path and by the path that it resolves to.
	lookUp(d, path, c.Manifest.Production.KeyFiles, c.Manifest.Sandbox.KeyFiles, "a key file")
	if real, err := pathlink.Resolve(path); err == nil && real != path && d.Allowed {
		lookUp(d, real, c.Manifest.Production.KeyFiles, c.Manifest.Sandbox.KeyFiles, "a key file")
	} else if err != nil && d.Allowed {
		d.refuse(nil, "its target cannot be resolved (%v)", err)
	}
}

func (c Checker) decideEnvironment(d *Decision, t Target) {
	if canonical, err := canonicalVariable(t.Value); err != nil || strings.Contains(canonical, "*") {
		d.refuse(nil, "it is not the name of an environment variable")
		return
	}
	lookUp(d, t.Value, c.Manifest.Production.Environment, c.Manifest.Sandbox.Environment, "a credential or connection setting")
}

func (c Checker) decideKube(ctx context.Context, d *Decision, t Target) {
	production, sandbox := c.Manifest.Production.Kube, c.Manifest.Sandbox.Kube
	ca, uid := "", ""
	var err error
	if t.CASHA256 != "" {
		if ca, err = canonicalSHA256(t.CASHA256); err != nil {
			d.refuse(nil, "the fingerprint of its CA is not a SHA-256")
			return
		}
	}
	if t.ClusterUID != "" {
		if uid, err = canonicalUID(t.ClusterUID); err != nil {
			d.refuse(nil, "its cluster UID is not a UUID")
			return
		}
	}
	for i := range production {
		switch rule := &production[i]; {
		case ca != "" && rule.CASHA256 == ca:
			d.refuse(&rule.Rule, "its CA is that of a cluster of production")
			return
		case uid != "" && rule.ClusterUID == uid:
			d.refuse(&rule.Rule, "its UID is that of a cluster of production")
			return
		}
	}
	if t.Value == "" {
		for i := range sandbox {
			if rule := &sandbox[i]; ca != "" && rule.CASHA256 == ca || uid != "" && rule.ClusterUID == uid {
				d.allow(&rule.Rule, "it is sandbox")
				return
			}
		}
		d.refuse(nil, "it is a cluster that the boundary manifest does not list as sandbox")
		return
	}
	c.service(ctx, d, t, "https", "http")
	if !d.Allowed {
		return
	}
	// Addresses are reused: where the manifest has a cluster's identity, it must match as well.
	for i := range sandbox {
		rule := &sandbox[i]
		if rule.Server == nil || !rule.Server.reachedBy(d) {
			continue
		}
		if rule.CASHA256 != "" && rule.CASHA256 != ca || rule.ClusterUID != "" && uid != "" && rule.ClusterUID != uid {
			d.refuse(&rule.Rule, "it is not the cluster that the boundary manifest knows at this address")
			return
		}
		d.allow(&rule.Rule, "it is sandbox")
		return
	}
}

// reachedBy returns whether a finding includes the rule's endpoint.
func (r *EndpointRule) reachedBy(d *Decision) bool {
	if !samePort(r.Port, d.Port) {
		return false
	}
	if r.Name != "" {
		return glob(r.Name, d.Canonical)
	}
	return slices.ContainsFunc(d.Addresses, func(text string) bool {
		address, err := netip.ParseAddr(text)
		return err == nil && r.Range.Contains(address)
	})
}

// service decides about a URL by its host and port. Without scheme it is host[:port] of the first one.
func (c Checker) service(ctx context.Context, d *Decision, t Target, schemes ...string) {
	text := t.Value
	if !strings.Contains(text, "://") {
		text = schemes[0] + "://" + text
	}
	p := readEndpoint(text)
	if t.Port != 0 {
		p.port = t.Port
	}
	if p.odd == "" && !slices.Contains(schemes, p.scheme) {
		p.odd = fmt.Sprintf("%s is not a scheme that can be followed", p.scheme)
	}
	c.settle(d, c.find(ctx, d, p))
}

func (c Checker) decideVault(ctx context.Context, d *Decision, t Target) {
	if !strings.Contains(t.Value, "://") && t.Port == 0 {
		if p := readEndpoint(t.Value); p.port == 0 {
			t.Port = 8200
		}
	}
	c.service(ctx, d, t, "https", "http")
}

func (c Checker) decideGit(ctx context.Context, d *Decision, t Target) {
	text := strings.TrimSpace(t.Value)
	_, _, isURL := strings.Cut(text, "://")
	before, _, colon := strings.Cut(text, ":")
	bracket := strings.Contains(before, "[")
	switch {
	case text == "" || strings.HasPrefix(text, "-"):
		d.refuse(nil, "it is not the URL of a repository")
		return
	case helperPattern.MatchString(text):
		d.refuse(nil, "it is for a remote helper, which may lead anywhere")
		return
	case isURL && strings.HasPrefix(strings.ToLower(text), "file://"), !isURL && (!colon || strings.Contains(before, "/")):
		c.decideLocalGit(d, text, isURL)
		return
	}
	authority, path := text, ""
	switch {
	case isURL:
	case bracket: // [host]:path or user@[host]:path
		end := strings.Index(text, "]")
		if end < 0 || !strings.HasPrefix(text[end+1:], ":") {
			d.refuse(nil, "its brackets do not match")
			return
		}
		authority, path = "ssh://"+text[:end+1], "/"+text[end+2:]
	default:
		_, path, _ = strings.Cut(text, ":")
		authority, path = "ssh://"+before, "/"+path
	}
	p := readEndpoint(authority)
	if isURL {
		path = p.path
	}
	if decoded, err := url.PathUnescape(path); err == nil {
		path = decoded
	}
	if at := strings.IndexAny(path, "?#"); at >= 0 {
		path = path[:at]
	}
	if p.odd == "" && !slices.Contains([]string{"ssh", "git+ssh", "ssh+git", "git", "http", "https", "ftp", "ftps"}, p.scheme) {
		p.odd = fmt.Sprintf("%s is not a scheme that can be followed", p.scheme)
	}
	if t.Port != 0 {
		p.port = t.Port
	}
	canonical := p.host + gitPath("/"+path)
	if p.odd != "" || p.bad != "" {
		c.settle(d, c.find(ctx, d, p))
		return
	}
	if rule := match(c.Manifest.Production.Git, canonical); rule != nil {
		d.Canonical, d.Port = canonical, p.port
		d.refuse(rule, "it is a repository of production")
		return
	}
	f := c.find(ctx, d, p)
	d.Canonical = canonical
	if f.refused == "" && f.unlisted != "" {
		// A repository on a public forge is sandbox if the manifest names it, though the forge is not.
		if rule := match(c.Manifest.Sandbox.Git, canonical); rule != nil {
			d.Pinned = d.Addresses[0]
			d.allow(rule, "it is sandbox")
			return
		}
	}
	c.settle(d, f)
}

// decideLocalGit decides about a repository in the file system. It checks
// the path, and every other path that git follows from there.
func (c Checker) decideLocalGit(d *Decision, path string, isURL bool) {
	if isURL {
		// git decodes the URL before it opens the path.
		decoded, err := url.PathUnescape(path[len("file://"):])
		if err != nil || strings.ContainsRune(decoded, 0) {
			d.refuse(nil, "it is not the URL of a repository")
			return
		}
		if path = decoded; !strings.HasPrefix(path, "/") {
			d.refuse(nil, "it is a file of another host")
			return
		}
	} else if strings.HasPrefix(path, "~") {
		home, err := os.UserHomeDir()
		if err != nil || path != "~" && !strings.HasPrefix(path, "~/") {
			d.refuse(nil, "its home directory is unknown")
			return
		}
		path = home + path[1:]
	}
	if !filepath.IsAbs(path) {
		here, err := os.Getwd()
		if err != nil {
			d.refuse(nil, "its location is unknown")
			return
		}
		path = here + "/" + path
	}
	lookUp(d, gitPath(path), c.Manifest.Production.Git, c.Manifest.Sandbox.Git, "a repository")
	leads, err := gitPaths(path)
	if err != nil && d.Allowed {
		d.refuse(nil, "its target cannot be resolved (%v)", err)
	}
	for _, real := range leads {
		if d.Allowed {
			lookUp(d, gitPath(real), c.Manifest.Production.Git, c.Manifest.Sandbox.Git, "a repository")
		}
	}
}

// gitdirLimit is the maximal number of `gitdir:` files to follow.
const gitdirLimit = 40

// gitPaths lists the paths that git may open for a path, through links and
// `.git` files. git also tries the path with each of these endings.
func gitPaths(path string) ([]string, error) {
	start, err := pathlink.Resolve(path)
	if err != nil {
		return nil, err
	}
	all := []string{start}
	for _, ending := range []string{"", "/.git", ".git", ".git/.git"} {
		candidate := strings.TrimRight(path, "/") + ending
		for range gitdirLimit {
			real, err := pathlink.Resolve(candidate)
			if err != nil {
				// A file has no entries.
				if errors.Is(err, syscall.ENOTDIR) {
					break
				}
				return nil, err
			}
			if real != start && real != start+ending {
				all = append(all, real)
			}
			info, err := os.Stat(real)
			if err != nil || !info.Mode().IsRegular() || info.Size() > 1<<16 {
				break // git reads no larger file for a path
			}
			text, err := os.ReadFile(real)
			if err != nil {
				return nil, err
			}
			named, ok := strings.CutPrefix(string(text), "gitdir:")
			if !ok {
				break
			}
			if candidate = strings.TrimSpace(named); !filepath.IsAbs(candidate) {
				candidate = filepath.Dir(real) + "/" + candidate
			}
		}
	}
	return all, nil
}

func (c Checker) decideTofuState(d *Decision, t Target) {
	backend, location, ok := strings.Cut(t.Value, ":")
	if !ok || backend == "" || location == "" {
		d.refuse(nil, "it is not backend:location")
		return
	}
	leads := ""
	if backend = strings.ToLower(backend); backend == "local" {
		path, err := filepath.Abs(location)
		if err != nil {
			d.refuse(nil, "its location is unknown")
			return
		}
		// Resolve links before cleaning: `..` after a link is relative to its target.
		if !filepath.IsAbs(location) {
			here, err := os.Getwd()
			if err != nil {
				d.refuse(nil, "its location is unknown")
				return
			}
			location = here + "/" + location
		}
		if leads, err = pathlink.Resolve(location); err != nil {
			d.refuse(nil, "its target cannot be resolved (%v)", err)
			return
		}
		location = path
	} else {
		location = strings.ReplaceAll(location, "//", "/")
		if slices.Contains(strings.Split(location, "/"), "..") {
			d.refuse(nil, "its location has .. in it")
			return
		}
		if odd := oddAddress(location); backend == "http" && odd != "" {
			d.refuse(nil, "its address %s, so the state that the server uses is unknown", odd)
			return
		}
	}
	lookUp(d, backend+":"+location, c.Manifest.Production.TofuState, c.Manifest.Sandbox.TofuState, "a state")
	if at := strings.IndexByte(location, '?'); backend == "http" && at >= 0 {
		d.Canonical = backend + ":" + location[:at] + "?***" // it may hold a token
	}
	// A link is checked by its own path and by the path that it resolves to, whether it exists or not.
	if leads != "" && leads != location && d.Allowed {
		lookUp(d, backend+":"+leads, c.Manifest.Production.TofuState, c.Manifest.Sandbox.TofuState, "a state")
	}
}

// oddAddress returns how a URL is ambiguous; empty if it is not.
// Another spelling of an address would not match its pattern.
func oddAddress(location string) string {
	if strings.Contains(location, "#") {
		return "holds a fragment"
	}
	for rest := location; ; {
		at := strings.IndexByte(rest, '%')
		if at < 0 {
			break
		}
		rest = rest[at:]
		letter, err := url.PathUnescape(rest[:min(3, len(rest))])
		if err != nil || strings.ContainsAny(letter, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/") {
			return "escapes what needs no escape"
		}
		rest = rest[3:]
	}
	_, query, _ := strings.Cut(location, "?")
	seen := map[string]bool{}
	for part := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(part, "=")
		if seen[name] || strings.Contains(part, ";") {
			return "says something twice"
		}
		seen[name] = true
	}
	return ""
}

func (c Checker) decideTofuProvider(d *Decision, t Target) {
	if canonical, err := canonicalWord(t.Value); err != nil || strings.Contains(canonical, "*") {
		d.refuse(nil, "it is not the type of a provider")
		return
	}
	lookUp(d, t.Value, c.Manifest.Production.TofuProviders, c.Manifest.Sandbox.TofuProviders, "a provider")
}

func (c Checker) decideDNSZone(d *Decision, t Target) {
	text, _ := fold(strings.TrimSpace(t.Value))
	if rule := match(c.Manifest.Production.DNSZoneIDs, text); rule != nil {
		d.Canonical = text
		d.refuse(rule, "it is a zone of production")
		return
	}
	if rule := match(c.Manifest.Sandbox.DNSZoneIDs, text); rule != nil {
		d.Canonical = text
		d.allow(rule, "it is sandbox")
		return
	}
	name := strings.TrimSuffix(strings.ToLower(text), ".")
	if !plainName(strings.TrimPrefix(name, "*.")) {
		d.refuse(nil, "it is neither the name nor the id of a zone that the boundary manifest lists as sandbox")
		return
	}
	lookUp(d, name, within(c.Manifest.Production.DNSZones), within(c.Manifest.Sandbox.DNSZones), "a zone")
}

// within returns rules for all names in zones.
func within(zones []PatternRule) []PatternRule {
	var all []PatternRule
	for _, rule := range zones {
		all = append(all, rule, PatternRule{"*." + rule.Pattern, rule.Rule})
	}
	return all
}

func (c Checker) decideDatabase(ctx context.Context, d *Decision, t Target) {
	hosts, err := databaseHosts(t.Value)
	if err != nil {
		d.Target = "a database" // any part of an unreadable DSN may be secret
		d.refuse(nil, "%v", err)
		return
	}
	d.Target = strings.Join(hosts, ",") // the rest may be secret
	for _, host := range hosts {
		if p := readEndpoint(host); p.odd != "" || p.bad != "" {
			d.Target = "a database"
		}
	}
	var last Decision
	for _, host := range hosts {
		p := readEndpoint(host)
		if t.Port != 0 {
			p.port = t.Port
		}
		if p.port == 0 {
			p.port = 5432
		}
		one := *d
		one.Addresses, one.Resolved = []string{}, []Answer{}
		c.settle(&one, c.find(ctx, &one, p))
		d.Addresses = append(d.Addresses, one.Addresses...)
		d.Resolved = append(d.Resolved, one.Resolved...)
		last = one
		if !one.Allowed {
			break
		}
	}
	addresses, resolved := d.Addresses, d.Resolved
	*d = last
	d.Addresses, d.Resolved = addresses, resolved
	if len(hosts) > 1 && !d.Allowed {
		d.Reason = fmt.Sprintf("one of its hosts, %s, is not allowed: %s", d.Canonical, d.Reason)
	}
}
