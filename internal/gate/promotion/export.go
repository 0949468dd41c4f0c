// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/evidence"
)

// export writes the tree of commit into the new folder dir, byte by byte as git
// stores it, without filters, line end conversions or attributes. It verifies the
// written files against the tree's hash.
//
// A tree with a submodule, with a link that points outside, or with names
// that a file system may treat as equal, is an error.
func (g Gate) export(ctx context.Context, repository, tree, dir string) error {
	h := open(g.Runner, repository, g.Env)
	files, err := h.files(ctx, tree)
	if err != nil {
		return err
	}
	if found := treeHash(files); found != tree {
		return fmt.Errorf("the tree %s of %s does not match its hash: the repository is damaged", short(tree), repository)
	}
	seen := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if files[name].mode == "160000" {
			return fmt.Errorf("%s is a submodule, whose files are not part of the tree; it cannot be promoted", show(name))
		}
		for at := name; at != "."; at = path.Dir(at) {
			if other, twice := seen[strings.ToLower(at)]; twice && other != at {
				return fmt.Errorf("%s and %s differ in case alone: one may take the place of the other", show(other), show(at))
			}
			seen[strings.ToLower(at)] = at
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return h.write(ctx, files, dir)
}

// write writes files below dir, and verifies the hash of each.
func (h history) write(ctx context.Context, files map[string]file, dir string) error {
	names := slices.Sorted(maps.Keys(files))
	var asked bytes.Buffer
	for _, name := range names {
		if files[name].mode != "160000" {
			asked.WriteString(files[name].hash + "\n")
		}
	}
	res, err := h.git(ctx, asked.Bytes(), "cat-file", "--batch")
	if err != nil {
		return err
	}
	in := bufio.NewReader(bytes.NewReader(res.Stdout))
	for _, name := range names {
		f := files[name]
		if f.mode == "160000" {
			continue
		}
		content, err := object(in, f.hash)
		if err != nil {
			return fmt.Errorf("reading %s: %w", show(name), err)
		}
		if err := put(dir, name, f.mode, content); err != nil {
			return fmt.Errorf("writing %s: %w", show(name), err)
		}
	}
	return nil
}

// object reads one answer of `git cat-file --batch`, which must be the blob with that hash.
func object(in *bufio.Reader, wanted string) ([]byte, error) {
	head, err := in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	var found, kind string
	var size int
	if _, err := fmt.Sscanf(head, "%s %s %d\n", &found, &kind, &size); err != nil || found != wanted || kind != "blob" || size < 0 {
		return nil, fmt.Errorf("git printed %q for the file %s", strings.TrimSpace(head), wanted)
	}
	content := make([]byte, size+1)
	if _, err := io.ReadFull(in, content); err != nil {
		return nil, err
	}
	content = content[:size]
	if objectHash("blob", content, len(wanted)) != wanted {
		return nil, errors.New("its content does not match its hash: the repository is damaged")
	}
	return content, nil
}

func put(dir, name, mode string, content []byte) error {
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." || strings.EqualFold(part, ".git") || strings.ContainsRune(part, 0) {
			return fmt.Errorf("%q is not a valid file name", part)
		}
	}
	full := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
		return err
	}
	switch mode {
	case "100644", "100664":
		return create(full, content, 0o600)
	case "100755":
		return create(full, content, 0o700)
	case "120000":
		target := string(content)
		if path.IsAbs(target) || !inside(path.Join(path.Dir(name), target)) {
			return fmt.Errorf("it is a link to %s, outside of the tree", show(target))
		}
		return os.Symlink(target, full)
	}
	return fmt.Errorf("its mode %s is unknown", mode)
}

func inside(clean string) bool { return clean != ".." && !strings.HasPrefix(clean, "../") }

