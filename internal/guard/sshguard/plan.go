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

// Verdict is the decision about one host of a connection.
type Verdict struct {
	Allowed   bool
	Addresses []string // literal addresses of the host, preferred ones first
	Reason    string   // one line, with the rule that decided
}

// Decider checks whether host:port may be connected to. A verdict that allows
// MUST list the addresses that were checked.
type Decider interface {
	Decide(ctx context.Context, host string, port int) Verdict
}

// Wrapper prepares command lines of the real programs.
type Wrapper struct {
	Decider Decider // nil to use recorded decisions only
	Runner  run.Runner
	Home    string   // of the user, as ssh takes it from the password database
	Env     []string // the environment for ssh
	Sockets string   // directory of the control sockets that only the guard's connections use
	Scope   string   // digest of the manifest; part of the names of control sockets
	Program string   // the real ssh
	Self    []string // command line of this wrapper for a nested ssh, up to where ssh's arguments begin
	SelfSSH string   // executable of this wrapper under the name ssh, for scp and sftp
	Agent   string   // socket of the agent that may be used; empty for none
	// Known returns files with host keys of the sandbox, besides those that ssh is configured with.
	Known func() []string
	// Revoked returns the file of host keys that no connection may accept
	// (RevokedHostKeys of ssh_config(5)); empty for none.
	Revoked func(ctx context.Context) (string, error)
	// Route returns an error if packets to the address leave by an interface that they should not.
	Route func(address string) error

	hops int // depth of nested jumps
}

// maxHops limits nested jumps: a configuration may refer to itself.
const maxHops = 16

// refusedError is a decision against the command line, as opposed to a failure to decide.
type refusedError struct{ Reason string }

func (r *refusedError) Error() string { return "refused: " + r.Reason }

func refuse(format string, args ...any) error { return &refusedError{fmt.Sprintf(format, args...)} }

// forced are settings that could lead a checked connection elsewhere or give it
// more than the sandbox's own: an agent, keys that were not named, a command on
// this machine, an unknown host key, another host name.
var forced = []string{
	"CanonicalizeHostname=no", "PermitLocalCommand=no", "KnownHostsCommand=none", "Tunnel=no",
	"ForwardAgent=no", "IdentitiesOnly=yes", "StrictHostKeyChecking=yes",
	"VerifyHostKeyDNS=no", "UpdateHostKeys=no", "ProxyUseFdpass=no",
	"ForwardX11=no", "GSSAPIDelegateCredentials=no", "SecurityKeyProvider=internal",
	"NoHostAuthenticationForLocalhost=no", // a forwarded port of this machine may end at any host
	"EscapeChar=none",                     // ~C would forward any port
}

// overriding are flags that win over a forced setting wherever they are: a
// display, an agent, Kerberos tickets, a socket, a jump, an escape character.
const overriding = "SJXYAKe"

// Prepare returns the arguments to run the real program with. A *refusedError is a
// decision; any other error means that the command line could not be checked. The
// caller must not start the program in either case.
func (w Wrapper) Prepare(ctx context.Context, p Program, args []string) ([]string, error) {
	in, err := read(p, args)
	if err != nil {
		return nil, err
	}
	if p != SSH {
		return w.copier(p, in)
	}
	if in.Destination == "" || in.has("GQV") {
		if in.has("G") {
			file, _ := in.last('F')
			if _, err := configuration(file, w.Home); err != nil {
				return nil, err
			}
		}
		return args, nil // ssh only prints
	}
	return w.ssh(ctx, in)
}

// checkSettings refuses unknown settings of a command line, and a tunnel for all packets.
func (in invocation) checkSettings() error {
	if in.has("w") {
		return refuse("ssh -w forwards any packet to the remote host; forward the one port that is needed")
	}
	for _, o := range in.Options {
		if o.Letter == 'o' {
			if word := setting(o.Value); classOf(word) == unknown {
				return fmt.Errorf("ssh option -o %s: unknown setting, so the guard cannot tell where it leads; leave it out", o.Value)
			}
		}
	}
	return nil
}

