// SPDX-License-Identifier: GPL-3.0-or-later

// Package supervise keeps child processes running. It knows nothing of what they do.
package supervise

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	// A child that ran this long was well: its next end is a new misfortune, not the same one again.
	wellAfter = 30 * time.Second
	maxDelay  = 10 * time.Second
	// How long a child may take to end by itself.
	grace = 8 * time.Second
)

// Process is a child to keep running.
type Process struct {
	Name string   // argv[0], and the name in the log
	Path string   // the program; empty means this very binary
	Args []string // without argv[0]
	Env  []string // added to this process's environment
	// KillOnly marks a child that must be ended by SIGKILL: one that would otherwise wait for peers that end as well.
	KillOnly bool
}

// Group is a set of children that end together, last started first.
type Group struct {
	ctx  context.Context
	mu   sync.Mutex
	stop []func()
}

// NewGroup makes a group whose children are not started again once ctx has ended.
func NewGroup(ctx context.Context) *Group { return &Group{ctx: ctx} }

// Start runs p and starts it anew whenever it ends, after a pause that grows
// from 200 ms to 10 s while it keeps ending early. A child also dies with this
// process, however that ends.
func (g *Group) Start(p Process) {
	if p.Path == "" {
		p.Path = "/proc/self/exe"
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(g.ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The kernel ties a child's death signal to the thread that forked it, so the thread has to stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		keep(ctx, g.ctx, p)
	}()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stop = append(g.stop, func() { cancel(); <-done })
}

// Stop ends all children, the last started first, and waits for them.
func (g *Group) Stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := len(g.stop) - 1; i >= 0; i-- {
		g.stop[i]()
	}
	g.stop = nil
}

// keep runs p until stop ends; once group has ended, an end of p is final.
func keep(stop, group context.Context, p Process) {
	delay := 200 * time.Millisecond
	for {
		began := time.Now()
		err := once(stop, p)
		if stop.Err() != nil || group.Err() != nil {
			return
		}
		if time.Since(began) > wellAfter {
			delay = 200 * time.Millisecond
		}
		slog.Warn("a component ended and is started again", "component", p.Name, "after", time.Since(began).Round(time.Millisecond), "because", err, "in", delay)
		select {
		case <-stop.Done():
			return
		case <-group.Done():
			return
		case <-time.After(delay):
		}
		delay = min(2*delay, maxDelay)
	}
}

func once(ctx context.Context, p Process) error {
	cmd := exec.Command(p.Path, p.Args...)
	cmd.Args[0] = p.Name
	cmd.Env = append(os.Environ(), p.Env...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting it: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	signal := syscall.SIGTERM
	if p.KillOnly {
		signal = syscall.SIGKILL
	}
	_ = cmd.Process.Signal(signal)
	select {
	case <-ended:
	case <-time.After(grace):
		_ = cmd.Process.Kill()
		<-ended
	}
	return ctx.Err()
}
