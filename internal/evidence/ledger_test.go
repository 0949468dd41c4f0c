// SPDX-License-Identifier: GPL-3.0-or-later

package evidence

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/arcodange-org/sandbox/internal/run"
	"github.com/arcodange-org/sandbox/internal/tree"
)

// child makes the test binary a writer that says each record it has written.
const child = "EVIDENCE_TEST_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(child); path != "" {
		write1(path)
	}
	os.Exit(m.Run())
}

// write1 appends until it is killed, or EVIDENCE_TEST_COUNT records are written.
func write1(path string) {
	signal.Ignore(syscall.SIGXFSZ) // a file at its limit is to be an error, as on a full disk
	if limit, err := strconv.ParseUint(os.Getenv("EVIDENCE_TEST_LIMIT"), 10, 64); err == nil {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
			panic(err)
		}
	}
	count, err := strconv.Atoi(os.Getenv("EVIDENCE_TEST_COUNT"))
	if err != nil {
		count = -1
	}
	var sign Signer
	if key := os.Getenv("EVIDENCE_TEST_KEY"); key != "" {
		sign = SSHSigner(run.Exec{}, key)
	}
	book := &Ledger{Path: path, Now: time.Now}
	for n := 0; n != count; n++ {
		entry, err := book.Append(context.Background(), sample(n), sign)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(entry.Sequence)
	}
	os.Exit(0)
}

func sample(n int) Record {
	return Record{
		What: "idempotence_gate", Verdict: Green, Summary: fmt.Sprintf("run %d: <nothing> & \"nobody\" changed", n),
		Trees:    []tree.State{{Repository: "factory", Commit: strings.Repeat("a", 40), Tree: strings.Repeat("b", 40)}},
		Versions: map[string]string{"ansible-core": "2.21.0", "k3s": "v1.34.3"}, Duration: time.Duration(n) * time.Second,
		Mode: "vm", Driver: "docker", Distribution: "embedded",
	}
}

// book is a ledger with that many records in a folder of its own.
func book(t testing.TB, records int, sign Signer) *Ledger {
	t.Helper()
	dir := t.TempDir()
	now := time.Date(2026, 11, 1, 22, 0, 0, 0, time.UTC)
	l := &Ledger{Path: filepath.Join(dir, "ledger.jsonl"), Anchors: filepath.Join(dir, "elsewhere"), Now: func() time.Time {
		now = now.Add(time.Minute)
		return now
	}}
	for n := range records {
		entry, err := l.Append(t.Context(), sample(n), sign)
		require.NoError(t, err)
		require.Equal(t, n+1, entry.Sequence)
	}
	return l
}

