// SPDX-License-Identifier: GPL-3.0-or-later

package idempotence

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// event is one line that the callback gate_events writes.
type event struct {
	Kind   string  `json:"event"` // begin, playbook, play, variables, task, no_hosts, result, end
	Number int     `json:"number"`
	Time   float64 `json:"time"`

	// begin
	Version  int      `json:"version"`
	Core     string   `json:"ansible_core"` // its version
	Check    bool     `json:"check"`
	Tags     []string `json:"tags"`
	SkipTags []string `json:"skip_tags"`
	StartAt  string   `json:"start_at"`

	// play, no_hosts
	Play string `json:"play"`

	// task, play: as they are in their files
	ID         string              `json:"id"` // of the task; a result has it too
	Keywords   []keyword           `json:"keywords"`
	Files      []keyword           `json:"files"` // that the task includes, or was imported from
	Args       []string            `json:"args"`  // templates
	Sets       []string            `json:"sets"`  // variables that the task registers or sets
	Vars       map[string][]string `json:"vars"`  // templates of its variables
	Unreadable string              `json:"unreadable"`

	// variables: templates by name
	Templates map[string][]string `json:"templates"`

	// Dependencies are keywords that depend on check mode without an effect in a
	// result; DependentWhen are the conditions of a result that depend on it. See
	// resolve.
	Dependencies  []keyword `json:"-"`
	DependentWhen []string  `json:"-"`

	// play: the names of those it matched; end: Ansible's own counts of each
	Hosts json.RawMessage `json:"hosts"`

	// result
	Task        string    `json:"task"`
	Where       string    `json:"where"` // file:line; also of a play
	Action      string    `json:"action"`
	Implicit    bool      `json:"implicit"` // the automatic fact gathering of a play
	Rescued     bool      `json:"rescued"`  // it is in a block that has a rescue
	ChangedWhen []string  `json:"changed_when"`
	FailedWhen  []string  `json:"failed_when"`
	When        []string  `json:"when"`
	CheckMode   *bool     `json:"check_mode"` // keyword of the task or play
	Host        string    `json:"host"`
	On          string    `json:"on"` // host that it was delegated to
	Result      string    `json:"kind"`
	Began       float64   `json:"began"`
	Ignored     bool      `json:"ignored"`
	Items       []outcome `json:"items"`
	outcome
}

// outcome is the result of a task, or of one item of its loop.
type outcome struct {
	Item           string        `json:"item"`
	Changed        bool          `json:"changed"`
	Failed         bool          `json:"failed"`
	Skipped        bool          `json:"skipped"`
	Unreachable    bool          `json:"unreachable"`
	Differs        bool          `json:"differs"`
	Diff           []gate.Change `json:"diff"`
	Msg            string        `json:"msg"`
	SkipReason     string        `json:"skip_reason"`
	SkippedReason  string        `json:"skipped_reason"`
	FalseCondition string        `json:"false_condition"`
	Stdout         string        `json:"stdout"`
}

// counts are a host's numbers in Ansible's recap.
type counts struct {
	OK          int `json:"ok"`
	Changed     int `json:"changed"`
	Failures    int `json:"failures"`
	Unreachable int `json:"unreachable"`
	Skipped     int `json:"skipped"`
	Rescued     int `json:"rescued"`
	Ignored     int `json:"ignored"`
}

func (e event) at() time.Time { return time.UnixMicro(int64(e.Time * 1e6)) }

// began returns the start of the task on its host; its end, if that is unknown.
func (e event) began() time.Time {
	if e.Began == 0 {
		return e.at()
	}
	return time.UnixMicro(int64(e.Began * 1e6))
}

// readEvents reads the callback's events. A truncated line, a gap in the order or
// a line that is not an event is an error: later events may be missing.
func readEvents(r io.Reader) ([]event, error) {
	var events []event
	lines := bufio.NewReaderSize(r, 1<<16)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			resolve(events)
			return events, nil
		}
		if err != nil {
			return events, fmt.Errorf("line %d of the events is cut short: %w", len(events)+1, err)
		}
		var event event
		if err := json.Unmarshal(line, &event); err != nil {
			return events, fmt.Errorf("line %d of the events cannot be read: %w", len(events)+1, err)
		}
		if event.Number != len(events) {
			return events, fmt.Errorf("line %d of the events has number %d: lines are missing or from elsewhere", len(events)+1, event.Number)
		}
		events = append(events, event)
	}
}
