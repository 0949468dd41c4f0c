// SPDX-License-Identifier: GPL-3.0-or-later

package driver

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/route"
)

// PublicKey is an SSH public key.
type PublicKey struct {
	Type        string // as OpenSSH names it: ssh-ed25519
	Key         string // base64
	Fingerprint string // SHA256:..., as ssh-keygen -l prints it
}

// ParsePublicKey reads a line of an OpenSSH public key file.
func ParsePublicKey(line string) (PublicKey, error) {
	words := strings.Fields(line)
	if len(words) < 2 {
		return PublicKey{}, fmt.Errorf("%w: %q is not an SSH public key: it should be like `ssh-ed25519 AAAA... comment`", ErrInvalid, line)
	}
	raw, err := base64.StdEncoding.DecodeString(words[1])
	if err != nil || len(raw) < 4+len(words[0]) || string(raw[4:4+len(words[0])]) != words[0] {
		return PublicKey{}, fmt.Errorf("%w: %q is not an SSH public key: it should be like `ssh-ed25519 AAAA... comment`", ErrInvalid, line)
	}
	sum := sha256.Sum256(raw)
	return PublicKey{
		Type: words[0], Key: words[1],
		Fingerprint: "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]),
	}, nil
}

// knownHost returns the name of an SSH server in known_hosts.
func knownHost(host string, port int) string {
	if port == 22 {
		return host
	}
	return fmt.Sprintf("[%s]:%d", host, port)
}

// knownHosts returns the machine's lines of known_hosts: for its address in its
// network and, if different, for the address that the controller uses. The comment
// is the machine's name, by which knownHostsOf finds the lines.
func (m Machine) knownHosts() []string {
	names := []string{}
	if m.Address != "" {
		names = append(names, knownHost(m.Address, 22))
	}
	if name := knownHost(m.SSHHost, m.SSHPort); m.SSHHost != "" && name != m.Address {
		names = append(names, name)
	}
	lines := make([]string, 0, len(m.HostKeys))
	for _, key := range m.HostKeys {
		lines = append(lines, strings.Join(names, ",")+" "+key.Type+" "+key.Key+" "+m.Name)
	}
	return lines
}

// waitSSH waits until an SSH server sends its banner at host:port. The error has
// the last failure. It does not log in: images of this collection accept logins as
// soon as sshd listens.
func waitSSH(ctx context.Context, host string, port int, limit time.Duration) error {
	started := time.Now()
	deadline := started.Add(limit)
	endpoint := net.JoinHostPort(host, strconv.Itoa(port))
	// What answers elsewhere is not the machine.
	if err := route.Check(host); err != nil {
		return fmt.Errorf("%w at %s: %w", ErrNoSSH, endpoint, err)
	}
	var last string
	for {
		seen, err := greet(ctx, endpoint, deadline)
		if err == nil {
			return nil
		}
		last = seen
		if ctx.Err() != nil {
			return fmt.Errorf("%w at %s: stopped after %s; last seen: %s: %w", ErrNoSSH, endpoint, time.Since(started).Round(time.Second), last, ctx.Err())
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w at %s within %s; last seen: %s", ErrNoSSH, endpoint, limit, last)
		}
		select {
		case <-ctx.Done():
		case <-time.After(40 * time.Millisecond):
		}
	}
}

func greet(ctx context.Context, endpoint string, deadline time.Time) (string, error) {
	dialer := net.Dialer{Timeout: min(time.Second, max(time.Until(deadline), 10*time.Millisecond))}
	conn, err := dialer.DialContext(ctx, "tcp", endpoint)
	if err != nil {
		return err.Error(), err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(dialer.Timeout)); err != nil {
		return err.Error(), err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	line = strings.TrimSpace(line)
	switch {
	case strings.HasPrefix(line, "SSH-"):
		return line, nil
	case line != "":
		return fmt.Sprintf("a server that sent %.60q", line), fmt.Errorf("not an SSH server")
	case err != nil:
		return "connected, but no greeting: " + err.Error(), err
	}
	return "connected, but an empty greeting", fmt.Errorf("no greeting")
}
