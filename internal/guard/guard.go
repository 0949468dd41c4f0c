// SPDX-License-Identifier: GPL-3.0-or-later

// Package guard is the command line of prod-ip-guard. It parses flags and prints
// decisions; the packages below it decide.
package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/guard/sshexec"
	"github.com/arcodange-org/sandbox/internal/guard/sshguard"
	"github.com/arcodange-org/sandbox/internal/guard/targets"
)

// Exit statuses, except of ssh, scp and sftp: these have the program's own
// status, and 255 if they refuse, as ssh has without a connection.
const (
	statusOK          = 0
	statusFailed      = 1 // an error; nothing was allowed
	statusUsage       = 2 // the command line is wrong
	statusRefused     = 3 // at least one target is outside the sandbox
	statusUnsupported = 4 // not supported by this system (netns)
)

// Process is the process of a command.
type Process struct {
	Args   []string // with the program's name
	Env    []string
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
}

func (p Process) getenv(name string) string { return sshexec.Call{Env: p.Env}.Getenv(name) }

const usage = `usage: prod-ip-guard COMMAND [flags] ...

  check     check targets; refuse unless every one is inside the sandbox
  explain   check one target and explain the decision
  token     make a token for one override, where the manifest requires one
  load      decide what a process may do that loads the inventory (for the plugins)
  override  decide whether a run with i_mean_prod may leave the sandbox (for the plugins)
  nft-rules render the firewall of a node (for the role node_fence)
  netns     run a command in a network namespace that reaches the sandbox only (Linux)
  ssh, scp, sftp, ssh-keyscan
            check where the command line leads, then run that program

Under the name ssh, scp or sftp it wraps that program, with the boundary manifest
that the variable SANDBOX_BOUNDARY names.
Exit status: 0 allowed, 1 failed, 2 wrong command line, 3 refused, 4 not
possible on this system; ssh, scp and sftp end as themselves, with 255 if refused.
`

// Main runs a command and returns the exit status.
func Main(p Process) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends what cannot be interrupted
	if len(p.Args) == 0 {
		fmt.Fprint(p.Stderr, usage)
		return statusUsage
	}
	if name := sshguard.Program(filepath.Base(p.Args[0])); name == sshguard.SSH || name == sshguard.SCP || name == sshguard.SFTP {
		return p.ssh(ctx, sshexec.Call{Program: name, Digest: p.getenv(sshexec.EnvDigest), Programs: p.getenv(sshexec.EnvPrograms), Agent: p.getenv(sshexec.EnvAgent), Args: p.Args[1:], Env: p.Env})
	}
	if len(p.Args) < 2 {
		fmt.Fprint(p.Stderr, usage)
		return statusUsage
	}
	command, args := p.Args[1], p.Args[2:]
	switch command {
	case "check":
		return p.check(ctx, args)
	case "explain":
		return p.explain(ctx, args)
	case "load":
		return p.loadPolicy(ctx, args)
	case "override":
		return p.override(ctx, args)
	case "token":
		return p.token(ctx, args)
	case "nft-rules":
		return p.nftRules(ctx, args)
	case "netns":
		return p.netns(ctx, args)
	case "ssh", "scp", "sftp", "ssh-keyscan":
		return p.sshFlags(ctx, sshguard.Program(command), args)
	case "help", "--help", "-h":
		fmt.Fprint(p.Stdout, usage)
		return statusOK
	default:
		return p.wrong("unknown command %q; see prod-ip-guard help", command)
	}
}

func (p Process) wrong(format string, args ...any) int {
	fmt.Fprintf(p.Stderr, "prod-ip-guard: %s\n", short(fmt.Sprintf(format, args...)))
	return statusUsage
}

func (p Process) failed(err error) int {
	fmt.Fprintf(p.Stderr, "prod-ip-guard: %s\n", short(err.Error()))
	return statusFailed
}

// longest is the maximum number of characters of a message, which may quote a whole command line.
const longest = 2000

// short leaves out the middle of a long message: its subject is at the beginning, and the reason often at the end.
func short(text string) string {
	letters := []rune(text)
	if len(letters) <= longest {
		return text
	}
	const cut = " … "
	begin := longest * 2 / 3
	end := longest - begin - len([]rune(cut))
	return string(letters[:begin]) + cut + string(letters[len(letters)-end:])
}

// flags returns a flag set that stops at the first other word, since the flags behind it may be a command's own.
func flags(name string) *pflag.FlagSet {
	set := pflag.NewFlagSet(name, pflag.ContinueOnError)
	set.SetInterspersed(false)
	set.SetOutput(io.Discard)
	set.SortFlags = false
	return set
}

// parse parses flags. If done, the command has ended with status.
func (p Process) parse(set *pflag.FlagSet, args []string) (status int, done bool) {
	err := set.Parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprintf(p.Stdout, "usage: prod-ip-guard %s\n%s", set.Name(), set.FlagUsages())
		return statusOK, true
	case err != nil:
		return p.wrong("%v", err), true
	}
	return 0, false
}

// checker decides about targets of all kinds by the manifest that a flag or the environment names.
func (p Process) checker(file string) (targets.Checker, error) {
	checker, err := p.load(file)
	return targets.Checker{Checker: checker, Env: p.Env}, err
}

// load reads the manifest that a flag or the environment names.
func (p Process) load(file string) (boundary.Checker, error) {
	if file == "" {
		file = p.getenv(sshexec.EnvBoundary)
	}
	if file == "" {
		return boundary.Checker{}, errors.New("no boundary manifest given, so nothing is allowed; give --boundary, or the variable " + sshexec.EnvBoundary)
	}
	manifest, err := boundary.Load(file)
	if err != nil {
		return boundary.Checker{}, err
	}
	return boundary.Checker{Manifest: manifest}, nil
}
