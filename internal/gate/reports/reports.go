// SPDX-License-Identifier: GPL-3.0-or-later

// Package reports is where a gate's report for people lies, and how it gets
// there. It does not know what a report says.
package reports

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/arcodange-org/sandbox/internal/atomicfile"
	"github.com/arcodange-org/sandbox/internal/xdg"
)

// In is where in a repository something lies.
type In struct {
	Repository string `json:"repository"` // the name by which the evidence knows it
	Path       string `json:"path"`       // relative to its working tree, with slashes
}

// Folder is the user's folder for what gates leave behind: below the state
// folder, see xdg.State.
func Folder(getenv func(string) string) (string, error) {
	state, err := xdg.State(getenv)
	if err != nil {
		return "", err
	}
	return filepath.Join(state, "gates"), nil
}

// Path is the absolute path of a report: given, or one of its own in Folder,
// named by the gate (as "idempotence") and the time.
func Path(given, gate string, getenv func(string) string) (string, error) {
	if given != "" {
		path, err := filepath.Abs(given)
		if err != nil {
			return "", fmt.Errorf("finding the report %s: %w", given, err)
		}
		return path, nil
	}
	folder, err := Folder(getenv)
	if err != nil {
		return "", fmt.Errorf("finding the folder for reports: %w, or set report", err)
	}
	return filepath.Join(folder, fmt.Sprintf("%s-%s-%d.json", gate, time.Now().UTC().Format("20060102T150405Z"), os.Getpid())), nil
}

// Write writes a report as JSON, for its owner alone: it may show what
// templates and states hold. The file is there whole or not at all; its folder
// is made.
func Write(path string, report any) error {
	data, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if err := atomicfile.Write(path, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}