func content(t *testing.T, l *Ledger) []string {
	t.Helper()
	data, err := os.ReadFile(l.Path)
	require.NoError(t, err)
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

func put(t *testing.T, l *Ledger, lines []string) {
	t.Helper()
	require.NoError(t, os.WriteFile(l.Path, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
}

// again computes the chain anew from the given lines, as somebody would who knows how it is made.
func again(t *testing.T, lines []string, sign Signer) []string {
	t.Helper()
	var out []string
	previous := ""
	for i, text := range lines {
		entry, err := parse([]byte(text))
		require.NoError(t, err)
		entry.Sequence, entry.Previous, entry.Signature = i+1, previous, ""
		raw, err := seal(t.Context(), &entry, sign)
		require.NoError(t, err)
		previous = entry.Hash
		out = append(out, strings.TrimSuffix(string(raw), "\n"))
	}
	return out
}

func TestAnUntouchedLedgerVerifies(t *testing.T) {
	t.Parallel()
	l := book(t, 20, nil)
	result, err := l.Verify(t.Context(), Check{})
	require.NoError(t, err)
	assert.Empty(t, result.Problems)
	assert.Equal(t, 20, result.Records)
	entries, err := Read(l.Path)
	require.NoError(t, err)
	require.Len(t, entries, 20)
	for i, entry := range entries {
		assert.Equal(t, sample(i).Summary, entry.Summary)
		assert.Equal(t, sample(i).Trees, entry.Trees)
		assert.Equal(t, sample(i).Duration, entry.Duration)
		assert.Equal(t, time.UTC, entry.Time.Location())
	}
	info, err := os.Stat(l.Path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestTampering(t *testing.T) {
	t.Parallel()
	replace := func(old, fresh string) func(*testing.T, []string) []string {
		return func(t *testing.T, lines []string) []string {
			require.Contains(t, lines[4], old)
			lines[4] = strings.Replace(lines[4], old, fresh, 1)
			return lines
		}
	}
	for _, c := range []struct {
		name   string
		do     func(*testing.T, []string) []string
		kind   problemKind
		record int
		only   bool // nothing else is said
	}{
		{"red made green", replace(`"green"`, `"red"`), recordChanged, 5, true},
		{"a tree exchanged", replace("bbbb", "cccc"), recordChanged, 5, true},
		{"the time of a record", replace(`"time":"2026-11`, `"time":"2026-12`), recordChanged, 5, true},
		{"a blank within a record", replace(`"verdict":`, `"verdict": `), recordChanged, 5, true},
		{"a blank beside a record", replace(`,"hash":`, `, "hash":`), recordChanged, 5, true},
		{"a second verdict beside the record", replace(`,"hash":`, `,"verdict":"green","hash":`), recordChanged, 5, true},
		{"a second body in the line", replace(`{"body":`, `{"body":{"sequence":5,"what":"x","verdict":"green"},"body":`), recordChanged, 5, true},
		{"a hash of zeros", func(t *testing.T, lines []string) []string {
			at := strings.LastIndex(lines[4], `"hash":"`) + len(`"hash":"`)
			lines[4] = lines[4][:at] + strings.Repeat("0", 64) + lines[4][at+64:]
			return lines
		}, recordChanged, 5, true},
		{"a record changed and its own hash computed anew", func(t *testing.T, lines []string) []string {
			entry, err := parse([]byte(lines[4]))
			require.NoError(t, err)
			entry.Verdict = Red
			raw, err := seal(t.Context(), &entry, nil)
			require.NoError(t, err)
			lines[4] = strings.TrimSuffix(string(raw), "\n")
			return lines
		}, recordChanged, 5, true},
		{"the last record changed and its own hash computed anew", func(t *testing.T, lines []string) []string {
			entry, err := parse([]byte(lines[9]))
			require.NoError(t, err)
			entry.Verdict = Red
			raw, err := seal(t.Context(), &entry, nil)
			require.NoError(t, err)
			lines[9] = strings.TrimSuffix(string(raw), "\n")
			return lines
		}, recordForged, 10, true},
		{"half a line", func(_ *testing.T, lines []string) []string { lines[4] = lines[4][:len(lines[4])/2]; return lines }, recordChanged, 0, false},
		{"an empty line", func(_ *testing.T, lines []string) []string {
			return append(append(append([]string{}, lines[:5]...), ""), lines[5:]...)
		}, recordChanged, 0, true},
		{"the first record removed", func(_ *testing.T, lines []string) []string { return lines[1:] }, recordRemoved, 1, true},
		{"one in the middle removed", func(_ *testing.T, lines []string) []string { return append(lines[:4:4], lines[5:]...) }, recordRemoved, 5, true},
		{"three in the middle removed", func(_ *testing.T, lines []string) []string { return append(lines[:4:4], lines[7:]...) }, recordRemoved, 5, true},
		{"the last removed", func(_ *testing.T, lines []string) []string { return lines[:9] }, recordRemoved, 10, true},
		{"the last three removed", func(_ *testing.T, lines []string) []string { return lines[:7] }, recordRemoved, 8, true},
		{"two exchanged", func(_ *testing.T, lines []string) []string { lines[3], lines[4] = lines[4], lines[3]; return lines }, recordReordered, 4, true},
		{"the last put first", func(_ *testing.T, lines []string) []string { return append([]string{lines[9]}, lines[:9]...) }, recordReordered, 1, false},
		{"a green one repeated at the end", func(_ *testing.T, lines []string) []string { return append(lines, lines[4]) }, recordForged, 5, true},
		{"one removed and the rest computed anew", func(t *testing.T, lines []string) []string {
			return again(t, append(lines[:4:4], lines[5:]...), nil)
		}, recordRemoved, 10, true},
		{"one exchanged for another, and the rest computed anew", func(t *testing.T, lines []string) []string {
			lines[4] = lines[3]
			return again(t, lines, nil)
		}, recordForged, 10, true},
		{"one added, and the rest computed anew", func(t *testing.T, lines []string) []string {
			return again(t, append(lines[:4:4], append([]string{lines[4]}, lines[4:]...)...), nil)
		}, recordForged, 10, true},
		{"a number that is none", replace(`"sequence":5`, `"sequence":-5`), recordChanged, -5, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := book(t, 10, nil)
			put(t, l, c.do(t, content(t, l)))
			result, err := l.Verify(t.Context(), Check{})
			require.NoError(t, err)
			require.NotEmpty(t, result.Problems)
			said := false
			for _, problem := range result.Problems {
				said = said || problem.Kind == c.kind && problem.Sequence == c.record
			}
			assert.True(t, said, "%v", result.Problems)
			if c.only {
				assert.Len(t, result.Problems, 1, "%v", result.Problems)
			}
		})
	}
}

func TestTheSecondHeadRevealsRecordsThatWereRemovedWithTheFirst(t *testing.T) {
	t.Parallel()
	l := book(t, 5, nil)
	lines := content(t, l)
	entry, err := parse([]byte(lines[2]))
	require.NoError(t, err)
	put(t, l, lines[:3])
	require.NoError(t, writeHead(l.Path+".head", headFile{Head: Head{Sequence: 3, Hash: entry.Hash}}))
	result, err := l.Verify(t.Context(), Check{})
	require.NoError(t, err)
	require.Len(t, result.Problems, 1)
	assert.Equal(t, Problem{Kind: recordRemoved, Sequence: 4, Line: 4, Message: "records 4 to 5 were removed"}, result.Problems[0])

	_, err = l.Append(t.Context(), sample(9), nil)
	require.ErrorContains(t, err, "it ends with record 3, and had 5")
	assert.Len(t, content(t, l), 3, "nothing is written onto an end that does not fit")

	require.NoError(t, os.RemoveAll(l.Anchors))
	result, err = l.Verify(t.Context(), Check{Heads: []Head{{Sequence: 5, Hash: strings.Repeat("0", 64)}}})
	require.NoError(t, err)
	assert.Len(t, result.Problems, 1, "a head that was noted elsewhere tells of it too")
}

func TestALedgerWithoutAHeadIsNotTrusted(t *testing.T) {
	t.Parallel()
	l := book(t, 5, nil)
	require.NoError(t, os.Remove(l.Path+".head"))
	require.NoError(t, os.RemoveAll(l.Anchors))
	result, err := l.Verify(t.Context(), Check{})
	require.NoError(t, err)
	require.Len(t, result.Problems, 1)
	assert.Equal(t, headMissing, result.Problems[0].Kind)
	result, err = l.Verify(t.Context(), Check{AllowMissingHead: true})
	require.NoError(t, err)
	assert.Empty(t, result.Problems)
}

func TestTheHeadNextToTheLedgerAloneIsNotEnough(t *testing.T) {
	t.Parallel()
	l := book(t, 5, nil)
	result, err := l.Verify(t.Context(), Check{})
	require.NoError(t, err)
	assert.Empty(t, result.Problems)
	assert.True(t, result.Anchored)
	lines := content(t, l)
	entry, err := parse([]byte(lines[2]))
	require.NoError(t, err)
	put(t, l, lines[:3])
	require.NoError(t, writeHead(l.Path+".head", headFile{Head: Head{Sequence: 3, Hash: entry.Hash}}))
	require.NoError(t, os.RemoveAll(l.Anchors))
	result, err = l.Verify(t.Context(), Check{})
	require.NoError(t, err)
	require.Len(t, result.Problems, 1)
	assert.Equal(t, headMissing, result.Problems[0].Kind)
	assert.Contains(t, result.Problems[0].Message, "the second head "+l.heads()[1]+" is missing")
	assert.False(t, result.Anchored)
	for name, check := range map[string]Check{"AllowMissingHead": {AllowMissingHead: true}, "a head noted elsewhere": {Heads: []Head{{Sequence: 3, Hash: entry.Hash}}}} {
		result, err = l.Verify(t.Context(), check)
		require.NoError(t, err)
		assert.Empty(t, result.Problems, name)
	}
}

func TestALedgerHasOneSecondHeadForAllSpellingsOfItsPath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "kept"), 0o700))
	require.NoError(t, os.Symlink("kept", filepath.Join(dir, "linked")))
	heads := func(path string) []string {
		l, err := Open(filepath.Join(dir, path))
		require.NoError(t, err)
		return l.heads()
	}
	assert.Equal(t, heads("kept/ledger.jsonl"), heads("linked/ledger.jsonl"))
	assert.Equal(t, heads("kept/not/yet/ledger.jsonl"), heads("linked/not/yet/ledger.jsonl"))
	assert.NotEqual(t, heads("kept/ledger.jsonl"), heads("kept/other.jsonl"))
}