// ownConnection returns whether the command line demands a new connection, even if an open one could be shared.
func (in invocation) ownConnection() bool {
	first := map[string]string{}
	for _, o := range in.Options {
		key, value := "", o.Value
		switch o.Letter {
		case 'S':
			key = "controlpath"
		case 'o':
			key, value = keyValue(o.Value)
		}
		if _, ok := first[key]; !ok {
			first[key] = strings.ToLower(strings.Trim(value, `" `))
		}
	}
	path, ok := first["controlpath"]
	master := first["controlmaster"]
	return path == "none" || !ok && (master == "no" || master == "false")
}

// sets returns whether the command line gives a setting.
func (in invocation) sets(name string) bool {
	return name == "pkcs11provider" && in.has("I") ||
		slices.ContainsFunc(in.Options, func(o option) bool { return o.Letter == 'o' && setting(o.Value) == name })
}

// Resolve returns the host and port that ssh connects to for a destination, by its configuration.
func (w Wrapper) Resolve(ctx context.Context, destination string) (host string, port int, err error) {
	if _, err := configuration("", w.Home); err != nil {
		return "", 0, err
	}
	config, err := effectiveConfig(ctx, w.Runner, w.Program, w.Env, nil, destination)
	if err != nil {
		return "", 0, err
	}
	port, err = config.port()
	return config.one("hostname"), port, err
}

// perCallFlags concern one call and not the connection. They are left out of
// `ssh -G` and of the name of the control socket.
const perCallFlags = "fGNnOqSsTtVvWEy"

func (w Wrapper) ssh(ctx context.Context, in invocation) ([]string, error) {
	file, _ := in.last('F')
	configured, err := configuration(file, w.Home)
	if err != nil {
		return nil, err
	}
	if err := in.checkSettings(); err != nil {
		return nil, err
	}
	asked := in.without(perCallFlags)
	socket := w.socket(configured, asked, in.Destination)
	decided, ok := recall(socket)
	if what, _ := in.last('O'); !ok || in.ownConnection() || in.has("WLRD") || what == "proxy" {
		if decided, err = w.decide(ctx, in, asked, socket); err != nil {
			return nil, err
		}
	}
	var words []string
	for _, setting := range decided {
		words = append(words, "-o", setting)
	}
	for _, o := range in.without(overriding) {
		words = append(words, o.words(SSH.grammar())...)
	}
	// After --, ssh reads no options behind the destination.
	words = append(words, "--", in.Destination)
	return append(words, in.Rest...), nil
}

