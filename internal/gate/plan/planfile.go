// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// stateStamp identifies a version of a state.
type stateStamp struct {
	Serial  uint64 `json:"serial"`
	Lineage string `json:"lineage"`
}

// stamp returns the stamp of a state; it is empty for a missing state.
func stamp(state []byte) (stateStamp, error) {
	var s stateStamp
	if len(bytes.TrimSpace(state)) == 0 {
		return s, nil
	}
	if err := json.Unmarshal(state, &s); err != nil {
		return s, errors.New("the state is not a JSON object")
	}
	return s, nil
}

// Facts of a plan file that its JSON form lacks.
type planFile struct {
	before   stateStamp // of the state that was planned against
	narrowed bool       // -target, -exclude
	forced   bool       // -replace
}

// The fields of the plan's message, unchanged in both programs since 2020.
const (
	fieldTargets  = 5
	fieldExcludes = 6
	fieldReplaces = 16
)

// The maximal size of one part of a plan file.
const partLimit = 512 << 20

func readPlanFile(path string) (planFile, error) {
	var p planFile
	archive, err := zip.OpenReader(path)
	if err != nil {
		return p, fmt.Errorf("the plan file is not an archive: %w", err)
	}
	defer func() { _ = archive.Close() }()
	part := func(name string) ([]byte, error) {
		file, err := archive.Open(name)
		if err != nil {
			return nil, fmt.Errorf("the plan file has no %s", name)
		}
		defer func() { _ = file.Close() }()
		return io.ReadAll(io.LimitReader(file, partLimit))
	}
	state, err := part("tfstate") // the refreshed state; tfstate-prev, the state before, has no stamp
	if err != nil {
		return p, err
	}
	if p.before, err = stamp(state); err != nil {
		return p, err
	}
	message, err := part("tfplan")
	if err != nil {
		return p, err
	}
	fields, err := fieldsOf(message)
	if err != nil {
		return p, err
	}
	p.narrowed, p.forced = fields[fieldTargets] || fields[fieldExcludes], fields[fieldReplaces]
	return p, nil
}

// fieldsOf lists the fields that a message in protocol buffers' wire format has.
func fieldsOf(message []byte) (map[uint64]bool, error) {
	fields := map[uint64]bool{}
	broken := errors.New("the plan file's message cannot be read")
	for len(message) > 0 {
		key, n := binary.Uvarint(message)
		if n <= 0 {
			return nil, broken
		}
		message = message[n:]
		fields[key>>3] = true
		var length uint64
		switch key & 7 {
		case 0:
			if _, n = binary.Uvarint(message); n <= 0 {
				return nil, broken
			}
			length = uint64(n)
		case 1:
			length = 8
		case 2:
			if length, n = binary.Uvarint(message); n <= 0 {
				return nil, broken
			}
			message = message[n:]
		case 5:
			length = 4
		default:
			return nil, broken
		}
		if length > uint64(len(message)) {
			return nil, broken
		}
		message = message[length:]
	}
	return fields, nil
}
