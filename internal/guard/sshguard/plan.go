// SPDX-License-Identifier: GPL-3.0-or-later

package sshguard

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/atomicfile"
	"github.com/arcodange-org/sandbox/internal/run"
)

// Verdict is what was decided about one end of a connection.
type Verdict struct {
	Allowed   bool
	Addresses []string // where it leads, as literal addresses in the order of preference
	Reason    string   // one line, with the rule that decided
}

// Decider says whether host:port may be connected to. A verdict that allows
// MUST name the addresses that were decided upon.
type Decider interface {
	Decide(ctx context.Context, host string, port int) Verdict
}

// Standin prepares command lines.
type Standin struct {
	Decider Decider // nil to know only what was decided before
	Runner  run.Runner
	Home    string   // of the user, as ssh takes it from the password database
	Env     []string // the environment for ssh
	Sockets string   // directory of the control sockets that only the guard's connections use
	Scope   string   // digest of what decisions rest on; part of the sockets' names
	Program string   // the real ssh
	Self    []string // command line that stands in for ssh once more, ending where ssh's arguments begin
	SelfSSH string   // one executable that does the same, for scp and sftp
	Agent   string   // socket of the agent that may be used; empty for none
	// Known is asked for files of host keys that are known besides those that ssh is told of; the sandbox's own.
	Known func() []string
	// Revoked is asked for the file of host keys that no connection may accept,
	// whoever has accepted them before (ssh_config's RevokedHostKeys); empty for none.
	Revoked func(ctx context.Context) (string, error)

	hops int // how many machines on the way are being decided about
}

// farthest is how many machines there may be on the way: a configuration may lead back to itself.
const farthest = 16

// Refusal is a decision against the command line, as opposed to a failure to decide.
type Refusal struct{ Reason string }

func (r *Refusal) Error() string { return "refused: " + r.Reason }

func refuse(format string, args ...any) error { return &Refusal{fmt.Sprintf(format, args...)} }

// forced are settings that no command line needs and through which one could
// leave the way that was checked, or take more along than the sandbox's own:
// an agent and keys that were not named, a command on this machine, another
// host key than the known one, a host name that changes once more.
var forced = []string{
	"CanonicalizeHostname=no", "PermitLocalCommand=no", "KnownHostsCommand=none", "Tunnel=no",
	"ForwardAgent=no", "IdentitiesOnly=yes", "StrictHostKeyChecking=yes",
	"VerifyHostKeyDNS=no", "UpdateHostKeys=no", "ProxyUseFdpass=no",
	"ForwardX11=no", "GSSAPIDelegateCredentials=no", "SecurityKeyProvider=internal",
	"NoHostAuthenticationForLocalhost=no", // behind a port of this machine may be anybody, whose key nobody would look at
	"EscapeChar=none",                     // whoever types ~C could forward any port, unchecked
}

// Letters that would undo a forced setting, since ssh does not take the first
// of those: a screen, an agent, Kerberos tickets, sockets and jumps of one's own,
// an escape character.
const undoing = "SJXYAKe"

// Prepare is the command line to put in place of the given one, without its
// first word. A *Refusal is a decision; any other error means that none could
// be made, and that nothing may be started either.
func (s Standin) Prepare(ctx context.Context, p Program, args []string) ([]string, error) {
	in, err := read(p, args)
	if err != nil {
		return nil, err
	}
	if p != SSH {
		return s.copier(p, in)
	}
	if in.Destination == "" || in.has("GQV") {
		if in.has("G") {
			file, _ := in.last('F')
			if _, err := configuration(file, s.Home); err != nil {
				return nil, err
			}
		}
		return args, nil // nothing is connected to: ssh prints, or complains
	}
	return s.ssh(ctx, in)
}

// checked refuses what the guard does not know among a command line's settings, and a tunnel of all packets.
func (in invocation) checked() error {
	if in.has("w") {
		return refuse("ssh -w lets any packet through to the far machine; forward the one port that is needed")
	}
	for _, o := range in.Options {
		if o.Letter == 'o' {
			if word := setting(o.Value); classOf(word) == unheard {
				return fmt.Errorf("reading ssh's command line: -o %s is not a setting that the guard knows, so it cannot tell where it leads; leave it out", o.Value)
			}
		}
	}
	return nil
}

