// SPDX-License-Identifier: GPL-3.0-or-later

package sshguard

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Keyscan is the command line to put in place of ssh-keyscan's, and what to give
// it on its standard input: each host as the address that was checked, under the
// name that was asked for. It reads no host names from files, and no blocks of
// addresses, as nobody could say beforehand what those are.
func Keyscan(ctx context.Context, decider Decider, args []string) (instead []string, input string, err error) {
	in, err := read(SSHKeyscan, args)
	if err != nil {
		return nil, "", err
	}
	if in.has("f") {
		return nil, "", refuse("ssh-keyscan -f takes hosts from a file; name them on the command line")
	}
	port := 22
	if text, ok := in.last('p'); ok {
		if port, err = strconv.Atoi(text); err != nil || port < 1 || port > 65535 {
			return nil, "", fmt.Errorf("reading ssh-keyscan's command line: the port %q is none", text)
		}
	}
	if len(in.Rest) == 0 {
		return args, "", nil // it says how it is used
	}
	var lines strings.Builder
	for _, host := range in.Rest {
		if strings.ContainsAny(host, ", \t\r\n/#") {
			return nil, "", refuse("ssh-keyscan %q: several hosts in one word, or a block of them; name each by itself", host)
		}
		verdict := decider.Decide(ctx, host, port)
		if !verdict.Allowed || len(verdict.Addresses) == 0 {
			return nil, "", refuse("ssh-keyscan %s: %s", host, verdict.Reason)
		}
		fmt.Fprintf(&lines, "%s %s\n", verdict.Addresses[0], host)
	}
	for _, o := range in.Options {
		instead = append(instead, o.words(SSHKeyscan.grammar())...)
	}
	return append(instead, "-f", "-"), lines.String(), nil
}
