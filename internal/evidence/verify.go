// SPDX-License-Identifier: GPL-3.0-or-later

package evidence

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"sync"
)

// problemKind is the JSON value that identifies a kind of problem.
type problemKind string

// What can be wrong with a ledger.
const (
	recordChanged   problemKind = "changed"      // a record is not the one that was written
	recordRemoved   problemKind = "removed"      // a record is missing
	recordReordered problemKind = "reordered"    // a record is not at the position where it was written
	recordForged    problemKind = "forged"       // a record was not written by a writer of this ledger
	recordUnsigned  problemKind = "unsigned"     // a record lacks a required signature
	headMissing     problemKind = "missing_head" // records may be missing at the end
)

// Problem is one thing wrong with a ledger.
type Problem struct {
	Kind     problemKind `json:"kind"`
	Sequence int         `json:"sequence"` // of the record; 0 if unknown
	Line     int         `json:"line"`     // 0 if no line is concerned
	Message  string      `json:"message"`
}

func (p Problem) String() string { return p.Message }

// Check lists further requirements of Verify.
type Check struct {
	Allowed *Allowed // every record must be signed by one of these; nil requires no signature
	Heads   []Head   // noted elsewhere
	// AllowMissingHead accepts a ledger without a head elsewhere, such as one copied from another machine.
	AllowMissingHead bool
	// Keep returns the entries as they were verified, without reading the file again.
	Keep bool
}

// Verification is the result of reading a whole ledger.
type Verification struct {
	Records  int       `json:"records"`
	Head     Head      `json:"head"`     // its last record
	Torn     int       `json:"torn"`     // bytes of an incomplete record at its end; not a problem
	Problems []Problem `json:"problems"` // by line
	// Anchored is true if a head outside the ledger's folder was compared, see
	// Ledger.Anchors.
	Anchored bool    `json:"anchored"`
	Breaks   []Break `json:"breaks"` // restarts of the ledger, oldest first
	Entries  []Entry `json:"-"`      // if Check.Keep; empty for lines that are not records
}

// link is the part of a line that chain needs.
type link struct {
	line      int
	sequence  int
	previous  string
	hash      string
	err       error  // if it is not a record
	self      bool   // its hash matches its content
	signature string // the problem of its signature; empty for none
	entry     Entry
}

// Verify reads the whole ledger and returns its problems. The error is
// for failures, such as a file that cannot be read.
//
// The chain alone detects changes unless all later hashes were recomputed. Heads
// detect every change of the records before them, and signatures every record
// that was not signed with an allowed key.
func (l *Ledger) Verify(ctx context.Context, check Check) (Verification, error) {
	links, torn, err := scan(ctx, l.Path, check.Allowed)
	if err != nil {
		return Verification{}, err
	}
	heads := slices.Clone(check.Heads)
	known, anchored := 0, false
	for i, path := range l.heads() {
		head, err := readHead(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Verification{}, err
		}
		if head.Sequence == 0 && len(links) > 1 {
			continue // written before the first record; the writer may have been killed after that
		}
		if head.Sequence > 0 {
			heads = append(heads, head)
		}
		known++
		anchored = anchored || i > 0
	}
	result := Verification{Records: len(links), Torn: torn, Anchored: anchored}
	if check.Keep {
		for _, l := range links {
			result.Entries = append(result.Entries, l.entry)
		}
	}
	if len(links) > 0 {
		if first := links[0].entry; first.What == RestartName {
			result.Breaks = first.Breaks
		}
		last := links[len(links)-1]
		result.Head = Head{Sequence: last.sequence, Hash: last.hash}
	}
	result.Problems = chain(links, heads)
	switch {
	case len(check.Heads) > 0 || check.AllowMissingHead || len(links) == 0:
	case known == 0:
		result.Problems = append(result.Problems, Problem{Kind: headMissing, Message: fmt.Sprintf(
			"the head %s.head is missing: records may have been removed at the end", l.Path)})
	case !anchored && l.Anchors != "":
		// A process that can write the ledger can write the head next to it.
		result.Problems = append(result.Problems, Problem{Kind: headMissing, Message: fmt.Sprintf(
			"the second head %s is missing: records may have been removed at the end, and the head next to the ledger with them; "+
				"give a head that was noted elsewhere, or allow_missing_head if the ledger was copied here", l.heads()[1])})
	}
	return result, nil
}

// batch is the number of lines that one worker takes at a time.
const batch = 256

type work struct {
	first int // line number
	lines [][]byte
	out   []link
}

// scan reads all lines and checks each of them separately.
func scan(ctx context.Context, path string, allowed *Allowed) ([]link, int, error) {
	var (
		todo    = make(chan *work, 4)
		workers sync.WaitGroup
		all     []*work
		current *work
	)
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for w := range todo {
				w.examine(allowed)
				w.lines = nil
			}
		})
	}
	hand := func() {
		if current != nil {
			current.out = make([]link, len(current.lines))
			all = append(all, current)
			todo <- current
			current = nil
		}
	}
	total := int64(0)
	err := lines(path, func(number int, raw []byte) error {
		if current == nil {
			current = &work{first: number, lines: make([][]byte, 0, batch)}
		}
		current.lines = append(current.lines, slices.Clone(raw))
		total += int64(len(raw)) + 1
		if len(current.lines) == batch {
			hand()
			return ctx.Err()
		}
		return nil
	})
	hand()
	close(todo)
	workers.Wait()
	if err != nil {
		return nil, 0, err
	}
	var links []link
	for _, w := range all {
		links = append(links, w.out...)
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return links, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reading the ledger: %w", err)
	}
	return links, int(info.Size() - total), nil
}