func TestAMissingLedgerWithAHeadIsReported(t *testing.T) {
	t.Parallel()
	l := book(t, 5, nil)
	require.NoError(t, os.Remove(l.Path))
	result, err := l.Verify(t.Context(), Check{})
	require.NoError(t, err)
	require.Len(t, result.Problems, 1)
	assert.Equal(t, recordRemoved, result.Problems[0].Kind)
}

func TestTheNextRecordRemovesAnIncompleteOne(t *testing.T) {
	t.Parallel()
	for _, records := range []int{0, 1, 7} {
		l := book(t, records, nil)
		file, err := os.OpenFile(l.Path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		require.NoError(t, err)
		_, err = file.WriteString(`{"body":{"sequence":8,"wh`)
		require.NoError(t, err)
		require.NoError(t, file.Close())
		result, err := l.Verify(t.Context(), Check{})
		require.NoError(t, err)
		assert.Empty(t, result.Problems)
		assert.Equal(t, 25, result.Torn)
		entry, err := l.Append(t.Context(), sample(1), nil)
		require.NoError(t, err)
		assert.Equal(t, records+1, entry.Sequence)
		assert.Equal(t, 25, entry.Torn, "the record says that another one was begun")
		result, err = l.Verify(t.Context(), Check{})
		require.NoError(t, err)
		assert.Empty(t, result.Problems)
		assert.Equal(t, records+1, result.Records)
	}
}

func TestConcurrentWritersLoseNoRecord(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), child+"="+path, "EVIDENCE_TEST_COUNT=20")
			out, err := cmd.CombinedOutput()
			assert.NoError(t, err, string(out))
		})
	}
	all.Wait()
	result, err := (&Ledger{Path: path}).Verify(t.Context(), Check{})
	require.NoError(t, err)
	assert.Empty(t, result.Problems)
	assert.Equal(t, 120, result.Records)
}

func TestWritersThatAreKilledLoseNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	acknowledged := 0
	for round := range 15 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), child+"="+path)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		timer := time.AfterFunc(time.Duration(20+7*round)*time.Millisecond, func() { _ = cmd.Process.Kill() })
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			number, err := strconv.Atoi(lines.Text())
			require.NoError(t, err, lines.Text())
			require.Greater(t, number, acknowledged)
			acknowledged = number
		}
		_ = cmd.Wait()
		timer.Stop()
		result, err := (&Ledger{Path: path}).Verify(t.Context(), Check{})
		require.NoError(t, err)
		for _, problem := range result.Problems {
			// Killed between a record and its heads, each time until now: one of them is not there yet. No append that came back left it so.
			assert.Equal(t, headMissing, problem.Kind, "%v", problem)
			assert.Zero(t, acknowledged)
		}
		assert.GreaterOrEqual(t, result.Records, acknowledged)
	}
	require.Greater(t, acknowledged, 10)
}

func TestAFullDiskLosesNoEarlierRecord(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), child+"="+path, "EVIDENCE_TEST_LIMIT=5000")
	out, err := cmd.Output()
	require.Error(t, err)
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	require.Contains(t, lines[len(lines)-1], "adding a record to the ledger")
	require.NotContains(t, lines[len(lines)-1], "\n")
	l := &Ledger{Path: path, Now: time.Now}
	result, err := l.Verify(t.Context(), Check{})
	require.NoError(t, err)
	assert.Empty(t, result.Problems)
	assert.Zero(t, result.Torn, "what did not fit is taken back")
	assert.Equal(t, len(lines)-1, result.Records)
	require.Positive(t, result.Records)
	_, err = l.Append(t.Context(), sample(1), nil)
	require.NoError(t, err, "with room again it goes on")
}

func TestAFileThatIsNotALedgerIsNotWritten(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(t *testing.T, path string){
		"a folder": func(t *testing.T, path string) { require.NoError(t, os.Mkdir(path, 0o700)) },
		"a pipe":   func(t *testing.T, path string) { require.NoError(t, syscall.Mkfifo(path, 0o600)) },
		"a link": func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path+".other", nil, 0o600))
			require.NoError(t, os.Symlink(path+".other", path))
		},
		"other text": func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, []byte("hello\nworld\n"), 0o600))
		},
		"one long line": func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, append(bytes.Repeat([]byte("x"), 3*lineLimit), '\n'), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "ledger.jsonl")
			make(t, path)
			l := &Ledger{Path: path, Now: time.Now}
			_, err := l.Append(t.Context(), sample(1), nil)
			require.ErrorContains(t, err, "adding a record to the ledger "+path)
			assert.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestAnEmptyRecordIsRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Record){
		"no name":              func(r *Record) { r.What = "" },
		"no verdict":           func(r *Record) { r.Verdict = "" },
		"a verdict of its own": func(r *Record) { r.Verdict = "GREEN" },
		"a negative duration":  func(r *Record) { r.Duration = -1 },
		"more than a line":     func(r *Record) { r.Summary = strings.Repeat("x", lineLimit) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := book(t, 2, nil)
			record := sample(1)
			change(&record)
			_, err := l.Append(t.Context(), record, nil)
			require.Error(t, err)
			result, err := l.Verify(t.Context(), Check{})
			require.NoError(t, err)
			assert.Empty(t, result.Problems)
			assert.Equal(t, 2, result.Records)
		})
	}
}

