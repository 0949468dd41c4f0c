// SPDX-License-Identifier: GPL-3.0-or-later

package ansible

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// linesFlag makes the binary answer many calls, until stdin ends: each line of
// stdin has one call's arguments as a JSON object, and each line of stdout the
// result of one call, in the same order. Filters and lookups use it, since a
// process for every name would be slow.
const linesFlag = "--lines"

// lines answers calls until stdin ends. A call that fails is a result like any other.
func (p *process) lines(ctx context.Context, name string) int {
	in := bufio.NewReaderSize(p.stdin, 64<<10)
	for {
		line, err := readLine(in)
		if len(bytes.TrimSpace(line)) > 0 {
			one := process{
				stdin: bytes.NewReader(line), stdout: p.stdout, stderr: p.stderr,
				modules: p.modules, signals: p.signals, grace: p.grace, own: p.own,
			}
			one.main(ctx, []string{name, "-"})
		}
		switch {
		case errors.Is(err, io.EOF):
			return 0
		case err != nil:
			fmt.Fprintf(p.stderr, "reading the calls: %v\n", err)
			return 1
		}
	}
}

// readLine is bufio's ReadBytes with an error for a line longer than maxInput.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxInput {
			return nil, fmt.Errorf("a line is longer than %d MiB", maxInput>>20)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}
