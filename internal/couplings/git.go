// SPDX-License-Identifier: GPL-3.0-or-later

package couplings

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/run"
)

// setting is one entry of git's configuration.
type setting struct{ key, value, from string }

// git asks git itself for the configuration of a repository, with everything
// that it includes, and turns every remote into what a fetch and a push reach.
func (r Reader) git(ctx context.Context, directory string) []Finding {
	settings, err := r.gitConfig(ctx, directory)
	if err != nil {
		return []Finding{problem("git repository", directory, "its configuration cannot be read (%v)", err)}
	}
	var found []Finding
	for _, old := range []string{"remotes", "branches"} {
		if entries, err := os.ReadDir(filepath.Join(directory, ".git", old)); err == nil && len(entries) > 0 {
			found = append(found, problem("git repository", filepath.Join(directory, ".git", old), "it holds remotes in a form of old; move them to the configuration"))
		}
	}
	g := gitReader{settings: settings, directory: directory}
	for _, s := range settings {
		section, name, key := g.parts(s.key)
		switch {
		case section == "remote" && name != "":
			switch key {
			case "url":
				found = append(found, g.remote(s, false))
				if !g.has("remote." + name + ".pushurl") {
					found = append(found, g.remote(s, true))
				}
			case "pushurl":
				found = append(found, g.remote(s, true))
			case "lfsurl", "lfspushurl":
				found = append(found, g.remote(s, key != "lfsurl"))
			case "proxy":
				found = append(found, proxyOf(s)...)
			case "vcs", "uploadpack", "receivepack":
				found = append(found, problem(s.key, s.from, "it names a program, which may lead anywhere"))
			}
		case section == "lfs" && name == "" && (key == "url" || key == "pushurl"), section == "svn-remote" && key == "url":
			found = append(found, g.remote(s, false))
		case section == "submodule" && key == "url":
			found = append(found, g.remote(s, false))
		case section == "branch" && (key == "remote" || key == "pushremote"), section == "remote" && key == "pushdefault":
			if s.value != "." && !g.has("remote."+s.value+".url") && !g.has("remote."+s.value+".pushurl") {
				found = append(found, g.remote(s, key != "remote"))
			}
		case section == "http" && key == "proxy":
			found = append(found, proxyOf(s)...)
		case section == "core" && (key == "sshcommand" || key == "gitproxy"), section == "credential" && key == "helper" && strings.HasPrefix(s.value, "!"):
			found = append(found, problem(s.key, s.from, "it names a program, which may lead anywhere"))
		}
	}
	return slices.CompactFunc(found, func(a, b Finding) bool { return a == b })
}

func proxyOf(s setting) []Finding {
	if s.value == "" {
		return nil
	}
	if !strings.Contains(s.value, "://") {
		s.value = "http://" + s.value
	}
	return []Finding{target(boundary.Endpoint, s.value, s.from)}
}

func (r Reader) gitConfig(ctx context.Context, directory string) ([]setting, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	// These would show another repository than the one that is asked about.
	env := slices.DeleteFunc(slices.Clone(r.Environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains([]string{"GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_CONFIG"}, name)
	})
	// Outside a repository git would show the user's own configuration alone.
	if _, err := r.Runner.Run(ctx, run.Cmd{Name: "git", Args: []string{"-C", directory, "rev-parse", "--git-dir"}, Env: env}); err != nil {
		return nil, err
	}
	result, err := r.Runner.Run(ctx, run.Cmd{Name: "git", Args: []string{"-C", directory, "config", "--list", "--includes", "--show-origin", "-z"}, Env: env})
	if err != nil {
		return nil, err
	}
	var settings []setting
	fields := strings.Split(strings.TrimSuffix(string(result.Stdout), "\x00"), "\x00")
	for i := 0; i+1 < len(fields); i += 2 {
		origin := strings.TrimPrefix(fields[i], "file:")
		key, value, _ := strings.Cut(fields[i+1], "\n")
		if strings.HasPrefix(fields[i], "file:") && !filepath.IsAbs(origin) {
			origin = filepath.Join(directory, origin)
		}
		settings = append(settings, setting{key, value, origin + " (" + safeKey(key) + ")"})
	}
	return settings, nil
}

// safeKey is a key without the password that a URL in its middle may hold.
func safeKey(key string) string {
	if strings.Contains(key, "@") {
		first, last := strings.IndexByte(key, '.'), strings.LastIndexByte(key, '.')
		return key[:first+1] + "***" + key[last:]
	}
	return key
}

type gitReader struct {
	settings  []setting
	directory string
}

// parts of section.name.key; the name may hold dots, and is empty in section.key. git writes section and key in lower case.
func (gitReader) parts(full string) (section, name, key string) {
	section, rest, _ := strings.Cut(full, ".")
	if dot := strings.LastIndexByte(rest, '.'); dot >= 0 {
		return section, rest[:dot], rest[dot+1:]
	}
	return section, "", rest
}

func (g gitReader) has(key string) bool {
	return slices.ContainsFunc(g.settings, func(s setting) bool { return s.key == key })
}

// remote is what git makes of a URL: the longest url.<base>.insteadOf that fits
// replaces its beginning, and for a push without pushurl a pushInsteadOf before it.
func (g gitReader) remote(s setting, push bool) Finding {
	value := s.value
	_, _, key := g.parts(s.key)
	rewritten := false
	if push && key != "pushurl" {
		value, rewritten = g.rewrite(s.value, "pushinsteadof")
	}
	if !rewritten {
		value, _ = g.rewrite(s.value, "insteadof")
	}
	if !strings.Contains(value, ":") && !filepath.IsAbs(value) {
		value = filepath.Join(g.directory, value)
	}
	return target(boundary.Git, value, s.from)
}

func (g gitReader) rewrite(url, by string) (string, bool) {
	base, longest := "", -1
	for _, s := range g.settings {
		section, name, key := g.parts(s.key)
		if section == "url" && key == by && strings.HasPrefix(url, s.value) && len(s.value) > longest {
			base, longest = name, len(s.value)
		}
	}
	if longest < 0 {
		return url, false
	}
	return base + url[longest:], true
}