// alone tells whether the command line wants a connection of its own: then it is
// asked what that means, even if one is open that could be shared.
func (in invocation) alone() bool {
	first := map[string]string{}
	for _, o := range in.Options {
		key, value := "", o.Value
		switch o.Letter {
		case 'S':
			key = "controlpath"
		case 'o':
			key, value = keyValue(o.Value)
		}
		if _, given := first[key]; !given {
			first[key] = strings.ToLower(strings.Trim(value, `" `))
		}
	}
	path, given := first["controlpath"]
	master := first["controlmaster"]
	return path == "none" || !given && (master == "no" || master == "false")
}

// named tells whether the command line itself gives a setting that a program or library is named by.
func (in invocation) named(name string) bool {
	return name == "pkcs11provider" && in.has("I") ||
		slices.ContainsFunc(in.Options, func(o option) bool { return o.Letter == 'o' && setting(o.Value) == name })
}

// Means is the host and port that ssh would connect to for a destination, as its configuration has it.
func (s Standin) Means(ctx context.Context, destination string) (host string, port int, err error) {
	if _, err := configuration("", s.Home); err != nil {
		return "", 0, err
	}
	said, err := ask(ctx, s.Runner, s.Program, s.Env, nil, destination)
	if err != nil {
		return "", 0, err
	}
	port, err = said.port()
	return said.one("hostname"), port, err
}

// Letters that concern one call, not the connection: they are left out when ssh
// is asked what the rest means, and of the name of the control socket.
const perCall = "fGNnOqSsTtVvWEy"

func (s Standin) ssh(ctx context.Context, in invocation) ([]string, error) {
	file, _ := in.last('F')
	configured, err := configuration(file, s.Home)
	if err != nil {
		return nil, err
	}
	if err := in.checked(); err != nil {
		return nil, err
	}
	asked := in.without(perCall)
	socket := s.socket(configured, asked, in.Destination)
	decided, known := recall(socket)
	if what, _ := in.last('O'); !known || in.alone() || in.has("WLRD") || what == "proxy" {
		if decided, err = s.decide(ctx, in, asked, socket); err != nil {
			return nil, err
		}
	}
	var words []string
	for _, setting := range decided {
		words = append(words, "-o", setting)
	}
	for _, o := range in.without(undoing) {
		words = append(words, o.words(SSH.grammar())...)
	}
	// Once options are ended before the destination, ssh reads none behind it.
	words = append(words, "--", in.Destination)
	return append(words, in.Rest...), nil
}

// decide asks what the command line means, has every end of it decided, and
// returns the settings that hold it there. ssh takes the first value of a
// setting that it meets, so these stand before everything else.
func (s Standin) decide(ctx context.Context, in invocation, asked []option, socket string) ([]string, error) {
	if s.Decider == nil {
		return nil, fmt.Errorf("deciding about %s: there is nobody who could", in.Destination)
	}
	said, err := ask(ctx, s.Runner, s.Program, s.Env, asked, in.Destination)
	if err != nil {
		return nil, err
	}
	if what, _ := in.last('O'); what == "proxy" {
		return nil, refuse("ssh -O proxy would let programs of this machine connect through the far one to anywhere; forward the one port that is needed")
	}
	host := said.one("hostname")
	port, err := said.port()
	if err != nil {
		return nil, err
	}
	verdict := s.Decider.Decide(ctx, host, port)
	if !verdict.Allowed {
		return nil, refuse("%s leads to %s port %d: %s", in.Destination, host, port, verdict.Reason)
	}
	if len(verdict.Addresses) == 0 {
		return nil, fmt.Errorf("deciding about %s: no address was named", host)
	}
	pinned := pick(verdict.Addresses, said.one("addressfamily"))
	if pinned == "" {
		return nil, refuse("%s has no address of the family that is asked for (%s)", host, said.one("addressfamily"))
	}
	// ssh puts the destination in the place of %h, and the zone of an address stands behind such a sign.
	settings := []string{"HostName=" + strings.ReplaceAll(pinned, "%", "%%"), fmt.Sprintf("Port=%d", port)}
	if alias := said.set("hostkeyalias"); alias != "" {
		settings = append(settings, "HostKeyAlias="+alias)
	} else if host != pinned {
		// The key is known under the name; ssh adds the port to a name, not to an alias.
		alias := strings.ToLower(host)
		if port != 22 {
			alias = fmt.Sprintf("[%s]:%d", alias, port)
		}
		settings = append(settings, "HostKeyAlias="+alias)
	}
	settings = append(settings, forced...)
	if s.Agent == "" {
		settings = append(settings, "IdentityAgent=none")
	} else { // a path with tokens would be another
		settings = append(settings, "IdentityAgent="+strings.ReplaceAll(s.Agent, "%", "%%"))
	}
	if !in.named("pkcs11provider") {
		settings = append(settings, "PKCS11Provider=none") // a library of a configuration meant for other machines
	}
	if s.Known != nil {
		if known := s.Known(); len(known) > 0 {
			settings = append(settings, "GlobalKnownHostsFile="+strings.Join(append(strings.Fields(said.one("globalknownhostsfile")), known...), " "))
		}
	}
	if s.Revoked != nil {
		file, err := s.Revoked(ctx)
		if err != nil {
			return nil, err
		}
		if file != "" {
			settings = append(settings, "RevokedHostKeys="+file)
		}
	}

	proxy, err := s.proxy(ctx, in, said)
	if err != nil {
		return nil, err
	}
	settings = append(settings, "ProxyCommand="+proxy)
	forwards, err := s.forwards(ctx, in, said)
	if err != nil {
		return nil, err
	}
	if !forwards {
		settings = append(settings, "ClearAllForwardings=yes")
	} else if err := s.forwardsStill(ctx, in, settings); err != nil {
		return nil, err
	}
	for _, key := range []string{"localcommand", "knownhostscommand"} {
		if said.set(key) != "" {
			return nil, refuse("%s would run a program on this machine (%s %s); take it out of ssh's configuration", in.Destination, key, said.one(key))
		}
	}
	shared := said.set("controlmaster") != "" || said.set("controlpath") != "" || in.has("MSO") && !in.alone()
	if !shared || forwards {
		return append(settings, "ControlPath=none", "ControlMaster=no"), nil
	}
	// Another's control socket could belong to a connection that was never checked.
	settings = append(settings, "ControlPath="+strings.ReplaceAll(socket, "%", "%%"))
	return settings, remember(socket, settings)
}