func (w *work) examine(allowed *Allowed) {
	for i, raw := range w.lines {
		found, entry, body := examine(w.first+i, raw)
		switch {
		case allowed == nil || found.err != nil:
		case entry.Signature == "":
			found.signature = unsigned
		default:
			c, err := allowed.claim(body, entry.Signature, entry.Time)
			if err == nil {
				err = c.timely()
			}
			if err == nil {
				err = c.made()
			}
			if err != nil {
				found.signature = err.Error()
			}
		}
		w.out[i] = found
	}
}

// unsigned is the problem of a record without a signature.
const unsigned = "carries no signature"

func examine(number int, raw []byte) (link, Entry, json.RawMessage) {
	entry, body, err := parseLine(raw)
	if err != nil {
		return link{line: number, err: err}, entry, nil
	}
	found := link{line: number, sequence: entry.Sequence, previous: entry.Previous, hash: entry.Hash, entry: entry}
	found.self = hashOf(body, entry.Signature) == entry.Hash
	// The hash covers body and signature, so the line must contain nothing else:
	// otherwise two different lines would be one record.
	if found.self {
		l, ok := split(raw)
		found.self = ok && bytes.Equal(l.Body, body)
	}
	return found, entry, body
}

// chain returns the problems of the order and hashes of the lines.
func chain(links []link, heads []Head) []Problem {
	var problems []Problem
	add := func(kind problemKind, sequence, line int, format string, words ...any) {
		problems = append(problems, Problem{Kind: kind, Sequence: sequence, Line: line, Message: fmt.Sprintf(format, words...)})
	}
	at := map[int]int{}       // sequence → index in links of its first line
	suspect := map[int]bool{} // sequences with a problem already
	highest := 0
	for i, l := range links {
		switch {
		case l.err != nil:
			add(recordChanged, 0, l.line, "line %d is not a record any more: %v", l.line, l.err)
			continue
		case !l.self:
			add(recordChanged, l.sequence, l.line, "record %d (line %d) was changed: its hash is not that of its content", l.sequence, l.line)
			suspect[l.sequence] = true
		case l.signature != "":
			kind := recordForged
			if l.signature == unsigned {
				kind = recordUnsigned
			}
			add(kind, l.sequence, l.line, "record %d (line %d) %s", l.sequence, l.line, l.signature)
			suspect[l.sequence] = true
		}
		if first, twice := at[l.sequence]; twice {
			add(recordForged, l.sequence, l.line, "record %d is in line %d and again in line %d", l.sequence, links[first].line, l.line)
			suspect[l.sequence] = true
			continue
		}
		at[l.sequence] = i
		if l.sequence < 1 {
			add(recordForged, l.sequence, l.line, "line %d has the number %d, and the first record is 1", l.line, l.sequence)
			continue
		}
		if l.sequence < highest {
			add(recordReordered, l.sequence, l.line, "record %d is in line %d, after record %d", l.sequence, l.line, highest)
		}
		highest = max(highest, l.sequence)
	}
	problems = append(problems, gaps(at, links, highest, heads)...)
	for sequence, i := range at {
		if sequence <= 1 {
			if sequence == 1 && links[i].previous != "" && !suspect[1] {
				add(recordForged, 1, links[i].line, "record 1 (line %d) has the hash of an earlier record", links[i].line)
			}
			continue
		}
		before, ok := at[sequence-1]
		if ok && !suspect[sequence] && !suspect[sequence-1] && links[i].previous != links[before].hash {
			// The chain does not show which of the two was changed: the
			// earlier one can be rewritten without the later.
			add(recordChanged, sequence-1, links[before].line, "record %d (line %d) was changed: record %d carries another hash of it",
				sequence-1, links[before].line, sequence)
			suspect[sequence-1] = true
		}
	}
	for _, head := range heads {
		if i, ok := at[head.Sequence]; ok && links[i].hash != head.Hash && !suspect[head.Sequence] {
			add(recordForged, head.Sequence, links[i].line, "record %d (line %d) is not the one that was last once: the ledger was written anew",
				head.Sequence, links[i].line)
			suspect[head.Sequence] = true
		}
	}
	slices.SortStableFunc(problems, func(a, b Problem) int { return a.Line - b.Line })
	return problems
}

// gaps returns the problems of missing records, in between or at the end.
func gaps(at map[int]int, links []link, highest int, heads []Head) []Problem {
	var problems []Problem
	gap := func(from, to, line int) {
		text := fmt.Sprintf("record %d was removed", from)
		if to > from {
			text = fmt.Sprintf("records %d to %d were removed", from, to)
		}
		problems = append(problems, Problem{Kind: recordRemoved, Sequence: from, Line: line, Message: text})
	}
	present := make([]int, 0, len(at))
	for sequence := range at {
		if sequence > 0 {
			present = append(present, sequence)
		}
	}
	slices.Sort(present)
	before := 0
	for _, sequence := range present {
		if sequence > before+1 {
			gap(before+1, sequence-1, links[at[sequence]].line)
		}
		before = sequence
	}
	end := highest
	for _, head := range heads {
		end = max(end, head.Sequence)
	}
	if end > highest {
		gap(highest+1, end, len(links)+1)
	}
	return problems
}
