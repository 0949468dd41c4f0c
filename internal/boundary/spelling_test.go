// SPDX-License-Identifier: GPL-3.0-or-later

package boundary

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestASpellingThatProgramsReadDifferentlyIsRefusedWithWhatItMeans(t *testing.T) {
	t.Parallel()
	k := newChecker(t)
	for target, canonical := range map[string]string{
		" 192.168.1.201": "192.168.1.201", "192.168.1.201\t": "192.168.1.201", "192.168.1.201 x": "192.168.1.201", "192.168.1.201\x00": "192.168.1.201",
		"１９２.１６８.１.２０１": "192.168.1.201", "192。168。1。201": "192.168.1.201", "192．168｡1.201": "192.168.1.201", "①⑨2.168.1.201": "192.168.1.201",
		"𝟏𝟗𝟐.168.1.201": "192.168.1.201", "192.168.1.²⁰¹": "192.168.1.201", "192.168.1.\u200b201": "192.168.1.201", "192.168\u00ad.1.201": "192.168.1.201",
		"ssh://pi@192.168.1.201:22/x": "192.168.1.201", "SSH://192.168.1.201": "192.168.1.201", "ssh://a:b@c@192.168.1.201": "192.168.1.201",
		"ssh://[::ffff:192.168.1.201]:22": "192.168.1.201", "pi@192.168.1.201": "192.168.1.201", "pi@sandbox@192.168.1.201": "192.168.1.201",
		"192.168.1.201:22": "192.168.1.201", "[192.168.1.201]:22": "192.168.1.201", "[::ffff:c0a8:1c9]:2222": "192.168.1.201",
		"[192.168.1.201": "192.168.1.201", "192.168.1.201]": "192.168.1.201", "[192.168.1.201]x": "192.168.1.201",
		"ssh://%31%392.168.1.201": "192.168.1.201", "192.168.1.201:": "192.168.1.201", "192.168.1.201:99999": "192.168.1.201",
		"-192.168.1.201": "", "ssh://172.30.0.11\\@192.168.1.201": "172.30.0.11",
		"::ffff:0:192.168.1.201": "::ffff:0:c0a8:1c9", "2001:0:c0a8:1c9::": "2001:0:c0a8:1c9::", "2001:0:ac1e:b:0:0:3f57:fe36": "2001:0:ac1e:b::3f57:fe36",
		"64:ff9b:1:c0a8:1:c900::": "64:ff9b:1:c0a8:1:c900::", "64:ff9b:1:ffc0:a8:1c9::": "64:ff9b:1:ffc0:a8:1c9::", "64:ff9b:1:ffff:c0:a801:c900:0": "64:ff9b:1:ffff:c0:a801:c900:0",
		"ＰＩ１.home": "pi1.home", "pi1。home": "pi1.home",
	} {
		v := k.Decide(t.Context(), hostTarget(target))
		assert.False(t, v.Allowed, target)
		assert.NotNil(t, v.Resolved, target)
		assert.Equal(t, canonical, v.Canonical, target)
		if canonical != "" && canonical != "172.30.0.11" {
			assert.NotNil(t, v.Rule, "%q: %s", target, v.Reason)
		}
	}
	// The same with the sandbox's address: it may only refuse, since it is not known who reads it how.
	for _, target := range []string{" 172.30.0.11", "１72.30.0.11", "172。30.0.11", "[172.30.0.11", "172.30.0.11:0", "ssh://%3172.30.0.11", "172.30.0.11\n", "nöde.test"} {
		v := k.Decide(t.Context(), hostTarget(target))
		assert.False(t, v.Allowed, target)
		assert.Contains(t, v.Reason, "neither an address nor a plain host name", target)
	}
	for _, target := range []string{"pi@172.30.0.11", "ssh://pi@node.test:22", "[172.30.0.11]:2222", "node.test:22", "ssh://[fd00:5a::1]/", "sftp://node.test"} {
		assert.True(t, k.Decide(t.Context(), hostTarget(target)).Allowed, target)
	}
}