// pick takes the first address of the family that ssh was told to use.
func pick(addresses []string, family string) string {
	for _, a := range addresses {
		if v6 := strings.Contains(a, ":"); family == "any" || family == "" || family == "inet" && !v6 || family == "inet6" && v6 {
			return a
		}
	}
	return ""
}

// proxy is the ProxyCommand that leads through a machine which is checked in
// its turn: the stand-in itself. A jump is rewritten to it; so is a
// ProxyCommand that is plainly ssh with -W. Any other program is refused, since
// nobody can tell where it connects to.
func (s Standin) proxy(ctx context.Context, in invocation, said effective) (string, error) {
	var inner []string
	switch command, jump := said.set("proxycommand"), said.set("proxyjump"); {
	case jump != "":
		hops := strings.Split(jump, ",")
		last := hops[len(hops)-1]
		if file, ok := in.last('F'); ok {
			inner = append(inner, "-F", file)
		}
		if before := hops[:len(hops)-1]; len(before) > 0 {
			inner = append(inner, "-J", strings.Join(before, ","))
		}
		destination := last
		if !strings.HasPrefix(last, "ssh://") {
			destination = "ssh://" + last // so that user, port and brackets are read as in a jump
		}
		inner = append(inner, "--", destination)
	case command != "":
		words := strings.Fields(command)
		if strings.ContainsAny(command, "'\"\\$`;&|<>(){}*?!#~\n\t") || len(words) < 2 || filepath.Base(words[0]) != "ssh" {
			return "", refuse("ProxyCommand %q may lead anywhere; use ProxyJump, or ssh with -W and plain words", command)
		}
		jump, err := read(SSH, words[1:])
		if err != nil {
			return "", refuse("ProxyCommand %q: %v", command, err)
		}
		if to, ok := jump.last('W'); !ok || len(jump.Rest) > 0 || to != "%h:%p" && to != "[%h]:%p" {
			return "", refuse("ProxyCommand %q may lead anywhere; use ProxyJump, or ssh -W %%h:%%p HOST", command)
		}
		if inner, err = meantTokens(jump.without("W"), jump.Destination, said); err != nil {
			return "", refuse("ProxyCommand %q: %v", command, err)
		}
	default:
		return "none", nil
	}
	if err := s.hop(ctx, inner); err != nil {
		return "", err
	}
	words := make([]string, 0, len(s.Self)+len(inner))
	for _, word := range s.Self {
		words = append(words, run.Quote(strings.ReplaceAll(word, "%", "%%")))
	}
	// These tokens alone are ssh's to fill, from what is held. A shell reads the
	// line then: whatever else ssh would put into it, such as a user, were a command there.
	words = append(words, "-W", run.Quote("[%h]:%p"))
	for _, word := range inner {
		words = append(words, run.Quote(strings.ReplaceAll(word, "%", "%%")))
	}
	return strings.Join(words, " "), nil
}