// create writes a new file with O_EXCL, so that it never follows a link.
func create(full string, content []byte, mode os.FileMode) error {
	f, err := os.OpenFile(full, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

// treeHash computes the hash of the tree of files, bottom up.
func treeHash(files map[string]file) string {
	type entry struct {
		name, mode, hash string
	}
	folders := map[string][]entry{"": nil}
	size := 40
	for name, f := range files {
		size = len(f.hash)
		folder, base := path.Split(name)
		folder = strings.TrimSuffix(folder, "/")
		folders[folder] = append(folders[folder], entry{base, f.mode, f.hash})
		for folder != "" {
			folder, _ = path.Split(folder)
			folder = strings.TrimSuffix(folder, "/")
			if _, ok := folders[folder]; !ok {
				folders[folder] = nil
			}
		}
	}
	// The deepest first, since a folder's hash depends on those inside.
	names := slices.Collect(maps.Keys(folders))
	slices.SortFunc(names, func(a, b string) int {
		depth := func(s string) int {
			if s == "" {
				return 0
			}
			return strings.Count(s, "/") + 1
		}
		return depth(b) - depth(a)
	})
	for _, name := range names {
		entries := folders[name]
		key := func(e entry) string { // git sorts a folder as if its name ended with a slash
			if e.mode == "40000" {
				return e.name + "/"
			}
			return e.name
		}
		slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(key(a), key(b)) })
		var body bytes.Buffer
		for _, e := range entries {
			raw, err := hex.DecodeString(e.hash)
			if err != nil {
				return ""
			}
			body.WriteString(e.mode + " " + e.name + "\x00")
			body.Write(raw)
		}
		sum := objectHash("tree", body.Bytes(), size)
		if name == "" {
			return sum
		}
		folder, base := path.Split(name)
		folder = strings.TrimSuffix(folder, "/")
		folders[folder] = append(folders[folder], entry{base, "40000", sum})
	}
	return ""
}

// objectHash returns git's hash of an object; size is the length of the hash in hexadecimal.
func objectHash(kind string, content []byte, size int) string {
	var h hash.Hash = sha1.New()
	if size == hex.EncodedLen(sha256.Size) {
		h = sha256.New()
	}
	fmt.Fprintf(h, "%s %d\x00", kind, len(content))
	h.Write(content)
	return hex.EncodeToString(h.Sum(nil))
}

// reported returns why a report does not have the required values; empty if it does.
// The report must have the recorded digest. Its subject must be in the repository
// in, whose tree must be in the record.
func reported(report evidence.Report, need gateRequirement, in string) string {
	if len(need.Report) == 0 && need.In == "" {
		return ""
	}
	if report.Path == "" {
		return "it has no report"
	}
	data, err := os.ReadFile(report.Path)
	if err != nil {
		return fmt.Sprintf("its report cannot be read: %v", err)
	}
	if fmt.Sprintf("%x", sha256.Sum256(data)) != report.SHA256 {
		return "its report " + report.Path + " differs from the one that was recorded"
	}
	var said map[string]json.RawMessage
	if err := json.Unmarshal(data, &said); err != nil {
		return fmt.Sprintf("its report cannot be read: %v", err)
	}
	var found struct{ Repository, Path string }
	wanted, named := need.Report[subjectKey]
	if raw, ok := said[subjectKey+"_in"]; ok {
		if err := json.Unmarshal(raw, &found); err != nil {
			return fmt.Sprintf("its report does not name where its subject is: %v", err)
		}
	}
	switch {
	case !named && need.In == "":
	case found.Repository == "":
		return fmt.Sprintf("its report does not name the repository of its subject, which has to be %s of %s", anything(wanted), in)
	case found.Repository != in || named && found.Path != wanted:
		return fmt.Sprintf("its report is about %s of %s, and has to be about %s of %s", show(found.Path), found.Repository, anything(wanted), in)
	}
	for _, key := range slices.Sorted(maps.Keys(need.Report)) {
		if key == subjectKey {
			continue
		}
		var text string
		if err := json.Unmarshal(said[key], &text); err != nil || text != need.Report[key] {
			return fmt.Sprintf("its report has %q for %s, and has to have %s", text, key, need.Report[key])
		}
	}
	return ""
}

// anything describes a required path in messages.
func anything(path string) string {
	if path == "" {
		return "one"
	}
	return path
}
