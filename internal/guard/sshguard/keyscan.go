// SPDX-License-Identifier: GPL-3.0-or-later

package sshguard

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Keyscan returns the arguments for ssh-keyscan, and its standard input: each
// host by the address that was checked, under the name that was given. Hosts in
// files and blocks of addresses are refused, since they cannot be checked.
func Keyscan(ctx context.Context, decider Decider, args []string) (prepared []string, input string, err error) {
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
			return nil, "", fmt.Errorf("ssh-keyscan port %q: must be 1-65535", text)
		}
	}
	if len(in.Rest) == 0 {
		return args, "", nil // it prints its usage
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
		prepared = append(prepared, o.words(SSHKeyscan.grammar())...)
	}
	return append(prepared, "-f", "-"), lines.String(), nil
}