// meantTokens writes options and destination of a ProxyCommand with its tokens filled.
func meantTokens(options []option, destination string, said effective) ([]string, error) {
	var words []string
	for _, o := range options {
		words = append(words, o.words(SSH.grammar())...)
	}
	words = append(words, "--", destination)
	for i, word := range words {
		var filled strings.Builder
		for {
			before, after, is := strings.Cut(word, "%")
			filled.WriteString(before)
			if !is {
				break
			}
			if after == "" {
				return nil, fmt.Errorf("a percent sign at the end of %q", words[i])
			}
			switch after[0] {
			case '%':
				filled.WriteByte('%')
			case 'h':
				filled.WriteString(said.one("hostname"))
			case 'p':
				filled.WriteString(said.one("port"))
			case 'r':
				filled.WriteString(said.one("user"))
			default:
				return nil, fmt.Errorf("the token %%%c is not followed by the guard; write what it stands for", after[0])
			}
			word = after[1:]
		}
		words[i] = filled.String()
	}
	return words, nil
}

// onTheWay tells that a refusal is about a jump, which the command line may not name.
const onTheWay = "on the way there, "

// hop has a machine on the way decided here too. The stand-in decides about it
// once more when ssh starts it, but what it says then may be seen by nobody:
// where connections persist, ssh keeps to itself what its proxies say.
func (s Standin) hop(ctx context.Context, words []string) error {
	jump, err := read(SSH, words)
	if err != nil {
		return refuse("the jump %q: %v", strings.Join(words, " "), err)
	}
	if s.hops++; s.hops > farthest {
		return refuse("the jump %q: there are more than %d machines on the way", strings.Join(words, " "), farthest)
	}
	// One of its own, which is not remembered, and without the far end, which was decided.
	alone := []string{"-o", "ControlPath=none", "-o", "ControlMaster=no"}
	for _, o := range jump.Options {
		alone = append(alone, o.words(SSH.grammar())...)
	}
	_, err = s.Prepare(ctx, SSH, append(alone, "--", jump.Destination))
	var refusal *Refusal
	if errors.As(err, &refusal) && !strings.HasPrefix(refusal.Reason, onTheWay) {
		return refuse("%s%s", onTheWay, refusal.Reason)
	}
	return err
}

// forwards has the far ends of forwarded ports decided, and tells whether there are any.
func (s Standin) forwards(ctx context.Context, in invocation, said effective) (bool, error) {
	any := false
	for _, key := range []string{"localforward", "remoteforward"} {
		for _, value := range said[key] {
			any = true
			words := strings.Fields(value)
			if len(words) > 1 && key == "remoteforward" && strings.HasPrefix(words[len(words)-1], "/") {
				return true, refuse("RemoteForward %s would let the far machine use a socket of this one, and nobody can tell where that leads", value)
			}
			if len(words) != 2 || words[1] == "[socks]:0" { // what has blanks in it may be read as another host on the far machine
				if key == "remoteforward" && len(words) <= 2 {
					return true, refuse("RemoteForward %s would let the far machine connect from here to anywhere", value)
				}
				return true, refuse("%s %q cannot be read", key, value)
			}
			if err := s.end(ctx, words[len(words)-1], key == "localforward"); err != nil {
				return true, err
			}
		}
	}
	if len(said["dynamicforward"]) > 0 {
		return true, refuse("DynamicForward %s would let programs of this machine connect through the far one to anywhere; forward the one port that is needed", said.one("dynamicforward"))
	}
	if to, ok := in.last('W'); ok {
		if err := s.end(ctx, to, false); err != nil {
			return true, err
		}
	}
	return any, nil
}

// forwardsStill has the forwards decided that there are once everything is held:
// an address in the place of a name, the command, or that there is none may
// make further blocks of a configuration apply (Match).
func (s Standin) forwardsStill(ctx context.Context, in invocation, settings []string) error {
	var options []option
	for _, setting := range settings {
		options = append(options, option{'o', setting})
	}
	options = append(options, in.without(undoing+"fEGOQV")...)
	said, err := ask(ctx, s.Runner, s.Program, s.Env, options, in.Destination, in.Rest...)
	if err != nil {
		return err
	}
	_, err = s.forwards(ctx, in, said)
	return err
}