// keys makes an SSH key of that type and returns its signer and its public line.
func keys(t testing.TB, kind string) (Signer, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	out, err := exec.Command("ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", path).CombinedOutput()
	require.NoError(t, err, string(out))
	public, err := os.ReadFile(path + ".pub")
	require.NoError(t, err)
	return SSHSigner(run.Exec{}, path), strings.TrimSpace(string(public))
}

func TestSignedRecords(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			sign, public := keys(t, kind)
			l := book(t, 4, sign)
			allowed, err := ParseAllowed([]byte("# who may\n\nops@example.org " + public + "\n"))
			require.NoError(t, err)
			result, err := l.Verify(t.Context(), Check{Allowed: allowed})
			require.NoError(t, err)
			assert.Empty(t, result.Problems)

			// What ssh-keygen says is the measure.
			entry, body, err := parseLine([]byte(content(t, l)[2]))
			require.NoError(t, err)
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "allowed"), []byte("ops@example.org "+public+"\n"), 0o600))
			armored := "-----BEGIN SSH SIGNATURE-----\n" + entry.Signature + "\n-----END SSH SIGNATURE-----\n"
			require.NoError(t, os.WriteFile(filepath.Join(dir, "sig"), []byte(armored), 0o600))
			cmd := exec.Command("ssh-keygen", "-Y", "verify", "-f", filepath.Join(dir, "allowed"), "-I", "ops@example.org", "-n", Namespace, "-s", filepath.Join(dir, "sig"))
			cmd.Stdin = bytes.NewReader(body)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, string(out))
		})
	}
}

func TestForgedSignatures(t *testing.T) {
	t.Parallel()
	sign, public := keys(t, "ed25519")
	stranger, strange := keys(t, "ed25519")
	line := "ops@example.org " + public
	for _, c := range []struct {
		name    string
		allowed string
		do      func(t *testing.T, l *Ledger)
		kind    problemKind
		record  int
	}{
		{"everything written anew with a stranger's key", line, func(t *testing.T, l *Ledger) { put(t, l, again(t, content(t, l), stranger)) }, recordForged, 1},
		{"everything written anew with no key", line, func(t *testing.T, l *Ledger) { put(t, l, again(t, content(t, l), nil)) }, recordUnsigned, 1},
		{"a record added without the key", line, func(t *testing.T, l *Ledger) {
			_, err := l.Append(t.Context(), sample(7), nil)
			require.NoError(t, err)
		}, recordUnsigned, 4},
		{"a record added with a stranger's key", line, func(t *testing.T, l *Ledger) {
			_, err := l.Append(t.Context(), sample(7), stranger)
			require.NoError(t, err)
		}, recordForged, 4},
		{"a record with the signature of another", line, func(t *testing.T, l *Ledger) {
			entries, err := Read(l.Path)
			require.NoError(t, err)
			_, err = l.Append(t.Context(), sample(7), func(context.Context, []byte) (string, error) { return entries[1].Signature, nil })
			require.NoError(t, err)
		}, recordForged, 4},
		{"a record with a signature for something else", line, func(t *testing.T, l *Ledger) {
			dir := t.TempDir()
			require.NoError(t, exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", dir+"/key").Run())
			_, err := l.Append(t.Context(), sample(7), func(_ context.Context, body []byte) (string, error) {
				cmd := exec.Command("ssh-keygen", "-Y", "sign", "-f", dir+"/key", "-n", "git")
				cmd.Stdin = bytes.NewReader(body)
				out, err := cmd.Output()
				text := strings.Split(strings.TrimSpace(string(out)), "\n")
				return strings.Join(text[1:len(text)-1], ""), err
			})
			require.NoError(t, err)
		}, recordForged, 4},
		{"words for a signature", line, func(t *testing.T, l *Ledger) {
			_, err := l.Append(t.Context(), sample(7), func(context.Context, []byte) (string, error) { return "signed by me", nil })
			require.NoError(t, err)
		}, recordForged, 4},
		{"a key that was allowed until yesterday", line0("valid-before=20261031Z", line), func(*testing.T, *Ledger) {}, recordForged, 1},
		{"a key that is allowed from tomorrow", line0("valid-after=20261231Z", line), func(*testing.T, *Ledger) {}, recordForged, 1},
		{"another key is allowed", "ops@example.org " + strange, func(*testing.T, *Ledger) {}, recordForged, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := book(t, 3, sign)
			c.do(t, l)
			allowed, err := ParseAllowed([]byte(c.allowed))
			require.NoError(t, err)
			result, err := l.Verify(t.Context(), Check{Allowed: allowed})
			require.NoError(t, err)
			require.NotEmpty(t, result.Problems)
			said := false
			for _, problem := range result.Problems {
				said = said || problem.Kind == c.kind && problem.Sequence == c.record
			}
			assert.True(t, said, "%v", result.Problems)
		})
	}
}

