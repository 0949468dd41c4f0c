// SPDX-License-Identifier: GPL-3.0-or-later

// Package lock provides locks between processes: files with the kernel's
// advisory locks. The kernel releases the lock when its process ends,
// so locks never go stale.
package lock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// ErrHeld means that another process still held the lock at the deadline.
var ErrHeld = errors.New("still held")

// poll is the interval between attempts at a held lock.
const poll = 20 * time.Millisecond

// Lock is a lock that this process holds.
type Lock struct{ file *os.File }

// Acquire waits until no other holder has the lock at path, at
// most for the given time. The file contains the holder and its purpose, which
// ErrHeld's message repeats. Missing folders are created.
func Acquire(ctx context.Context, path, what string, wait time.Duration) (*Lock, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		file, err := try(path)
		if err != nil {
			return nil, fmt.Errorf("take lock %s to %s: %w", path, what, err)
		}
		if file != nil {
			// The text is only for messages, so an error does not matter.
			_ = file.Truncate(0)
			_, _ = file.WriteAt(fmt.Appendf(nil, "process %d since %s: %s\n", os.Getpid(), time.Now().Format(time.RFC3339), what), 0)
			return &Lock{file: file}, nil
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return nil, fmt.Errorf("take lock %s to %s: %w", path, what, ctx.Err())
			}
			return nil, fmt.Errorf("take lock %s to %s: %w after %s by %s: wait until it has finished, or end it, then run again",
				path, what, ErrHeld, wait, holder(path))
		case <-time.After(poll):
		}
	}
}

// try returns nil if another process holds the lock.
func try(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // the last holder removed the folder just now
	}
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
			return nil, nil
		}
		return nil, err
	}
	// The previous holder may have removed the file: then this lock is on a file
	// that no other process can open.
	mine, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, err
	}
	there, err := os.Stat(path)
	if err != nil || !os.SameFile(mine, there) {
		file.Close()
		return nil, nil
	}
	return file, nil
}

func holder(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return "somebody"
	}
	defer file.Close()
	text, _ := io.ReadAll(io.LimitReader(file, 1000))
	if line := strings.TrimSpace(string(text)); line != "" {
		return line
	}
	return "somebody"
}

// Release releases the lock.
func (l *Lock) Release() { _ = l.file.Close() }

// Remove releases the lock and removes its file.
func (l *Lock) Remove() {
	_ = os.Remove(l.file.Name())
	l.Release()
}