// end decides about host:port, or a path of a socket, at the end of a forward.
// far says that it is resolved on the other machine, whose own loopback is as good as itself.
func (s Standin) end(ctx context.Context, to string, far bool) error {
	if strings.HasPrefix(to, "/") {
		return nil
	}
	at := strings.LastIndexAny(to, ":/")
	if at < 1 {
		return refuse("the end of a forward %q is not host:port", to)
	}
	host := strings.Trim(to[:at], "[]")
	var port int
	if _, err := fmt.Sscanf(to[at+1:], "%d", &port); err != nil || port < 1 || port > 65535 {
		return refuse("the end of a forward %q is not host:port", to)
	}
	if far && (host == "localhost" || host == "127.0.0.1" || host == "::1") {
		return nil
	}
	if v := s.Decider.Decide(ctx, host, port); !v.Allowed {
		return refuse("a forward leads to %s: %s", to, v.Reason)
	}
	return nil
}

// socket names the control socket of a connection by everything that decides
// where it leads: whoever finds it there knows what was checked for it.
func (s Standin) socket(configured string, asked []option, destination string) string {
	// The defaults scp and sftp add, and how often a thing is said, change nothing of where it leads.
	settings := []string{s.Scope, configured, s.Program, s.Agent, destination}
	for _, o := range asked {
		word := string(o.Letter) + " " + o.Value
		if o.Letter == 'o' {
			key, value := keyValue(o.Value)
			switch key {
			case "forwardx11", "permitlocalcommand", "clearallforwardings", "remotecommand", "requesttty", "forwardagent",
				"controlmaster", "controlpath", "controlpersist", "batchmode", "loglevel", "connecttimeout":
				continue
			}
			word = key + " " + strings.Trim(value, `"`)
		}
		if strings.IndexByte("xaACM", o.Letter) < 0 {
			settings = append(settings, word)
		}
	}
	sum := sha256.Sum256([]byte(strings.Join(settings, "\x00")))
	return filepath.Join(s.Sockets, fmt.Sprintf("%x", sum[:8]))
}

// remember keeps what was decided beside the socket that it was decided for.
func remember(socket string, settings []string) error {
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		return fmt.Errorf("making the directory of control sockets: %w", err)
	}
	if !private(filepath.Dir(socket)) {
		return fmt.Errorf("the directory of control sockets %s is not this user's alone; remove it", filepath.Dir(socket))
	}
	if err := atomicfile.Write(socket+".decided", []byte(strings.Join(settings, "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("keeping what was decided: %w", err)
	}
	return nil
}

// private tells whether nobody else can put anything into a directory.
func private(directory string) bool {
	info, err := os.Lstat(directory)
	return err == nil && info.IsDir() && info.Mode().Perm()&0o077 == 0 && owned(info)
}

// recall is what was decided for a connection that is open already, so that it
// need not be decided again: the machine at its other end cannot change.
func recall(socket string) ([]string, bool) {
	info, err := os.Lstat(socket)
	if err != nil || info.Mode().Type() != os.ModeSocket || !owned(info) || !private(filepath.Dir(socket)) {
		return nil, false
	}
	data, err := os.ReadFile(socket + ".decided")
	if err != nil || len(data) == 0 {
		return nil, false
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n"), true
}

// copier prepares scp and sftp: they start ssh themselves, so they are given the
// stand-in for it. What they connect to is decided there; what they would let
// the far machine connect to is decided here.
func (s Standin) copier(p Program, in invocation) ([]string, error) {
	if in.has("D") {
		return nil, refuse("%s -D starts a program in place of a connection", p)
	}
	words := []string{"-S", s.SelfSSH}
	if p == SCP && in.has("R") {
		return nil, refuse("scp -R lets one machine connect to another by itself; leave it out")
	}
	for _, o := range in.without("SR") {
		words = append(words, o.words(p.grammar())...)
	}
	if p == SFTP {
		// sftp's -R is a number of requests, not a way.
		if value, ok := in.last('R'); ok {
			words = append(words, "-R", value)
		}
	}
	return append(append(words, "--"), in.Rest...), nil
}