func line0(option, line string) string { return strings.Replace(line, " ", " "+option+" ", 1) }

func TestInvalidAllowedSigners(t *testing.T) {
	t.Parallel()
	_, public := keys(t, "ed25519")
	for name, text := range map[string]string{
		"an empty file":              "",
		"nothing but a comment":      "# nobody\n",
		"no key":                     "ops@example.org",
		"half a key":                 "ops@example.org " + public[:40],
		"a certificate authority":    "ops@example.org cert-authority " + public,
		"an unknown option":          "ops@example.org verify-required=yes " + public,
		"a time that is none":        "ops@example.org valid-before=tomorrow " + public,
		"a key for other signatures": "ops@example.org namespaces=\"git,file\" " + public,
	} {
		_, err := ParseAllowed([]byte(text))
		assert.Error(t, err, name)
	}
	_, err := ParseAllowed([]byte("ops@example.org namespaces=\"git,evidence@*\" " + public))
	assert.NoError(t, err)
}

func TestAFailedSignatureLeavesTheLedgerUnchanged(t *testing.T) {
	t.Parallel()
	l := book(t, 2, nil)
	locked := filepath.Join(t.TempDir(), "key")
	require.NoError(t, exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "a passphrase", "-C", "", "-f", locked).Run())
	for _, key := range []string{locked, filepath.Join(t.TempDir(), "missing")} {
		_, err := l.Append(t.Context(), sample(1), SSHSigner(run.Exec{}, key))
		require.ErrorContains(t, err, "signing the record with the key "+key)
		assert.NotContains(t, err.Error(), "\n")
	}
	assert.Len(t, content(t, l), 2)
}

func TestAKeyThatAsksForAPassphraseFailsAtOnceAtATerminalToo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	require.NoError(t, exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "a passphrase", "-C", "", "-f", key).Run())
	ctx, stop := context.WithTimeout(t.Context(), signingTime/2)
	defer stop()
	// script(1) gives a terminal that can be asked, and that never answers.
	cmd := exec.CommandContext(ctx, "script", "--quiet", "--return", "--command", run.Quote(os.Args[0]), os.DevNull)
	cmd.Env = append(os.Environ(), child+"="+filepath.Join(dir, "ledger.jsonl"), "EVIDENCE_TEST_KEY="+key, "DISPLAY=:99")
	silence, err := cmd.StdinPipe()
	require.NoError(t, err)
	defer silence.Close()
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.NoError(t, ctx.Err(), "it waited for an answer: %s", out)
	assert.Contains(t, string(out), "signing the record with the key "+key)
}

func TestAKeyThatAnAgentHoldsSigns(t *testing.T) {
	dir := t.TempDir()
	key, socket := filepath.Join(dir, "key"), filepath.Join(dir, "agent")
	require.NoError(t, exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key).Run())
	agent := exec.Command("ssh-agent", "-D", "-a", socket)
	require.NoError(t, agent.Start())
	t.Cleanup(func() { _ = agent.Process.Kill(); _ = agent.Wait() })
	t.Setenv("SSH_AUTH_SOCK", socket)
	require.Eventually(t, func() bool { return exec.Command("ssh-add", "-q", key).Run() == nil }, 10*time.Second, 20*time.Millisecond)
	require.NoError(t, os.Remove(key))
	l := book(t, 2, SSHSigner(run.Exec{}, key+".pub"))
	public, err := os.ReadFile(key + ".pub")
	require.NoError(t, err)
	allowed, err := ParseAllowed(append([]byte("ops "), public...))
	require.NoError(t, err)
	result, err := l.Verify(t.Context(), Check{Allowed: allowed})
	require.NoError(t, err)
	assert.Empty(t, result.Problems)
}

