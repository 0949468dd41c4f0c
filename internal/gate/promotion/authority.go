// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/pathlink"
)

// usual is the documented path of a policy in a repository.
const usual = "promotion.yml"

// checkAuthority checks that the caller may use the given policy: it must be the
// one that the boundary manifest sets; if that sets none, a
// repository with a policy must use its own.
func (ev *evaluation) checkAuthority(ctx context.Context) {
	red := func(format string, args ...any) { ev.add("policy", format, args...) }
	named, absent := 0, false
	at, within := Within(ev.top, ev.request.Boundary)
	found := ev.versions(ctx, ev.request.Boundary, func(of string, err error) {
		if _, ok := ev.trees[of][at]; within && !ok {
			absent = true // so it sets no policy
			return
		}
		red("the boundary manifest of %s cannot be read: %v", of, err)
	})
	for _, of := range slices.Sorted(maps.Keys(found)) {
		manifest, err := boundary.Parse(ev.request.Boundary, found[of])
		switch {
		case err != nil:
			red("%v", err)
		case manifest.Policy.Promotion == "":
		case pathlink.Canonical(manifest.Policy.Promotion) != pathlink.Canonical(ev.request.Policy):
			red("the policy %s is not the one of policy.promotion in the boundary manifest (%s); use that one", ev.request.Policy, manifest.Policy.Promotion)
		default:
			named++
		}
	}
	if named > 0 && named == len(found) && !absent {
		return
	}
	name, inside := Within(ev.top, ev.request.Policy)
	own, err := ev.own(ctx, name, inside)
	switch {
	case err != nil:
		red("the repository cannot be searched for its own policy: %v", err)
	case len(own) > 0 && inside:
		red("the repository has another policy for %s than %s: %s; keep one, or set policy.promotion in the boundary manifest",
			ev.request.Repository, name, strings.Join(own, ", "))
	case len(own) > 0:
		red("the repository has its own policy, %s, and %s is outside of it; use its own, or set policy.promotion in the boundary manifest",
			strings.Join(own, ", "), ev.request.Policy)
	}
}

// own returns the other policies in base and head: files at the usual path, and
// files that look like policies. If the given policy is in the repository, too,
// others count only if they are for the same repository name.
func (ev *evaluation) own(ctx context.Context, given string, inside bool) ([]string, error) {
	found := map[string]bool{}
	asked := map[string][]string{} // hash → paths
	for _, files := range ev.trees {
		for at, f := range files {
			switch {
			case inside && at == given || !strings.HasPrefix(f.mode, "100") && at != usual:
			case at == usual, !inside && at == filepath.Base(ev.request.Policy):
				found[at] = true
			case slices.Contains([]string{".yml", ".yaml", ".json"}, strings.ToLower(path.Ext(at))):
				asked[f.hash] = append(asked[f.hash], at)
			}
		}
	}
	small, err := ev.git.small(ctx, slices.Sorted(maps.Keys(asked)))
	if err != nil {
		return nil, err
	}
	err = ev.git.blobs(ctx, small, func(hash string, content []byte) {
		known, ok := looksLikePolicy(content)
		if !ok || inside && !slices.Contains(known, ev.request.Repository) {
			return
		}
		for _, at := range asked[hash] {
			found[at] = true
		}
	})
	return slices.Sorted(maps.Keys(found)), err
}

// looksLikePolicy returns whether a text is a policy, even an invalid one, and for which repositories.
func looksLikePolicy(content []byte) (known []string, ok bool) {
	if !bytes.Contains(content, []byte("repositories")) || !bytes.Contains(content, []byte("classes")) {
		return nil, false
	}
	var document yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil || len(document.Content) == 0 || document.Content[0].Kind != yaml.MappingNode {
		return nil, false
	}
	keys := func(n *yaml.Node) (all []string) {
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			all = append(all, n.Content[i].Value)
		}
		return all
	}
	top := keys(document.Content[0])
	at := slices.Index(top, "repositories")
	if at < 0 || !slices.Contains(top, "classes") {
		return nil, false
	}
	return keys(document.Content[0].Content[2*at+1]), true
}

// small returns the blobs that do not exceed the size limit of a policy.
func (h history) small(ctx context.Context, hashes []string) ([]string, error) {
	if len(hashes) == 0 {
		return nil, nil
	}
	res, err := h.git(ctx, []byte(strings.Join(hashes, "\n")+"\n"), "cat-file", "--batch-check")
	if err != nil {
		return nil, err
	}
	var out []string
	lines := strings.Split(strings.TrimSuffix(string(res.Stdout), "\n"), "\n")
	if len(lines) != len(hashes) {
		return nil, fmt.Errorf("git returned %d files of %d", len(lines), len(hashes))
	}
	for n, line := range lines {
		var hash, kind string
		var size int
		if _, err := fmt.Sscanf(line, "%s %s %d", &hash, &kind, &size); err != nil || hash != hashes[n] || kind != "blob" {
			return nil, fmt.Errorf("git returned %q for the file %s", line, hashes[n])
		}
		if size <= policyLimit {
			out = append(out, hash)
		}
	}
	return out, nil
}

// blobs reads blobs, and verifies the hash of each.
func (h history) blobs(ctx context.Context, hashes []string, each func(hash string, content []byte)) error {
	if len(hashes) == 0 {
		return nil
	}
	res, err := h.git(ctx, []byte(strings.Join(hashes, "\n")+"\n"), "cat-file", "--batch")
	if err != nil {
		return err
	}
	in := bufio.NewReader(bytes.NewReader(res.Stdout))
	for _, hash := range hashes {
		content, err := object(in, hash)
		if err != nil {
			return err
		}
		each(hash, content)
	}
	return nil
}