// decide resolves the command line, has every host in it checked, and returns
// the settings that pin it there. ssh uses the first value of a setting, so
// these come before all others.
func (w Wrapper) decide(ctx context.Context, in invocation, asked []option, socket string) ([]string, error) {
	if w.Decider == nil {
		return nil, fmt.Errorf("no boundary loaded; cannot check %s", in.Destination)
	}
	config, err := effectiveConfig(ctx, w.Runner, w.Program, w.Env, asked, in.Destination)
	if err != nil {
		return nil, err
	}
	if what, _ := in.last('O'); what == "proxy" {
		return nil, refuse("ssh -O proxy lets programs of this machine connect anywhere through the remote host; forward the one port that is needed")
	}
	host := config.one("hostname")
	port, err := config.port()
	if err != nil {
		return nil, err
	}
	verdict := w.Decider.Decide(ctx, host, port)
	if !verdict.Allowed {
		return nil, refuse("%s resolves to %s port %d: %s", in.Destination, host, port, verdict.Reason)
	}
	if len(verdict.Addresses) == 0 {
		return nil, fmt.Errorf("checking %s: no address in the verdict", host)
	}
	pinned := pick(verdict.Addresses, config.one("addressfamily"))
	if pinned == "" {
		return nil, refuse("%s: no address of the family %s", host, config.one("addressfamily"))
	}
	// ssh expands %h in HostName, and an IPv6 zone follows a percent sign.
	settings := []string{"HostName=" + strings.ReplaceAll(pinned, "%", "%%"), fmt.Sprintf("Port=%d", port)}
	if alias := config.set("hostkeyalias"); alias != "" {
		settings = append(settings, "HostKeyAlias="+alias)
	} else if host != pinned {
		// The key is known under the name. ssh adds the port to a name, not to an alias.
		alias := strings.ToLower(host)
		if port != 22 {
			alias = fmt.Sprintf("[%s]:%d", alias, port)
		}
		settings = append(settings, "HostKeyAlias="+alias)
	}
	settings = append(settings, forced...)
	if w.Agent == "" {
		settings = append(settings, "IdentityAgent=none")
	} else { // ssh expands tokens
		settings = append(settings, "IdentityAgent="+strings.ReplaceAll(w.Agent, "%", "%%"))
	}
	if !in.sets("pkcs11provider") {
		settings = append(settings, "PKCS11Provider=none") // of a configuration for other hosts
	}
	if w.Known != nil {
		if known := w.Known(); len(known) > 0 {
			settings = append(settings, "GlobalKnownHostsFile="+strings.Join(append(strings.Fields(config.one("globalknownhostsfile")), known...), " "))
		}
	}
	if w.Revoked != nil {
		file, err := w.Revoked(ctx)
		if err != nil {
			return nil, err
		}
		if file != "" {
			settings = append(settings, "RevokedHostKeys="+file)
		}
	}

	proxy, err := w.proxy(ctx, in, config)
	if err != nil {
		return nil, err
	}
	if proxy == "none" && w.Route != nil {
		if err := w.Route(pinned); err != nil {
			return nil, err
		}
	}
	settings = append(settings, "ProxyCommand="+proxy)
	forwards, err := w.forwards(ctx, in, config)
	if err != nil {
		return nil, err
	}
	if !forwards {
		settings = append(settings, "ClearAllForwardings=yes")
	} else if err := w.recheckForwards(ctx, in, settings); err != nil {
		return nil, err
	}
	for _, key := range []string{"localcommand", "knownhostscommand"} {
		if config.set(key) != "" {
			return nil, refuse("%s runs a program on this machine (%s %s); take it out of ssh's configuration", in.Destination, key, config.one(key))
		}
	}
	shared := config.set("controlmaster") != "" || config.set("controlpath") != "" || in.has("MSO") && !in.ownConnection()
	if !shared || forwards {
		return append(settings, "ControlPath=none", "ControlMaster=no"), nil
	}
	// Any other control socket may belong to a connection that was not checked.
	settings = append(settings, "ControlPath="+strings.ReplaceAll(socket, "%", "%%"))
	return settings, remember(socket, settings)
}

// pick returns the first address of the family that ssh uses; empty without one.
func pick(addresses []string, family string) string {
	for _, a := range addresses {
		if v6 := strings.Contains(a, ":"); family == "any" || family == "" || family == "inet" && !v6 || family == "inet6" && v6 {
			return a
		}
	}
	return ""
}

// proxy returns the ProxyCommand for a jump: this wrapper, which checks the jump
// host in turn. A ProxyCommand of the plain form ssh -W is rewritten to it too.
// Any other program is refused, since it could connect anywhere.
func (w Wrapper) proxy(ctx context.Context, in invocation, config effective) (string, error) {
	var inner []string
	switch command, jump := config.set("proxycommand"), config.set("proxyjump"); {
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
		if inner, err = expandTokens(jump.without("W"), jump.Destination, config); err != nil {
			return "", refuse("ProxyCommand %q: %v", command, err)
		}
	default:
		return "none", nil
	}
	if err := w.hop(ctx, inner); err != nil {
		return "", err
	}
	words := make([]string, 0, len(w.Self)+len(inner))
	for _, word := range w.Self {
		words = append(words, run.Quote(strings.ReplaceAll(word, "%", "%%")))
	}
	// ssh expands these tokens alone, from pinned settings. A shell reads the
	// result, so that any other token, such as a user, could be a command.
	words = append(words, "-W", run.Quote("[%h]:%p"))
	for _, word := range inner {
		words = append(words, run.Quote(strings.ReplaceAll(word, "%", "%%")))
	}
	return strings.Join(words, " "), nil
}