// token is a key that a security token holds (OpenSSH, PROTOCOL.u2f), but for the touch.
func token(t *testing.T) (Signer, string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	wire := ssh.Marshal(struct {
		Type        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, public, "ssh:"})
	key, err := ssh.ParsePublicKey(wire)
	require.NoError(t, err)
	return func(_ context.Context, body []byte) (string, error) {
		digest := sha512.Sum512(body)
		data := ssh.Marshal(signed{Magic: [6]byte([]byte(magic)), Namespace: Namespace, Hash: "sha512", Digest: digest[:]})
		application, message := sha256.Sum256([]byte("ssh:")), sha256.Sum256(data)
		told := []byte{1, 0, 0, 0, 7} // touched; the seventh signature
		blob := slices.Concat(application[:], told, message[:])
		return base64.StdEncoding.EncodeToString(ssh.Marshal(signature{
			Magic: [6]byte([]byte(magic)), Version: 1, PublicKey: wire, Namespace: Namespace, Hash: "sha512",
			Signature: ssh.Marshal(ssh.Signature{Format: ssh.KeyAlgoSKED25519, Blob: ed25519.Sign(private, blob), Rest: told}),
		})), nil
	}, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func TestOneForgedSignatureIsNamedAmongManyOfAllKinds(t *testing.T) {
	t.Parallel()
	var signers []Signer
	var lines []string
	for _, kind := range []string{"ed25519", "ed25519", "ecdsa"} {
		sign, public := keys(t, kind)
		signers, lines = append(signers, sign), append(lines, "ops@example.org "+public)
	}
	sign, public := token(t)
	signers, lines = append(signers, sign), append(lines, "ops@example.org "+public)
	allowed, err := ParseAllowed([]byte(strings.Join(lines, "\n")))
	require.NoError(t, err)
	for forged := range 9 { // the last one: none
		n := 0
		l := book(t, 8, func(ctx context.Context, body []byte) (string, error) {
			by := signers[n%len(signers)]
			if n++; n == forged+1 {
				body = append([]byte(" "), body...)
			}
			return by(ctx, body)
		})
		result, err := l.Verify(t.Context(), Check{Allowed: allowed})
		require.NoError(t, err)
		if forged == 8 {
			require.Empty(t, result.Problems)
			continue
		}
		require.Len(t, result.Problems, 1)
		assert.Equal(t, recordForged, result.Problems[0].Kind)
		assert.Equal(t, forged+1, result.Problems[0].Sequence)
		assert.Contains(t, result.Problems[0].Message, "carries a signature of other data")
	}
}

func FuzzALineIsReadOrRefused(f *testing.F) {
	l := book(f, 2, nil)
	data, err := os.ReadFile(l.Path)
	require.NoError(f, err)
	for text := range strings.SplitSeq(string(data), "\n") {
		f.Add([]byte(text))
	}
	f.Add([]byte(`{"body":{},"hash":""}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		link, _, _ := examine(1, raw)
		// The short way reads what the long one reads.
		if l, ok := split(raw); ok && json.Valid(l.Body) {
			var long line
			require.NoError(t, json.Unmarshal(raw, &long))
			require.Equal(t, long, l)
		}
		if link.err != nil || !link.self {
			return
		}
		// What passes as a record is one, whose bytes are the only ones for it.
		entry, body, err := parseLine(raw)
		require.NoError(t, err)
		require.True(t, json.Valid(body))
		require.Equal(t, hashOf(body, entry.Signature), entry.Hash)
	})
}

func FuzzAllowedSigners(f *testing.F) {
	_, public := keys(f, "ed25519")
	f.Add([]byte("ops@example.org namespaces=\"a,b*\",valid-before=20260101Z " + public))
	f.Fuzz(func(t *testing.T, data []byte) {
		allowed, err := ParseAllowed(data)
		if err == nil {
			require.NotEmpty(t, allowed.signers)
		}
	})
}

// A ledger that does not verify must not look right again after the next record.
func TestAppendingToALedgerThatDoesNotVerifyFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		do   func(t *testing.T, l *Ledger, lines []string)
		want string
	}{
		{"the last record is cut off and both heads are lost", func(t *testing.T, l *Ledger, lines []string) {
			put(t, l, lines[:4])
			require.NoError(t, os.Remove(l.Path+".head"))
			require.NoError(t, os.RemoveAll(l.Anchors))
		}, "is missing"},
		{"the last record is cut off, the head is put right and the second head is lost", func(t *testing.T, l *Ledger, lines []string) {
			put(t, l, lines[:4])
			entry, err := parse([]byte(lines[3]))
			require.NoError(t, err)
			require.NoError(t, writeHead(l.Path+".head", headFile{Head: Head{Sequence: 4, Hash: entry.Hash}}))
			require.NoError(t, os.RemoveAll(l.Anchors))
		}, "is missing"},
		{"all records but the first are cut off and both heads are lost", func(t *testing.T, l *Ledger, lines []string) {
			put(t, l, lines[:1])
			require.NoError(t, os.Remove(l.Path+".head"))
			require.NoError(t, os.RemoveAll(l.Anchors))
		}, "is missing"},
		{"the second head is lost", func(t *testing.T, l *Ledger, _ []string) { require.NoError(t, os.RemoveAll(l.Anchors)) }, "the second head"},
		{"the head beside it is lost, and the second one too", func(t *testing.T, l *Ledger, _ []string) {
			require.NoError(t, os.RemoveAll(l.Anchors))
			require.NoError(t, os.Remove(l.Path+".head"))
		}, "is missing"},
		{"a record in the middle is edited", func(t *testing.T, l *Ledger, lines []string) {
			lines[2] = strings.Replace(lines[2], `"verdict":"green"`, `"verdict":"red"`, 1)
			put(t, l, lines)
		}, "record 3 (line 3) was changed"},
		{"a record in the middle is removed", func(t *testing.T, l *Ledger, lines []string) {
			put(t, l, slices.Delete(slices.Clone(lines), 2, 3))
		}, "record 3 was removed"},
		{"an older copy takes its place", func(t *testing.T, l *Ledger, lines []string) { put(t, l, lines[:2]) }, "it ends with record 2, and had 5"},
		{"the file is empty and the heads are left", func(t *testing.T, l *Ledger, _ []string) { require.NoError(t, os.Truncate(l.Path, 0)) }, "it ends with record 0, and had 5"},
		{"another ledger takes its place", func(t *testing.T, l *Ledger, _ []string) {
			other := &Ledger{Path: filepath.Join(t.TempDir(), "other.jsonl"), Now: time.Now}
			for n := range 6 {
				_, err := other.Append(t.Context(), sample(50+n), nil)
				require.NoError(t, err)
			}
			put(t, l, content(t, other))
		}, "was written anew"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := book(t, 5, nil)
			c.do(t, l, content(t, l))
			before, err := os.ReadFile(l.Path)
			require.NoError(t, err)
			_, err = l.Append(t.Context(), sample(9), nil)
			require.ErrorContains(t, err, c.want)
			assert.NotContains(t, err.Error(), "\n")
			after, err := os.ReadFile(l.Path)
			require.NoError(t, err)
			assert.Equal(t, before, after)
			result, err := l.Verify(t.Context(), Check{})
			require.NoError(t, err)
			require.NotEmpty(t, result.Problems, "it stays red")

			_, ok, err := l.Restart(t.Context(), " \n", nil, false)
			require.ErrorContains(t, err, "the reason is empty")
			assert.False(t, ok)
			_, ok, err = l.Restart(t.Context(), "the disk was restored", nil, true)
			require.NoError(t, err)
			assert.True(t, ok)
			unchanged, err := os.ReadFile(l.Path)
			require.NoError(t, err)
			assert.Equal(t, before, unchanged, "check mode writes nothing")

			broken, ok, err := l.Restart(t.Context(), "the disk was restored", nil, false)
			require.NoError(t, err)
			assert.True(t, ok)
			kept, err := os.ReadFile(broken.File)
			require.NoError(t, err)
			assert.Equal(t, before, kept, "the old file is kept")
			entry, err := l.Append(t.Context(), sample(9), nil)
			require.NoError(t, err)
			assert.Equal(t, 2, entry.Sequence)
			result, err = l.Verify(t.Context(), Check{})
			require.NoError(t, err)
			assert.Empty(t, result.Problems)
			require.Len(t, result.Breaks, 1)
			assert.Equal(t, "the disk was restored", result.Breaks[0].Reason)
			_, ok, err = l.Restart(t.Context(), "again", nil, false)
			require.NoError(t, err)
			assert.False(t, ok, "a ledger that verifies is not restarted")
		})
	}
}

func TestABreakOfALedgerShowsAfterTheNextBreakToo(t *testing.T) {
	t.Parallel()
	l := book(t, 3, nil)
	for _, reason := range []string{"first", "second", "third"} {
		lines := content(t, l)
		lines[len(lines)-1] = strings.Replace(lines[len(lines)-1], `"duration":`, `"duration":1`, 1)
		put(t, l, lines)
		_, ok, err := l.Restart(t.Context(), reason, nil, false)
		require.NoError(t, err)
		require.True(t, ok)
		_, err = l.Append(t.Context(), sample(1), nil)
		require.NoError(t, err)
	}
	result, err := l.Verify(t.Context(), Check{})
	require.NoError(t, err)
	reasons := []string{}
	for _, b := range result.Breaks {
		reasons = append(reasons, b.Reason)
	}
	assert.Equal(t, []string{"first", "second", "third"}, reasons)
}
