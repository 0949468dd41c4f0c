// SPDX-License-Identifier: GPL-3.0-or-later

package references

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/pathlink"
	"github.com/arcodange-org/sandbox/internal/run"
)

// setting is one entry of git's configuration.
type setting struct{ key, value, from string }

// git reads the configuration of a repository with git, including all included
// files, and returns the URLs that a fetch and a push of each remote use.
func (r Reader) git(ctx context.Context, directory string) []Finding {
	settings, at, err := r.gitConfig(ctx, directory)
	if err != nil {
		return []Finding{problem("git repository", directory, "its configuration cannot be read (%v)", err)}
	}
	var found []Finding
	for _, old := range []string{"remotes", "branches"} {
		if entries, err := os.ReadDir(filepath.Join(at.common, old)); err == nil && len(entries) > 0 {
			found = append(found, problem("git repository", filepath.Join(at.common, old), "it has remotes in an obsolete format; move them to the configuration"))
		}
	}
	g := gitReader{settings: settings, directory: at.top, home: r.Home}
	found = append(found, g.hooks(at)...)
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
			for _, url := range g.submodule(s.value) {
				found = append(found, g.remote(setting{s.key, url, s.from}, false))
			}
		case section == "submodule" && key == "update" && strings.HasPrefix(s.value, "!"):
			found = append(found, problem(s.key, s.from, "it names a program, which may lead anywhere"))
		case section == "http" && key == "curloptresolve" && s.value != "":
			found = append(found, problem("http.curloptResolve", s.from, "it overrides the resolver"))
		case section == "fetch" && key == "bundleuri", section == "bundle" && key == "uri":
			found = append(found, target(boundary.Endpoint, s.value, s.from))
		case section == "branch" && (key == "remote" || key == "pushremote"), section == "remote" && key == "pushdefault":
			if s.value != "." && !g.has("remote."+s.value+".url") && !g.has("remote."+s.value+".pushurl") {
				found = append(found, g.remote(s, key != "remote"))
			}
		case section == "http" && key == "proxy":
			found = append(found, proxyOf(s)...)
		case section == "core" && (key == "sshcommand" || key == "gitproxy"), section == "credential" && key == "helper" && (strings.HasPrefix(s.value, "!") || filepath.IsAbs(s.value)):
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

// whereabouts are the directories of a repository, by absolute paths.
type whereabouts struct {
	top    string // of the work tree, or of a bare repository; git changes to it
	common string // of all its work trees
}

// gitConfig returns the settings of a repository, and its directories.
func (r Reader) gitConfig(ctx context.Context, directory string) (settings []setting, lies whereabouts, err error) {
	if directory, err = filepath.Abs(directory); err != nil {
		return nil, lies, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	// These variables would select another repository.
	env := slices.DeleteFunc(slices.Clone(r.Environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains([]string{"GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_CONFIG"}, name)
	})
	// Outside a repository git would only print the user's configuration.
	git := func(args ...string) (string, error) {
		result, err := r.Runner.Run(ctx, run.Cmd{Name: "git", Args: append([]string{"-C", directory}, args...), Env: env})
		return string(result.Stdout), err
	}
	said, err := git("rev-parse", "--is-inside-work-tree", "--git-common-dir")
	if err != nil {
		return nil, lies, err
	}
	within, common, _ := strings.Cut(strings.TrimSuffix(said, "\n"), "\n")
	if !filepath.IsAbs(common) {
		common = filepath.Join(directory, common)
	}
	lies = whereabouts{common, common}
	list := []string{"config", "--list", "--includes", "--show-origin", "-z"}
	all, err := git(list...)
	if err != nil {
		return nil, lies, err
	}
	add := func(list string, wanted func(key string) bool) {
		for _, s := range parsed(list, directory) {
			if wanted(s.key) {
				settings = append(settings, s)
			}
		}
	}
	add(all, func(string) bool { return true })
	if within != "true" {
		return settings, lies, nil
	}
	top, err := git("rev-parse", "--show-toplevel")
	if err != nil {
		return nil, lies, err
	}
	lies.top = strings.TrimSuffix(top, "\n")
	// Files of the repository are included if its configuration asks for them.
	for name, wanted := range map[string]func(key string) bool{
		".gitmodules": func(key string) bool { return strings.HasPrefix(key, "submodule.") && strings.HasSuffix(key, ".url") },
		".lfsconfig": func(key string) bool {
			return key == "lfs.url" || key == "lfs.pushurl" || strings.HasPrefix(key, "remote.") && strings.HasSuffix(key, ".lfsurl")
		},
	} {
		file := filepath.Join(lies.top, name)
		if _, err := os.Lstat(file); os.IsNotExist(err) {
			continue
		}
		brought, err := git(append(slices.Clone(list), "--file", file)...)
		if err != nil {
			return nil, lies, err
		}
		add(brought, wanted)
	}
	return settings, lies, nil
}

// parsed are the settings that git listed.
func parsed(list, directory string) []setting {
	var settings []setting
	fields := strings.Split(strings.TrimSuffix(list, "\x00"), "\x00")
	for i := 0; i+1 < len(fields); i += 2 {
		origin := strings.TrimPrefix(fields[i], "file:")
		key, value, _ := strings.Cut(fields[i+1], "\n")
		if strings.HasPrefix(fields[i], "file:") && !filepath.IsAbs(origin) {
			origin = filepath.Join(directory, origin)
		}
		settings = append(settings, setting{key, value, origin + " (" + safeKey(key) + ")"})
	}
	return settings
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
	directory string // that relative paths are taken from
	home      string
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

// remote rewrites a URL as git does: the longest matching url.<base>.insteadOf
// replaces its beginning; for a push without pushurl, pushInsteadOf comes first.
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
	return target(boundary.Git, g.local(value), s.from)
}

// local returns a path relative to the root as an absolute one; a URL stays.
func (g gitReader) local(value string) string {
	before, _, colon := strings.Cut(value, ":")
	switch {
	case value == "" || strings.HasPrefix(value, "-") || colon && !strings.Contains(before, "/"):
		return value
	case strings.HasPrefix(value, "~/") && g.home != "":
		return g.home + value[1:]
	case filepath.IsAbs(value) || strings.HasPrefix(value, "~"):
		return value
	}
	return shortened(g.directory + "/" + value)
}

// hooks reports a directory of hooks outside the repository: a push runs its programs.
func (g gitReader) hooks(at whereabouts) []Finding {
	from := setting{"hooks", filepath.Join(at.common, "hooks"), filepath.Join(at.common, "hooks")}
	for _, s := range g.settings {
		if s.key == "core.hookspath" {
			from = s // git uses the last one
		}
	}
	if from.value == os.DevNull {
		return nil
	}
	leads, err := pathlink.Resolve(g.local(from.value))
	if err == nil && from.value != "" {
		for _, own := range []string{at.top, at.common} {
			if own, err := pathlink.Resolve(own); err == nil && strings.HasPrefix(leads, strings.TrimSuffix(own, "/")+"/") {
				return nil
			}
		}
	}
	return []Finding{problem(from.key, from.from, "it names programs outside of the repository, which may lead anywhere")}
}

// submodule returns the possible URLs of a submodule: a relative one is resolved against each remote.
func (g gitReader) submodule(url string) []string {
	if !strings.HasPrefix(url, "./") && !strings.HasPrefix(url, "../") {
		return []string{url}
	}
	var all []string
	for _, s := range g.settings {
		if section, name, key := g.parts(s.key); section != "remote" || name == "" || key != "url" {
			continue
		}
		base, rest := strings.TrimSuffix(s.value, "/"), url
		for {
			if after, ok := strings.CutPrefix(rest, "./"); ok {
				rest = after
			} else if after, ok := strings.CutPrefix(rest, "../"); ok {
				base, rest = base[:max(0, strings.LastIndexAny(base, "/:"))], after
			} else {
				break
			}
		}
		separator := "/"
		if !strings.Contains(base, "/") && !strings.HasSuffix(base, ":") && strings.HasPrefix(s.value, base+":") {
			separator = ":" // only user and host are left
		}
		all = append(all, base+separator+rest)
	}
	if len(all) == 0 {
		return []string{url}
	}
	return all
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