// expandTokens returns options and destination of a ProxyCommand with their tokens expanded.
func expandTokens(options []option, destination string, config effective) ([]string, error) {
	var words []string
	for _, o := range options {
		words = append(words, o.words(SSH.grammar())...)
	}
	words = append(words, "--", destination)
	for i, word := range words {
		var filled strings.Builder
		for {
			before, after, ok := strings.Cut(word, "%")
			filled.WriteString(before)
			if !ok {
				break
			}
			if after == "" {
				return nil, fmt.Errorf("a percent sign at the end of %q", words[i])
			}
			switch after[0] {
			case '%':
				filled.WriteByte('%')
			case 'h':
				filled.WriteString(config.one("hostname"))
			case 'p':
				filled.WriteString(config.one("port"))
			case 'r':
				filled.WriteString(config.one("user"))
			default:
				return nil, fmt.Errorf("the token %%%c is not supported by the guard; write its value", after[0])
			}
			word = after[1:]
		}
		words[i] = filled.String()
	}
	return words, nil
}

// viaJump begins a refusal of a jump host, which the command line may not name.
const viaJump = "jump host: "

// hop checks a jump host here too. The nested wrapper checks it again, but its
// message may be lost: with ControlPersist, ssh does not show what a proxy prints.
func (w Wrapper) hop(ctx context.Context, words []string) error {
	jump, err := read(SSH, words)
	if err != nil {
		return refuse("the jump %q: %v", strings.Join(words, " "), err)
	}
	if w.hops++; w.hops > maxHops {
		return refuse("the jump %q: more than %d jumps", strings.Join(words, " "), maxHops)
	}
	// A new connection, which is not recorded, to the jump host alone.
	args := []string{"-o", "ControlPath=none", "-o", "ControlMaster=no"}
	for _, o := range jump.Options {
		args = append(args, o.words(SSH.grammar())...)
	}
	_, err = w.Prepare(ctx, SSH, append(args, "--", jump.Destination))
	var refusal *refusedError
	if errors.As(err, &refusal) && !strings.HasPrefix(refusal.Reason, viaJump) {
		return refuse("%s%s", viaJump, refusal.Reason)
	}
	return err
}

// forwards checks the targets of forwarded ports, and returns whether there are any.
func (w Wrapper) forwards(ctx context.Context, in invocation, config effective) (bool, error) {
	any := false
	for _, key := range []string{"localforward", "remoteforward"} {
		for _, value := range config[key] {
			any = true
			words := strings.Fields(value)
			if len(words) > 1 && key == "remoteforward" && strings.HasPrefix(words[len(words)-1], "/") {
				return true, refuse("RemoteForward %s lets the remote host use a socket of this machine, which may lead anywhere", value)
			}
			if len(words) != 2 || words[1] == "[socks]:0" { // a host with blanks may be read as another one
				if key == "remoteforward" && len(words) <= 2 {
					return true, refuse("RemoteForward %s lets the remote host connect from here to anywhere", value)
				}
				return true, refuse("%s %q cannot be read", key, value)
			}
			if err := w.forwardEnd(ctx, words[len(words)-1], key == "localforward"); err != nil {
				return true, err
			}
		}
	}
	if len(config["dynamicforward"]) > 0 {
		return true, refuse("DynamicForward %s lets programs of this machine connect anywhere through the remote host; forward the one port that is needed", config.one("dynamicforward"))
	}
	if to, ok := in.last('W'); ok {
		if err := w.forwardEnd(ctx, to, false); err != nil {
			return true, err
		}
	}
	return any, nil
}

