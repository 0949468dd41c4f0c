// SPDX-License-Identifier: GPL-3.0-or-later

package references

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"strings"

	"github.com/arcodange-org/sandbox/internal/boundary"
)

// keys reads a file with keys: known_hosts, public keys, a private key. Any other file counts as unseal keys of a Vault, and is checked by its path.
func (r Reader) keys(file string) []Finding {
	data, err := read(file)
	if err != nil {
		return []Finding{problem("key file", file, "it cannot be read (%s)", reason(err))}
	}
	if block, _ := pem.Decode(data); block != nil && strings.HasSuffix(block.Type, "PRIVATE KEY") {
		return privateKey(file, block)
	}
	if !bytes.Contains(data, []byte(" AAAA")) {
		return []Finding{target(boundary.KeyFile, file, file)}
	}
	var found []Finding
	number := 0
	for line := range bytes.Lines(data) {
		number++
		text := strings.TrimSpace(string(line))
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		found = append(found, publicKey(text, at(file, number))...)
	}
	return found
}

// publicKey reads a line of known_hosts, of a .pub file or of authorized_keys.
func publicKey(line, from string) []Finding {
	if strings.HasPrefix(line, "@revoked") {
		return nil
	}
	line = strings.TrimSpace(strings.TrimPrefix(line, "@cert-authority"))
	fingerprint, err := boundary.Fingerprint(line)
	if err != nil {
		return []Finding{problem("key", from, "it cannot be read")}
	}
	found := []Finding{known(boundary.HostKey, fingerprint, from)}
	hosts, _, _ := strings.Cut(line, " ")
	if isKeyType(hosts) || strings.Contains(hosts, "=") || strings.HasPrefix(hosts, "|") {
		return found // without readable hosts (a .pub file, authorized_keys, hashed hosts) only the key is checked
	}
	for _, host := range strings.Split(hosts, ",") {
		switch {
		case strings.HasPrefix(host, "!"):
		case strings.ContainsAny(host, "*?"):
			found = append(found, problem(host, from, "it is a pattern that matches hosts outside the sandbox"))
		default:
			found = append(found, target(boundary.Host, host, from))
		}
	}
	return found
}

func isKeyType(word string) bool {
	for _, prefix := range []string{"ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"} {
		if strings.HasPrefix(word, prefix) {
			return true
		}
	}
	return false
}

// privateKey identifies a private key by its public key, which OpenSSH's format contains in clear text.
func privateKey(file string, block *pem.Block) []Finding {
	const magic = "openssh-key-v1\x00"
	if rest, ok := bytes.CutPrefix(block.Bytes, []byte(magic)); ok && block.Type == "OPENSSH PRIVATE KEY" {
		for range 3 { // cipher, key derivation, its options
			if _, rest, ok = cutString(rest); !ok {
				break
			}
		}
		if ok && len(rest) >= 4 { // the number of keys, then the first
			if key, _, ok := cutString(rest[4:]); ok {
				f, err := boundary.Fingerprint(base64.StdEncoding.EncodeToString(key))
				if err == nil {
					return []Finding{known(boundary.HostKey, f, file)}
				}
			}
		}
		return []Finding{problem("private key", file, "it cannot be read")}
	}
	data, err := read(file + ".pub")
	if err != nil {
		return []Finding{problem("private key", file, "its format does not contain the public key, and %s.pub does not exist", file)}
	}
	return publicKey(strings.TrimSpace(string(data)), file+".pub:1")
}

// cutString splits off a string of the SSH wire format: four bytes of length, then the bytes.
func cutString(data []byte) (field, rest []byte, ok bool) {
	if len(data) < 4 {
		return nil, nil, false
	}
	length := binary.BigEndian.Uint32(data)
	if uint64(length) > uint64(len(data)-4) {
		return nil, nil, false
	}
	return data[4 : 4+length], data[4+length:], true
}
