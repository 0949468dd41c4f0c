// SPDX-License-Identifier: GPL-3.0-or-later

package gate

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/atomicfile"
	"github.com/arcodange-org/sandbox/internal/xdg"
)

// Result is the report of a gate, a struct that embeds Report.
type Result interface{ common() *Report }

// Formats are the formats of reports in addition to JSON, with the extension
// that replaces .json.
var formats = map[string]struct {
	extension string
	render    func(*Report) ([]byte, error)
}{
	"annotations": {".annotations", annotations},
	"junit":       {".xml", junit},
	"sarif":       {".sarif", sarif},
	"text":        {".txt", text},
}

// Folder returns the user's folder for reports of gates, see xdg.State.
func Folder(getenv func(string) string) (string, error) {
	state, err := xdg.State(getenv)
	if err != nil {
		return "", err
	}
	return filepath.Join(state, "gates"), nil
}

// reportPath returns the absolute path of a report: the given one, or a new one
// in Folder, named after the gate and the time.
func reportPath(given, gate string, getenv func(string) string) (string, error) {
	if given != "" {
		path, err := filepath.Abs(given)
		if err != nil {
			return "", fmt.Errorf("report %s: %w", given, err)
		}
		return path, nil
	}
	folder, err := Folder(getenv)
	if err != nil {
		return "", fmt.Errorf("folder for reports: %w, or set report", err)
	}
	return filepath.Join(folder, fmt.Sprintf("%s-%s-%d.json", gate, time.Now().UTC().Format("20060102T150405Z"), os.Getpid())), nil
}

// Write writes a report as JSON to path, readable by its owner only.
func Write(path string, result Result) error {
	_, err := write(path, result, nil)
	return err
}

// write writes a report as JSON to path, and in other formats next to it. It
// returns the paths by format.
func write(path string, result Result, also []string) (map[string]string, error) {
	data, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("report %s: %w", path, err)
	}
	// Readable by its owner only: a report may contain values of templates and states.
	if err := atomicfile.Write(path, append(data, '\n'), 0o600); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	paths := map[string]string{"json": path}
	for _, name := range also {
		format := formats[name]
		data, err := format.render(result.common())
		if err != nil {
			return nil, fmt.Errorf("report %s as %s: %w", path, name, err)
		}
		paths[name] = strings.TrimSuffix(path, ".json") + format.extension
		if err := atomicfile.Write(paths[name], data, 0o600); err != nil {
			return nil, fmt.Errorf("report: %w", err)
		}
	}
	return paths, nil
}

func text(r *Report) ([]byte, error) {
	lines := append([]string{fmt.Sprintf("%s: %s: %s", r.Gate, r.Subject, r.Verdict)}, r.Text()...)
	return []byte(strings.Join(lines, "\n") + "\n"), nil
}

// position is a file, relative to its repository, and a line; 0 for none.
type position struct {
	file string
	line int
}

var fileAndLine = regexp.MustCompile(`^(.+?):(\d+)(?::\d+)?$`)

// position returns where a finding is shown: at its line, else at the gate's
// subject.
func (r *Report) position(f Finding) position {
	for _, where := range []string{f.Where, f.Path, r.Subject} {
		at := position{file: where}
		if m := fileAndLine.FindStringSubmatch(where); m != nil {
			at.file = m[1]
			at.line, _ = strconv.Atoi(m[2]) // digits; a number that is too large becomes 0
		}
		if _, err := os.Stat(at.file); err != nil {
			continue // not a file, but a path in a manifest or a source of the value
		}
		at.file = inRepository(at.file)
		return at
	}
	return position{file: "."}
}

// inRepository returns path relative to its Git working tree; path
// itself if it has none.
func inRepository(path string) string {
	path, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	for folder := filepath.Dir(path); ; folder = filepath.Dir(folder) {
		if _, err := os.Lstat(filepath.Join(folder, ".git")); err == nil {
			relative, err := filepath.Rel(folder, path)
			if err != nil {
				return path
			}
			return filepath.ToSlash(relative)
		}
		if folder == filepath.Dir(folder) {
			return path
		}
	}
}
