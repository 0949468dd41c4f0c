// SPDX-License-Identifier: GPL-3.0-or-later

package sshguard

import (
	"fmt"
	"slices"
	"strings"
)

// Program is a program of OpenSSH that is wrapped.
type Program string

// The programs of OpenSSH that connect.
const (
	SSH        Program = "ssh"
	SCP        Program = "scp"
	SFTP       Program = "sftp"
	SSHKeyscan Program = "ssh-keyscan"
)

// grammar is the flags of a program: those with a value, and those without.
// Source: the getopt strings of OpenSSH 8.9 to 10.0. A flag whose meaning differs
// between them (ssh's P) is in neither, and is refused.
type grammar struct{ valued, plain string }

func (p Program) grammar() grammar {
	switch p {
	case SCP:
		return grammar{valued: "cDFiJlMoPSX", plain: "12346ABCOpqRrTv"}
	case SFTP:
		return grammar{valued: "BbcDFiJlMoPRSsX", plain: "1246AaCfhNpqrv"}
	case SSHKeyscan:
		return grammar{valued: "fOpTt", plain: "46cDHqv"}
	default:
		return grammar{valued: "BbcDEeFIiJLlmOopQRSWw", plain: "1246AaCfGgKkMNnqsTtVvXxYy"}
	}
}

// option is one option of a command line; Value is empty for those without.
type option struct {
	Letter byte
	Value  string
}

// words returns the option as arguments.
func (o option) words(g grammar) []string {
	if strings.IndexByte(g.valued, o.Letter) >= 0 {
		return []string{"-" + string(o.Letter), o.Value}
	}
	return []string{"-" + string(o.Letter)}
}

// invocation is a parsed command line.
type invocation struct {
	Options     []option
	Destination string   // of ssh only: [user@]host or ssh://…
	Rest        []string // ssh: the remote command; scp and sftp: the operands
}

// read parses a command line as the program's getopt does. ssh reads options
// behind the destination too, up to the first other word, unless -- came before.
func read(p Program, args []string) (invocation, error) {
	g := p.grammar()
	var in invocation
	rest, ended := args, false
	options := func() error {
		for len(rest) > 0 {
			word := rest[0]
			if word == "--" {
				rest, ended = rest[1:], true
				return nil
			}
			if len(word) < 2 || word[0] != '-' {
				return nil
			}
			rest, ended = rest[1:], false
			for i := 1; i < len(word); i++ {
				letter := word[i]
				switch {
				case strings.IndexByte(g.plain, letter) >= 0:
					in.Options = append(in.Options, option{Letter: letter})
				case strings.IndexByte(g.valued, letter) >= 0:
					value := word[i+1:]
					if value == "" {
						if len(rest) == 0 {
							return fmt.Errorf("%s option -%c: no value", p, letter)
						}
						value, rest = rest[0], rest[1:]
						// ssh compares the last word before the destination, even if it is a value.
						ended = value == "--"
					}
					in.Options = append(in.Options, option{letter, value})
					i = len(word)
				case p == SSH && letter == 'P':
					return fmt.Errorf("ssh option -P: its meaning depends on the version of ssh; for a tag, write -o Tag=NAME")
				default:
					return fmt.Errorf("%s option -%c: unknown, so the guard cannot tell where it leads", p, letter)
				}
			}
		}
		return nil
	}
	if err := options(); err != nil {
		return in, err
	}
	if p == SSH && len(rest) > 0 {
		in.Destination, rest = rest[0], rest[1:]
		if in.Destination == "" {
			// ssh would connect to the HostName of its configuration.
			return in, fmt.Errorf("%s: empty destination; name a host", p)
		}
		if !ended {
			if err := options(); err != nil {
				return in, err
			}
		}
	}
	in.Rest = slices.Clone(rest)
	return in, nil
}

// has returns whether one of the flags is given.
func (in invocation) has(letters string) bool {
	return slices.ContainsFunc(in.Options, func(o option) bool { return strings.IndexByte(letters, o.Letter) >= 0 })
}

// last returns the value of the last option with that flag.
func (in invocation) last(letter byte) (string, bool) {
	for _, o := range slices.Backward(in.Options) {
		if o.Letter == letter {
			return o.Value, true
		}
	}
	return "", false
}

// without returns the options except those flags.
func (in invocation) without(letters string) []option {
	return slices.DeleteFunc(slices.Clone(in.Options), func(o option) bool { return strings.IndexByte(letters, o.Letter) >= 0 })
}

// keyValue splits "Key=value" or "Key value" as ssh reads -o; the key is in lower case.
func keyValue(text string) (key, value string) {
	text = strings.TrimLeft(text, " \t\r\n\f\"")
	end := strings.IndexAny(text, " \t=\"")
	if end < 0 {
		return strings.ToLower(text), ""
	}
	key, value = strings.ToLower(text[:end]), strings.TrimLeft(text[end:], "\" \t")
	value = strings.TrimLeft(strings.TrimPrefix(value, "="), " \t")
	return key, value
}