func TestInternationalNamesAreWrittenAsResolversDo(t *testing.T) {
	t.Parallel()
	// Labels of RFC 3492 and of well-known names.
	for text, wanted := range map[string]string{
		"bücher": "xn--bcher-kva", "münchen.example": "xn--mnchen-3ya.example", "例え.テスト": "xn--r8jz45g.xn--zckzah", "NÖDE.test": "xn--nde-sna.test",
		"他们为什么不说中文": "xn--ihqwcrb4cv8a8dqg056pqjye", "почемужеонинеговорятпорусски": "xn--b1abfaaepdrnnbgefbadotcwatmq2g4l", "Ｎode.test": "node.test",
	} {
		got, unusual := fold(text)
		assert.True(t, unusual)
		assert.Equal(t, wanted, got)
	}
	_, unusual := fold("node.test")
	assert.False(t, unusual)
}

// reached lists what the resolvers of C libraries make of a text as a number:
// the strictest, and those that stop at a blank, take 8 and 9 for octal
// digits, or let leading blanks pass. It shares no code with canonical.
func reached(text string) []netip.Addr {
	var all []netip.Addr
	for _, cut := range []string{text, strings.TrimLeft(text, " \t\n\v\f\r")} {
		if at := strings.IndexAny(cut, " \t\n\v\f\r"); at >= 0 {
			cut = cut[:at]
		}
		for _, wide := range []bool{false, true} {
			if a, ok := aton(cut, wide); ok {
				all = append(all, a)
			}
		}
		cut, _, _ = strings.Cut(cut, "%")
		if a, err := netip.ParseAddr(cut); err == nil {
			all = append(all, a.Unmap())
		}
	}
	return all
}

func aton(text string, wide bool) (netip.Addr, bool) {
	var parts []uint64
	for {
		base, digits := uint64(10), 0
		if strings.HasPrefix(text, "0x") || strings.HasPrefix(text, "0X") {
			base, text = 16, text[2:]
			digits = 1 // a bare 0x is zero to some
		} else if strings.HasPrefix(text, "0") {
			base = 8
		}
		value := uint64(0)
		for text != "" {
			var d uint64
			if c := text[0]; c >= '0' && c <= '9' {
				d = uint64(c - '0')
			} else if c >= 'a' && c <= 'f' {
				d = uint64(c-'a') + 10
			} else if c >= 'A' && c <= 'F' {
				d = uint64(c-'A') + 10
			} else {
				break
			}
			if d >= base && !(wide && base == 8 && d < 10) {
				return netip.Addr{}, false
			}
			if value = value*base + d; value > 1<<32 {
				return netip.Addr{}, false
			}
			digits++
			text = text[1:]
		}
		if digits == 0 {
			return netip.Addr{}, false
		}
		parts = append(parts, value)
		if text == "" {
			break
		}
		if text[0] != '.' || len(parts) == 4 {
			return netip.Addr{}, false
		}
		text = text[1:]
	}
	last := len(parts) - 1
	value := parts[last]
	if value >= 1<<(8*(4-last)) {
		return netip.Addr{}, false
	}
	for i, part := range parts[:last] {
		if part > 255 {
			return netip.Addr{}, false
		}
		value |= part << (8 * (3 - i))
	}
	return netip.AddrFrom4([4]byte{byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}), true
}

// spell writes an address in one of the many ways.
func spell(r *rand.Rand, a [4]byte) string {
	number := func(n uint64) string {
		switch r.IntN(5) {
		case 0:
			return fmt.Sprintf("0%s%o", strings.Repeat("0", r.IntN(3)), n)
		case 1:
			return fmt.Sprintf("0x%s%x", strings.Repeat("0", r.IntN(3)), n)
		case 2:
			return fmt.Sprintf("0X%X", n)
		}
		return fmt.Sprint(n)
	}
	parts := 1 + r.IntN(4)
	var words []string
	for i := range parts - 1 {
		words = append(words, number(uint64(a[i])))
	}
	rest := uint64(0)
	for _, b := range a[parts-1:] {
		rest = rest<<8 | uint64(b)
	}
	text := strings.Join(append(words, number(rest)), ".")
	switch r.IntN(12) {
	case 0:
		return "::ffff:" + netip.AddrFrom4(a).String()
	case 1:
		return fmt.Sprintf("64:ff9b::%x:%x", uint16(a[0])<<8|uint16(a[1]), uint16(a[2])<<8|uint16(a[3]))
	case 2: // damage it
		at := r.IntN(len(text))
		return text[:at] + string("0123456789abcdefxX.: %[]@\t"[r.IntN(26)]) + text[at:]
	case 3:
		return text + []string{".", " ", "%lo", "\n", " x", ":22"}[r.IntN(6)]
	}
	return text
}

