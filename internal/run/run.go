// SPDX-License-Identifier: GPL-3.0-or-later

// Package run runs external programs. It stops a program when the context ends,
// and describes errors on one line with a command that can be pasted into a shell.
// It does not interpret the output of programs.
package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// killAfter is the time between SIGTERM and SIGKILL.
const killAfter = 5 * time.Second

// Cmd is one command line. Name is looked up on PATH as exec.Command does.
type Cmd struct {
	Name  string
	Args  []string
	Dir   string    // working directory; empty means the caller's
	Env   []string  // the whole environment; nil means the caller's
	Stdin io.Reader // nil means no input
	// Live gets the output of both streams as it is printed; nil
	// discards it. It MUST be safe for concurrent use, as *os.File is.
	Live io.Writer
}

// String returns the command quoted for a POSIX shell.
func (c Cmd) String() string {
	words := make([]string, 0, 1+len(c.Args))
	for _, word := range append([]string{c.Name}, c.Args...) {
		words = append(words, Quote(word))
	}
	return strings.Join(words, " ")
}

// Quote quotes word for a POSIX shell.
func Quote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
			strings.ContainsRune("@%_-+=:,./", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// Result is the output and exit status of a command.
type Result struct {
	Stdout []byte
	Stderr []byte
	Code   int // exit status; -1 when a signal ended it
}

// Runner runs commands. Tests replace it.
type Runner interface {
	// Run waits for the command to end. If the command could not be started,
	// failed, or was stopped by the context, Run MUST return an *Error; Result then
	// has the output so far.
	Run(ctx context.Context, c Cmd) (Result, error)
}

// Error is the failure of a command.
type Error struct {
	Cmd    Cmd
	Result Result
	Err    error // why: exec's error, or the context's
}

// Error returns one line: the command, why it failed, and the last line of its stderr.
func (e *Error) Error() string {
	msg := fmt.Sprintf("command `%s` failed: %v", e.Cmd, e.Err)
	if last := LastLine(e.Result.Stderr); last != "" {
		msg += ": " + last
	} else if last := LastLine(e.Result.Stdout); last != "" {
		msg += ": " + last
	}
	return msg
}

func (e *Error) Unwrap() error { return e.Err }

// NotFound returns whether err means that the program is not installed.
func NotFound(err error) bool { return errors.Is(err, exec.ErrNotFound) }

// LastLine returns the last line of out that is not blank.
func LastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// Exec is the Runner that starts real processes. When the context ends it sends
// SIGTERM, and SIGKILL five seconds later.
type Exec struct{}

// Run implements Runner.
func (Exec) Run(ctx context.Context, c Cmd) (Result, error) {
	cmd := exec.CommandContext(ctx, c.Name, c.Args...)
	cmd.Dir, cmd.Env, cmd.Stdin = c.Dir, c.Env, c.Stdin
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = killAfter
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if c.Live != nil {
		cmd.Stdout, cmd.Stderr = io.MultiWriter(&stdout, c.Live), io.MultiWriter(&stderr, c.Live)
	}
	err := cmd.Run()
	res := Result{Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), Code: -1}
	if cmd.ProcessState != nil {
		res.Code = cmd.ProcessState.ExitCode()
	}
	if err == nil {
		return res, nil
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return res, &Error{Cmd: c, Result: res, Err: err}
}
