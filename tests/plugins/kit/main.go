// SPDX-License-Identifier: GPL-3.0-or-later

// Command kit is a kit for tests: it speaks the protocol of modules as the
// project's own do, and on request does what no module should.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/arcodange-org/sandbox/internal/ansible"
)

// built is the platform that this kit says it was built for, set when it is linked.
var built string

func main() { os.Exit(ansible.Main(os.Args, module("sample"), module("sample_here"))) }

func module(name string) ansible.Module {
	return ansible.Module{
		Name:      name,
		CheckMode: true,
		Spec: ansible.Spec{Options: map[string]ansible.Option{
			"do":       {Default: "well", Choices: []string{"well", "fail", "complain", "no_json", "list", "two", "nothing", "be_killed", "wait"}},
			"password": {NoLog: true},
			"count":    {Type: ansible.Int},
			"file":     {Type: ansible.Path},
		}},
		Run: run,
	}
}

type arguments struct {
	Do       string `arg:"do"`
	Password string `arg:"password"`
	File     string `arg:"file"`
}

func run(ctx context.Context, c *ansible.Call) error {
	var args arguments
	if err := c.Bind(&args); err != nil {
		return err
	}
	if args.Do != "complain" { // its complaint is the last line
		fmt.Println("on standard output by mistake:", args.Password)
		fmt.Fprintln(os.Stderr, "on standard error:", args.Password)
	}
	c.Return("built", built)
	c.Return("called", filepath.Base(os.Args[0]))
	c.Return("told", "it is "+args.Password)
	c.Return("check", c.CheckMode)
	c.Return("shows_diff", c.Diff)
	switch args.Do {
	case "well":
		c.Differ("thing", "before", "after")
		return nil
	case "fail":
		return fmt.Errorf("opening the thing with %s: it is locked; unlock it", args.Password)
	case "complain":
		raw(2, "the thing says "+args.Password+"\n")
		os.Exit(3)
	case "no_json":
		raw(1, "all is well\n")
		os.Exit(0)
	case "list":
		raw(1, `[{"changed": false}]`+"\n")
		os.Exit(0)
	case "two":
		raw(1, `{"changed": false}`+"\n"+`{"changed": true}`+"\n")
		os.Exit(0)
	case "nothing":
		os.Exit(0)
	case "be_killed":
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "wait":
		if err := os.WriteFile(args.File, nil, 0o600); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return os.WriteFile(args.File, []byte("cleaned up"), 0o600)
		case <-time.After(time.Minute):
		}
	}
	return nil
}

// raw writes past what the protocol redirects and masks.
func raw(fd int, text string) { _, _ = syscall.Write(fd, []byte(text)) }