func TestWhatTheSystemTakesForAProductionAddressIsRefused(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	var texts []string
	for range 20000 {
		a := [4]byte{192, 168, 1, byte(200 + r.IntN(5))}
		if r.IntN(3) == 0 {
			a = [4]byte{172, 30, 0, byte(r.IntN(256))}
		}
		texts = append(texts, spell(r, a))
	}
	k, read := newChecker(t), systemReads(t)
	understood := 0
	for _, text := range texts {
		for _, address := range read(t, text) {
			understood++
			checkReached(t, k, text, address)
		}
		for _, address := range reached(text) {
			checkReached(t, k, text, address)
		}
	}
	assert.Greater(t, understood, 10000)
}

// systemReads starts a process that reads addresses by getaddrinfo(3) with
// AI_NUMERICHOST, which asks nobody, and returns how to ask it.
func systemReads(t testing.TB) func(t *testing.T, text string) []netip.Addr {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "python3", "-uc", `
import json, socket, sys
for line in sys.stdin:
    try:
        print(" ".join(sorted({i[4][0] for i in socket.getaddrinfo(json.loads(line), None, flags=socket.AI_NUMERICHOST)})))
    except (OSError, UnicodeError, ValueError):
        print()
`)
	cmd.Stderr = os.Stderr
	questions, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _, _ = questions.Close(), cmd.Wait() })
	answers := bufio.NewScanner(out)
	return func(t *testing.T, text string) (all []netip.Addr) {
		question, err := json.Marshal(text)
		require.NoError(t, err)
		_, err = questions.Write(append(question, '\n'))
		require.NoError(t, err)
		require.True(t, answers.Scan(), "the process that asks getaddrinfo has ended")
		for _, address := range strings.Fields(answers.Text()) {
			all = append(all, netip.MustParseAddr(strings.Split(address, "%")[0]))
		}
		return all
	}
}

// checkReached fails the test if the checker allows a text that resolves to address, or pins it to another address.
func checkReached(t *testing.T, k Checker, text string, address netip.Addr) {
	t.Helper()
	d := k.Decide(context.Background(), hostTarget(text))
	production, sandbox := false, false
	for _, inside := range Embedded(address.Unmap()) {
		for _, rule := range k.Manifest.Production.Addresses {
			production = production || rule.Contains(inside)
		}
	}
	for _, rule := range k.Manifest.Sandbox.Addresses {
		sandbox = sandbox || rule.Contains(address.Unmap())
	}
	if d.Allowed && (production || !sandbox) {
		t.Fatalf("%q leads to %s, but is allowed as %s", text, address, d.Pinned)
	}
	if d.Allowed && d.Pinned != address.Unmap().String() && !strings.Contains(d.Pinned, "%") {
		t.Fatalf("%q leads to %s, but is pinned to %s", text, address, d.Pinned)
	}
	if production && d.Rule == nil && !strings.ContainsAny(text, "@:/%[]") {
		t.Fatalf("%q leads to %s, which is production, but the refusal does not say so: %s", text, address, d.Reason)
	}
}

// FuzzDecideAton: for any string, if any C library reaches a production address with it, the checker refuses it.
func FuzzDecideAton(f *testing.F) {
	for _, seed := range []string{"192.168.1.201", "0300.0250.1.0311", "3232235977", "0xc0.0xa8.457", "192.168.1.201 x", " 192.168.1.201", "192.168.1.0311", "::ffff:c0a8:1c9%lo", "0x", "0x.0", "030052000711", "192.168.1.0319"} {
		f.Add(seed)
	}
	k := newChecker(f)
	f.Fuzz(func(t *testing.T, text string) {
		for _, address := range reached(text) {
			checkReached(t, k, text, address)
		}
	})
}

// FuzzDecideNumeric: for any string, if the resolver of this system reaches a
// production address with it, the checker refuses it.
func FuzzDecideNumeric(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		f.Add(spell(r, [4]byte{192, 168, 1, byte(200 + r.IntN(5))}))
	}
	k, read := newChecker(f), systemReads(f)
	f.Fuzz(func(t *testing.T, text string) {
		for _, address := range read(t, text) {
			checkReached(t, k, text, address)
		}
	})
}

