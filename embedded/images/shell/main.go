// SPDX-License-Identifier: GPL-3.0-or-later

// Command sh is the shell of the image that prepares and clears local-path
// volumes: a POSIX shell with the few programs that such scripts call.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	var script io.Reader = os.Stdin
	name := "sh"
	switch {
	case len(args) > 1 && args[0] == "-c":
		script, args = strings.NewReader(args[1]), args[2:]
	case len(args) > 0:
		file, err := os.Open(args[0])
		if err != nil {
			fmt.Fprintln(os.Stderr, "sh:", err)
			return 127
		}
		defer file.Close()
		script, name, args = file, args[0], args[1:]
	}
	program, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(script, name)
	if err != nil {
		fmt.Fprintln(os.Stderr, "sh:", err)
		return 2
	}
	runner, err := interp.New(interp.StdIO(os.Stdin, os.Stdout, os.Stderr), interp.Params(append([]string{"--"}, args...)...), interp.ExecHandlers(programs))
	if err != nil {
		fmt.Fprintln(os.Stderr, "sh:", err)
		return 2
	}
	var status interp.ExitStatus
	if err := runner.Run(context.Background(), program); errors.As(err, &status) {
		return int(status)
	} else if err != nil {
		fmt.Fprintln(os.Stderr, "sh:", err)
		return 1
	}
	return 0
}

// programs are what the image has in place of /bin.
func programs(next interp.ExecHandlerFunc) interp.ExecHandlerFunc {
	return func(ctx context.Context, args []string) error {
		known := map[string]func(io.Writer, []string) error{"mkdir": mkdir, "rm": rm, "cat": cat}
		program, ok := known[args[0]]
		if !ok {
			return next(ctx, args)
		}
		h := interp.HandlerCtx(ctx)
		if err := program(h.Stdout, args[1:]); err != nil {
			fmt.Fprintf(h.Stderr, "%s: %v\n", args[0], err)
			return interp.ExitStatus(1)
		}
		return nil
	}
}

func mkdir(_ io.Writer, args []string) error {
	mode, parents := os.FileMode(0o777), false
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		switch {
		case args[0] == "-p":
			parents = true
		case args[0] == "-m" && len(args) > 1:
			bits, err := strconv.ParseUint(args[1], 8, 12)
			if err != nil {
				return err
			}
			mode, args = os.FileMode(bits), args[1:]
		default:
			return fmt.Errorf("unknown option %s", args[0])
		}
		args = args[1:]
	}
	for _, path := range args {
		make := os.Mkdir
		if parents {
			make = os.MkdirAll
		}
		if err := make(path, 0o755); err != nil {
			return err
		}
		if err := os.Chmod(path, mode); err != nil { // whatever the umask is
			return err
		}
	}
	return nil
}

func rm(_ io.Writer, args []string) error {
	remove := os.Remove
	force := false
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		for _, flag := range args[0][1:] {
			switch flag {
			case 'r', 'R':
				remove = os.RemoveAll
			case 'f':
				force = true
			default:
				return fmt.Errorf("unknown option -%c", flag)
			}
		}
		args = args[1:]
	}
	for _, path := range args {
		if err := remove(path); err != nil && !(force && errors.Is(err, os.ErrNotExist)) {
			return err
		}
	}
	return nil
}

func cat(out io.Writer, args []string) error {
	for _, path := range args {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if _, err := out.Write(data); err != nil {
			return err
		}
	}
	return nil
}
