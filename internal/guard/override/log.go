// SPDX-License-Identifier: GPL-3.0-or-later

package override

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/boundary"
)

func logFile(state string) string { return filepath.Join(state, "overrides.log") }

// entry is one line of the log of overrides. The first of a run is written
// before the run continues, and lists the hosts that it was limited to; each
// further one is written before a host is connected to, and names that host.
type entry struct {
	Time       string   `json:"time"`
	Event      string   `json:"event"`
	Run        string   `json:"run,omitempty"`
	User       string   `json:"user"`
	Targets    []string `json:"targets"`
	Command    []string `json:"command"` // without values that may be secrets
	Boundary   string   `json:"boundary"`
	Grant      string   `json:"grant,omitempty"`      // ID of the evidence of promotion that was used up
	Repository string   `json:"repository,omitempty"` // that was promoted
	Tree       string   `json:"tree,omitempty"`       // that was promoted
}

const (
	eventAllowed  = "allowed"
	eventConnects = "connects"
)

func (r Request) entry(event string, manifest *boundary.Manifest, now time.Time) entry {
	return entry{
		Time: now.UTC().Format(time.RFC3339), Event: event, Run: r.Run, User: r.User, Targets: r.Targets, Command: redactCommand(r.Command), Boundary: manifest.File,
	}
}

// append writes the entry and syncs the log.
func (e entry) append(file string) error {
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("log of overrides: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("log of overrides: %w", err)
	}
	log, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("log of overrides: %w", err)
	}
	// A log that already exists may be readable by others, and command lines are private.
	err = log.Chmod(0o600)
	if err == nil {
		_, err = log.Write(append(line, '\n'))
	}
	if err := errors.Join(err, log.Sync(), log.Close()); err != nil {
		return fmt.Errorf("log of overrides: %w", err)
	}
	return nil
}

// find returns whether the log has an override of the request's run, and whether its targets are recorded already.
func find(log string, r Request) (granted, recorded bool, err error) {
	data, err := os.ReadFile(log)
	if err != nil {
		return false, false, fmt.Errorf("log of overrides: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		var old entry
		if json.Unmarshal([]byte(line), &old) != nil || old.Run != r.Run || old.Run == "" {
			continue // of another run, or written in part
		}
		granted = granted || old.Event == eventAllowed
		recorded = recorded || old.Event == eventConnects && slices.Equal(old.Targets, r.Targets)
	}
	return granted, recorded, nil
}

// grantUsed returns whether the log has an override by the grant with that ID.
func grantUsed(log, id string) (bool, error) {
	file, err := os.Open(log)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return false, fmt.Errorf("a line of %s cannot be read: %w", log, err)
		}
		if e.Grant == id {
			return true, nil
		}
	}
	return false, lines.Err()
}
