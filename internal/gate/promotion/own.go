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

// usual is where a repository has its policy, as the documentation says.
const usual = "promotion.yml"

// authority tells whether the policy that was given may judge at all. Whoever
// asks chooses it, so it has to be the one that the boundary manifest names; if
// that names none, a repository that has a policy is judged by its own.
func (j *judging) authority(ctx context.Context) {
	red := func(format string, words ...any) {
		j.add(Finding{Rule: RulePolicy, Message: fmt.Sprintf(format, words...)})
	}
	named, absent := 0, false
	at, within := Within(j.top, j.q.Boundary)
	found := j.versions(ctx, j.q.Boundary, func(of string, err error) {
		if _, there := j.trees[of][at]; within && !there {
			absent = true // which names nothing
			return
		}
		red("the boundary manifest of %s cannot be read: %v", of, err)
	})
	for _, of := range slices.Sorted(maps.Keys(found)) {
		manifest, err := boundary.Parse(j.q.Boundary, found[of])
		switch {
		case err != nil:
			red("%v", err)
		case manifest.Policy.Promotion == "":
		case pathlink.Canonical(manifest.Policy.Promotion) != pathlink.Canonical(j.q.Policy):
			red("the policy %s is not the one that the boundary manifest names by policy.promotion, %s: give that one", j.q.Policy, manifest.Policy.Promotion)
		default:
			named++
		}
	}
	if named > 0 && named == len(found) && !absent {
		return
	}
	name, inside := Within(j.top, j.q.Policy)
	own, err := j.own(ctx, name, inside)
	switch {
	case err != nil:
		red("it cannot be told whether the repository has a policy of its own: %v", err)
	case len(own) > 0 && inside:
		red("the repository has another policy for %s than %s: %s: keep one, or name the one that counts by policy.promotion in the boundary manifest",
			j.q.Repository, name, strings.Join(own, ", "))
	case len(own) > 0:
		red("the repository has a policy of its own, %s, and %s lies outside of it: give its own, or name the other by policy.promotion in the boundary manifest",
			strings.Join(own, ", "), j.q.Policy)
	}
}

// own are the files of base and head, but for the given one, that are policies:
// those at the usual place whatever they hold, and others by what they hold. If
// the given one lies in the repository too, others count if they are for the same name.
func (j *judging) own(ctx context.Context, given string, inside bool) ([]string, error) {
	found := map[string]bool{}
	asked := map[string][]string{} // hash → paths
	for _, files := range j.trees {
		for at, f := range files {
			switch {
			case inside && at == given || !strings.HasPrefix(f.mode, "100") && at != usual:
			case at == usual, !inside && at == filepath.Base(j.q.Policy):
				found[at] = true
			case slices.Contains([]string{".yml", ".yaml", ".json"}, strings.ToLower(path.Ext(at))):
				asked[f.hash] = append(asked[f.hash], at)
			}
		}
	}
	small, err := j.git.small(ctx, slices.Sorted(maps.Keys(asked)))
	if err != nil {
		return nil, err
	}
	err = j.git.blobs(ctx, small, func(hash string, content []byte) {
		known, is := sounds(content)
		if !is || inside && !slices.Contains(known, j.q.Repository) {
			return
		}
		for _, at := range asked[hash] {
			found[at] = true
		}
	})
	return slices.Sorted(maps.Keys(found)), err
}

// sounds tells whether a text is meant as a policy, though it may be a wrong one, and for which repositories.
func sounds(content []byte) (known []string, is bool) {
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

// small are those of the blobs that are no larger than a policy may be.
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
		return nil, fmt.Errorf("git tells of %d files, and was asked about %d", len(lines), len(hashes))
	}
	for n, line := range lines {
		var hash, kind string
		var size int
		if _, err := fmt.Sscanf(line, "%s %s %d", &hash, &kind, &size); err != nil || hash != hashes[n] || kind != "blob" {
			return nil, fmt.Errorf("git says %q of the file %s", line, hashes[n])
		}
		if size <= policyLimit {
			out = append(out, hash)
		}
	}
	return out, nil
}

// blobs reads blobs, each held against its hash.
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