// FuzzDecideKinds: no text of any kind makes the checker panic, hand out a
// decision without reason, or allow what resolves to production.
func FuzzDecideKinds(f *testing.F) {
	kinds := []Kind{Host, Endpoint, Address, HostKey, MachineID, Hostname, Kube, Vault, KeyFile, Git, TofuState, TofuProvider, DNSZone, Database, Environment}
	for i, seed := range []string{"a", "node.test:22", "::1", "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU", "0123456789abcdef0123456789abcdef", "pi1", "https://[::1]:6443",
		"http://192.168.1.201:8200", "/x", "git@node.test:a/b", "gcs:a/b", "ovh", "a.fr", "postgres://u:p@node.test,prod.test/x?host=a", "X"} {
		f.Add(i, seed)
	}
	k := newChecker(f)
	f.Fuzz(func(t *testing.T, kind int, text string) {
		of := kinds[uint(kind)%uint(len(kinds))]
		d := k.Decide(context.Background(), Target{Kind: of, Value: text})
		if d.Reason == "" || d.Kind != of || d.Explain() == "" {
			t.Fatalf("%s %q: %+v", of, text, d)
		}
		if d.Allowed && d.Rule == nil {
			t.Fatalf("%s %q: allowed without a rule", of, text)
		}
		if !d.Allowed && d.Pinned != "" {
			t.Fatalf("%s %q: pinned though refused", of, text)
		}
		for _, text := range d.Addresses {
			for _, inside := range Embedded(netip.MustParseAddr(text)) {
				for _, rule := range k.Manifest.Production.Addresses {
					if d.Allowed && rule.Contains(inside) {
						t.Fatalf("%s %q: allowed though %s is production", of, text, inside)
					}
				}
			}
		}
	})
}

// BenchmarkDecideTenThousand is what `check` does with an inventory of ten thousand hosts.
func BenchmarkDecideTenThousand(b *testing.B) {
	m, err := Load("../../inventory/sandbox/boundary.yml")
	require.NoError(b, err)
	k := Checker{Manifest: m}
	targets := make([]string, 10000)
	for i := range targets {
		targets[i] = fmt.Sprintf("172.30.%d.%d", i>>8, i&255)
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, target := range targets {
			if !k.Decide(b.Context(), hostTarget(target)).Allowed {
				b.Fatal(target)
			}
		}
	}
}

func TestWhatSSHTakesForAProductionAddressIsRefused(t *testing.T) {
	t.Parallel()
	k := newChecker(t)
	r := rand.New(rand.NewPCG(3, 4))
	texts := []string{
		"ssh://192.168.1.201", "ssh://pi@3232235977:2222", "ssh://[::ffff:192.168.1.201]", "pi@0300.0250.1.0311", "ssh://pi@172.30.0.11@192.168.1.201",
		"[192.168.1.201]", "192.168.1.201.", "ssh://%31%39%32.168.1.201", "::ffff:c0a8:1c9", "PI1.HOME", "172.30.0.11@192.168.1.201", "x:y@192.168.1.201",
	}
	for range 200 {
		texts = append(texts, spell(r, [4]byte{192, 168, 1, byte(200 + r.IntN(5))}))
	}
	told := 0
	for _, text := range texts {
		if strings.ContainsRune(text, '\n') {
			continue // no argument that a play could give
		}
		// -G prints what ssh would do, and connects to nothing.
		out, err := exec.CommandContext(t.Context(), "ssh", "-G", "-F", "/dev/null", text).Output()
		if err != nil {
			continue // ssh refuses it as well
		}
		for line := range strings.Lines(string(out)) {
			host, ok := strings.CutPrefix(strings.TrimSpace(line), "hostname ")
			if !ok {
				continue
			}
			told++
			for _, address := range reached(strings.Trim(host, "[]")) {
				checkReached(t, k, text, address)
			}
			if strings.EqualFold(host, "pi1.home") {
				assert.False(t, k.Decide(t.Context(), hostTarget(text)).Allowed, text)
			}
		}
	}
	assert.Greater(t, told, 100)
}