// recheckForwards checks the forwards that the pinned command line has: by an
// address instead of a name, or by the command, further Match blocks may apply.
func (w Wrapper) recheckForwards(ctx context.Context, in invocation, settings []string) error {
	var options []option
	for _, setting := range settings {
		options = append(options, option{'o', setting})
	}
	options = append(options, in.without(overriding+"fEGOQV")...)
	config, err := effectiveConfig(ctx, w.Runner, w.Program, w.Env, options, in.Destination, in.Rest...)
	if err != nil {
		return err
	}
	_, err = w.forwards(ctx, in, config)
	return err
}

// forwardEnd checks the target of a forward: host:port, or the path of a socket.
// far means that the remote host resolves it; its own loopback is allowed.
func (w Wrapper) forwardEnd(ctx context.Context, to string, far bool) error {
	if strings.HasPrefix(to, "/") {
		return nil
	}
	at := strings.LastIndexAny(to, ":/")
	if at < 1 {
		return refuse("the target of a forward %q is not host:port", to)
	}
	host := strings.Trim(to[:at], "[]")
	var port int
	if _, err := fmt.Sscanf(to[at+1:], "%d", &port); err != nil || port < 1 || port > 65535 {
		return refuse("the target of a forward %q is not host:port", to)
	}
	if far && (host == "localhost" || host == "127.0.0.1" || host == "::1") {
		return nil
	}
	if v := w.Decider.Decide(ctx, host, port); !v.Allowed {
		return refuse("forward to %q: %s", to, v.Reason)
	}
	return nil
}

// socket returns the path of the control socket of a connection. Its name is a
// digest of everything that decides where the connection leads.
func (w Wrapper) socket(configured string, asked []option, destination string) string {
	// The defaults that scp and sftp add, and repeated flags, do not change where it leads.
	settings := []string{w.Scope, configured, w.Program, w.Agent, destination}
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
	return filepath.Join(w.Sockets, fmt.Sprintf("%x", sum[:8]))
}

// remember records the decided settings beside the control socket.
func remember(socket string, settings []string) error {
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		return fmt.Errorf("making the directory of control sockets: %w", err)
	}
	if !private(filepath.Dir(socket)) {
		return fmt.Errorf("the directory of control sockets %s is accessible to other users; remove it", filepath.Dir(socket))
	}
	if err := atomicfile.Write(socket+".decided", []byte(strings.Join(settings, "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("recording the decision: %w", err)
	}
	return nil
}

// private returns whether only this user can access a directory.
func private(directory string) bool {
	info, err := os.Lstat(directory)
	return err == nil && info.IsDir() && info.Mode().Perm()&0o077 == 0 && owned(info)
}

// recall returns the recorded settings of a connection that is open: its remote host cannot change.
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

// copier prepares scp and sftp. They start ssh themselves, so they are given
// the wrapper in its place, which checks the host. What the remote host would
// connect to by itself is checked here.
func (w Wrapper) copier(p Program, in invocation) ([]string, error) {
	if in.has("D") {
		return nil, refuse("%s -D runs a program instead of a connection", p)
	}
	words := []string{"-S", w.SelfSSH}
	if p == SCP && in.has("R") {
		return nil, refuse("scp -R makes one remote host connect to the other; leave it out")
	}
	for _, o := range in.without("SR") {
		words = append(words, o.words(p.grammar())...)
	}
	if p == SFTP {
		// For sftp, -R is a number of requests.
		if value, ok := in.last('R'); ok {
			words = append(words, "-R", value)
		}
	}
	return append(append(words, "--"), in.Rest...), nil
}
