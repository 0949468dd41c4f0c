// SPDX-License-Identifier: GPL-3.0-or-later

package evidence

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/arcodange-org/sandbox/internal/atomicfile"
	"github.com/arcodange-org/sandbox/internal/lock"
	"github.com/arcodange-org/sandbox/internal/oneline"
	"github.com/arcodange-org/sandbox/internal/pathlink"
	"github.com/arcodange-org/sandbox/internal/xdg"
)

// lineLimit is the maximal length of a line: a record has a few hundred bytes.
const lineLimit = 1 << 20

// lockTimeout is how long a writer waits for others.
const lockTimeout = 30 * time.Second

// Entry is a record with its position in the ledger.
type Entry struct {
	Sequence int    `json:"sequence"`       // 1 for the first
	Previous string `json:"previous"`       // Hash of the entry before; empty for the first
	Torn     int    `json:"torn,omitempty"` // bytes of an incomplete entry after a crash, removed before this one
	Record

	Hash      string `json:"-"` // SHA-256 of body and signature, hexadecimal
	Signature string `json:"-"` // base64 of an SSH signature of the body; empty for none
}

// line is an entry in the file. The body is kept byte for byte, since its bytes
// are hashed and signed.
type line struct {
	Body      json.RawMessage `json:"body"`
	Signature string          `json:"signature,omitempty"`
	Hash      string          `json:"hash"`
}

// Head is the number and hash of a record that was once the last. Records up to it must never change.
type Head struct {
	Sequence int    `json:"sequence"`
	Hash     string `json:"hash"`
}

// Signer signs body and returns the signature in base64.
type Signer func(ctx context.Context, body []byte) (string, error)

// Ledger is a file of entries, each carrying the hash of the one before.
//
// Next to it is its head (the file's name and ".head"), with a second copy
// in Anchors, which should be another folder. The heads reveal entries that were
// removed at the end, which the chain cannot.
type Ledger struct {
	Path    string
	Anchors string // folder of the second copies; empty means none
	// Now is the clock.
	Now func() time.Time
}

// Open returns the ledger at path; the first Append creates its file. Links in
// the folder's path are resolved, so that a ledger has one name; a ledger
// that is itself a link is refused by every reader.
func Open(path string) (*Ledger, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("finding the ledger %s: %w", path, err)
	}
	absolute = filepath.Join(pathlink.Canonical(filepath.Dir(absolute)), filepath.Base(absolute))
	anchors, err := DefaultAnchors(os.Getenv)
	if err != nil {
		return nil, err
	}
	return &Ledger{Path: absolute, Anchors: anchors, Now: time.Now}, nil
}

// DefaultAnchors returns the folder of this user's second copies of heads.
func DefaultAnchors(getenv func(string) string) (string, error) {
	state, err := xdg.State(getenv)
	if err != nil {
		return "", fmt.Errorf("finding the folder for the heads of ledgers: %w", err)
	}
	return filepath.Join(state, "ledgers"), nil
}

// Append adds a record and syncs it to disk. Time is set if it
// is zero. After an error the ledger is unchanged, except if the error says that
// the record is written.
//
// An incomplete entry after a crash is removed, and its size recorded as Torn. A
// ledger that does not verify is not written to, since new heads would hide the
// damage: see Restart. Signatures are not verified.
func (l *Ledger) Append(ctx context.Context, record Record, sign Signer) (Entry, error) {
	if err := record.valid(); err != nil {
		return Entry{}, fmt.Errorf("adding a record to the ledger %s: %w", l.Path, err)
	}
	held, err := lock.Acquire(ctx, l.Path+".lock", "writing the ledger", lockTimeout)
	if err != nil {
		return Entry{}, fmt.Errorf("adding a record to the ledger %s: %w", l.Path, err)
	}
	defer held.Release()
	entry, err := l.append(ctx, record, sign)
	if err != nil {
		return Entry{}, fmt.Errorf("adding a record to the ledger %s: %w", l.Path, err)
	}
	return entry, nil
}

func (r Record) valid() error {
	switch {
	case r.What == "":
		return errors.New("it does not say what was run")
	case r.Verdict != Green && r.Verdict != Red:
		return fmt.Errorf("its verdict is %q, and must be %s or %s", r.Verdict, Green, Red)
	case r.Duration < 0:
		return fmt.Errorf("its duration is %s", r.Duration)
	}
	return nil
}

func (l *Ledger) append(ctx context.Context, record Record, sign Signer) (Entry, error) {
	file, err := openRegular(l.Path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return Entry{}, err
	}
	defer file.Close()
	last, end, size, err := tail(file)
	if err != nil {
		return Entry{}, err
	}
	if err := l.fits(last); err != nil {
		return Entry{}, err
	}
	if err := l.intact(ctx, file, last); err != nil {
		return Entry{}, err
	}
	entry := Entry{Sequence: last.Sequence + 1, Previous: last.Hash, Torn: int(size - end), Record: record}
	if entry.Time.IsZero() {
		entry.Time = l.Now()
	}
	entry.Time = entry.Time.UTC()
	raw, err := seal(ctx, &entry, sign)
	if err != nil {
		return Entry{}, err
	}
	if err := write(file, raw, end, size); err != nil {
		return Entry{}, err
	}
	// From here on the entry is on disk. A head that could not be written does not
	// protect this entry until the next one is added.
	if err := l.writeHeads(file, Head{Sequence: entry.Sequence, Hash: entry.Hash}); err != nil {
		return Entry{}, fmt.Errorf("the record is written, but not that it is the last: %w", err)
	}
	return entry, nil
}

// intact returns an error unless the ledger verifies. A ledger whose stamp is
// unchanged since the last record is not read again.
func (l *Ledger) intact(ctx context.Context, file *os.File, last Entry) error {
	if last.Sequence == 0 {
		// Heads are written before the first record, so that a ledger with records but without heads has lost them.
		return l.writeHeads(nil, Head{})
	}
	heads := l.heads()
	if known, err := readStamp(heads[len(heads)-1]); err == nil && known != "" {
		if now, err := stampOf(file); err == nil && now == known {
			complete := true
			for _, path := range heads {
				_, err := readHead(path)
				complete = complete && err == nil
			}
			if complete {
				return nil
			}
		}
	}
	result, err := l.Verify(ctx, Check{})
	if err != nil {
		return err
	}
	if len(result.Problems) > 0 {
		return fmt.Errorf("it does not verify: %s; find the cause, then restart it with a reason (module evidence, state: restarted)", result.Problems[0])
	}
	return nil
}

// Restart replaces a ledger that does not verify by a new one, whose first
// record holds reason and all earlier breaks. The old file is kept next to it.
// If the ledger verifies, ok is false and nothing changes. With dry nothing
// is written.
func (l *Ledger) Restart(ctx context.Context, reason string, sign Signer, dry bool) (broken Break, ok bool, err error) {
	failed := func(err error) (Break, bool, error) {
		return Break{}, false, fmt.Errorf("restarting the ledger %s: %w", l.Path, err)
	}
	if reason = oneline.Join(reason); reason == "" {
		return failed(errors.New("the reason is empty; describe what happened to the ledger"))
	}
	held, err := lock.Acquire(ctx, l.Path+".lock", "restarting the ledger", lockTimeout)
	if err != nil {
		return failed(err)
	}
	defer held.Release()
	var problem string
	result, err := l.Verify(ctx, Check{})
	switch {
	case err != nil:
		problem = err.Error() // a head that cannot be read, or a line that is too long
	case len(result.Problems) > 0:
		problem = result.Problems[0].Message
	default:
		return Break{}, false, nil
	}
	old, err := os.ReadFile(l.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failed(err)
	}
	now := l.Now().UTC()
	broken = Break{Time: now, Reason: reason, Problem: problem, Records: bytes.Count(old, []byte("\n")), SHA256: fmt.Sprintf("%x", sha256.Sum256(old)),
		File: l.Path + ".broken-" + now.Format("20060102T150405.000000000Z")}
	if dry {
		return broken, true, nil
	}
	var breaks []Break
	if first, _, ok := bytes.Cut(old, []byte("\n")); ok {
		if entry, err := parse(first); err == nil && entry.What == RestartName {
			breaks = entry.Breaks
		}
	}
	entry := Entry{Sequence: 1, Record: Record{Time: now, What: RestartName, Verdict: Red, Summary: reason, Breaks: append(breaks, broken)}}
	raw, err := seal(ctx, &entry, sign)
	if err != nil {
		return failed(err)
	}
	// The old file has its new name before the new file replaces it. If the heads are not written, the next run restarts again.
	if err := atomicfile.Write(broken.File, old, 0o600); err != nil {
		return failed(err)
	}
	if err := atomicfile.Write(l.Path, raw, 0o600); err != nil {
		return failed(err)
	}
	file, err := openRegular(l.Path, os.O_RDONLY)
	if err != nil {
		return failed(err)
	}
	defer file.Close()
	if err := l.writeHeads(file, Head{Sequence: 1, Hash: entry.Hash}); err != nil {
		return failed(err)
	}
	return broken, true, nil
}

// stampOf returns a text that changes when the file is written, replaced, or its times change.
func stampOf(file *os.File) (string, error) {
	var s unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &s); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d:%d:%d:%d:%d", s.Dev, s.Ino, s.Size, s.Mtim.Nano(), s.Ctim.Nano()), nil
}

// seal sets hash and signature of an entry, and returns its line.
func seal(ctx context.Context, entry *Entry, sign Signer) ([]byte, error) {
	body, err := encode(entry)
	if err != nil {
		return nil, err
	}
	if sign != nil {
		if entry.Signature, err = sign(ctx, body); err != nil {
			return nil, err
		}
	}
	entry.Hash = hashOf(body, entry.Signature)
	raw, err := encode(line{Body: body, Signature: entry.Signature, Hash: entry.Hash})
	if err != nil {
		return nil, err
	}
	if len(raw) >= lineLimit {
		return nil, fmt.Errorf("it has %d bytes, and at most %d fit: shorten its summary", len(raw), lineLimit)
	}
	return append(raw, '\n'), nil
}

// encode is json.Marshal without escapes for <, > and &, so that a body has the
// same bytes inside its line.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, fmt.Errorf("writing it as JSON: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

func hashOf(body []byte, signature string) string {
	h := sha256.New()
	h.Write(body)
	h.Write([]byte{'\n'}) // a body has no line feed, so the boundary is unambiguous
	h.Write([]byte(signature))
	return hex.EncodeToString(h.Sum(nil))
}

// write writes raw at end, and replaces the bytes between end and size.
// On a full disk it truncates the file to end.
func write(file *os.File, raw []byte, end, size int64) error {
	if size != end {
		if err := file.Truncate(end); err != nil {
			return fmt.Errorf("removing what a crash has left: %w", err)
		}
	}
	if _, err := file.WriteAt(raw, end); err != nil {
		return errors.Join(fmt.Errorf("writing it: %w", err), file.Truncate(end))
	}
	if err := file.Sync(); err != nil {
		return errors.Join(fmt.Errorf("writing it to disk: %w", err), file.Truncate(end))
	}
	return nil
}

// tail returns the last complete entry, the offset of its end, and the file's size.
func tail(file *os.File) (last Entry, end, size int64, err error) {
	info, err := file.Stat()
	if err != nil {
		return Entry{}, 0, 0, err
	}
	size = info.Size()
	chunk := min(size, 2*lineLimit)
	data := make([]byte, chunk)
	if _, err := file.ReadAt(data, size-chunk); err != nil && !errors.Is(err, io.EOF) {
		return Entry{}, 0, 0, fmt.Errorf("reading its end: %w", err)
	}
	final := bytes.LastIndexByte(data, '\n')
	if final < 0 {
		if chunk < size {
			return Entry{}, 0, 0, fmt.Errorf("its last line is longer than %d bytes: this is not a ledger", chunk)
		}
		return Entry{}, 0, size, nil // nothing but an unfinished first entry
	}
	start := bytes.LastIndexByte(data[:final], '\n') + 1
	if start == 0 && chunk < size {
		return Entry{}, 0, 0, fmt.Errorf("its last line is longer than %d bytes: this is not a ledger", chunk)
	}
	last, err = parse(data[start:final])
	if err != nil {
		return Entry{}, 0, 0, fmt.Errorf("its last line is not a record (%w): verify the ledger", err)
	}
	return last, size - chunk + int64(final) + 1, size, nil
}

// fits returns an error if the ledger ends before one of its heads.
func (l *Ledger) fits(last Entry) error {
	for _, path := range l.heads() {
		head, err := readHead(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // Verify decides, see intact
		case err != nil:
			return err
		case head.Sequence > last.Sequence:
			return fmt.Errorf("it ends with record %d, and had %d according to %s: verify the ledger; "+
				"if it was removed on purpose, remove that file too", last.Sequence, head.Sequence, path)
		case head.Sequence == last.Sequence && head.Hash != last.Hash:
			return fmt.Errorf("its record %d differs from the one in %s: verify the ledger", last.Sequence, path)
		}
	}
	return nil
}

// heads returns the paths of the ledger's heads.
func (l *Ledger) heads() []string {
	paths := []string{l.Path + ".head"}
	if l.Anchors != "" {
		name := sha256.Sum256([]byte(l.Path))
		paths = append(paths, filepath.Join(l.Anchors, filepath.Base(l.Path)+"-"+hex.EncodeToString(name[:8])+".head"))
	}
	return paths
}

// ParseHead parses `number:hash`, the form in which a head is noted elsewhere.
func ParseHead(text string) (Head, error) {
	number, hash, found := strings.Cut(text, ":")
	sequence, err := strconv.Atoi(number)
	if !found || err != nil || sequence < 1 || len(hash) != hex.EncodedLen(sha256.Size) {
		return Head{}, fmt.Errorf("the head %q is not `number:hash`, as a verification returns it", text)
	}
	return Head{Sequence: sequence, Hash: strings.ToLower(hash)}, nil
}

// headFile is the content of a head's file. Stamp is the ledger's when
// the head was written, see stampOf. A head with sequence 0 is
// written before the first record.
type headFile struct {
	Head
	Stamp string `json:"stamp,omitempty"`
}

func readHead(path string) (Head, error) {
	head, err := readHeadFile(path)
	return head.Head, err
}

func readStamp(path string) (string, error) {
	head, err := readHeadFile(path)
	return head.Stamp, err
}

func readHeadFile(path string) (headFile, error) {
	file, err := openRegular(path, os.O_RDONLY)
	if err != nil {
		return headFile{}, err
	}
	defer file.Close()
	var head headFile
	if err := json.NewDecoder(io.LimitReader(file, lineLimit)).Decode(&head); err != nil {
		return headFile{}, fmt.Errorf("reading the head %s: %w", path, err)
	}
	none := head.Sequence == 0 && head.Hash == ""
	if !none && (head.Sequence < 1 || len(head.Hash) != hex.EncodedLen(sha256.Size)) {
		return headFile{}, fmt.Errorf("reading the head %s: it names no record", path)
	}
	return head, nil
}

// writeHeads writes all heads; file is the ledger, nil if it holds no record yet.
func (l *Ledger) writeHeads(file *os.File, head Head) error {
	stamp := ""
	if file != nil {
		var err error
		if stamp, err = stampOf(file); err != nil {
			return err
		}
	}
	for _, path := range l.heads() {
		if err := writeHead(path, headFile{Head: head, Stamp: stamp}); err != nil {
			return err
		}
	}
	return nil
}

func writeHead(path string, head headFile) error {
	raw, err := encode(head)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(path, append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing the head %s: %w", path, err)
	}
	return nil
}

// openRegular opens a regular file; links and other kinds are errors.
func openRegular(path string, how int) (*os.File, error) {
	if how&os.O_CREATE != 0 {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, fmt.Errorf("making its folder: %w", err)
		}
	}
	file, err := os.OpenFile(path, how|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("opening %s: it is not a file but %s", path, info.Mode().Type())
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// parse reads one line. The hash is read, not checked.
func parse(raw []byte) (Entry, error) {
	entry, _, err := parseLine(raw)
	return entry, err
}

func parseLine(raw []byte) (Entry, json.RawMessage, error) {
	var entry Entry
	l, ok := split(raw)
	if !ok || json.Unmarshal(l.Body, &entry) != nil {
		l, entry = line{}, Entry{}
		if err := json.Unmarshal(raw, &l); err != nil {
			return Entry{}, nil, err
		}
		if err := json.Unmarshal(l.Body, &entry); err != nil {
			return Entry{}, nil, err
		}
	}
	entry.Hash, entry.Signature = l.Hash, l.Signature
	return entry, l.Body, nil
}

// split splits a line as encode writes it; ok is false for any other. It reads
// every byte once, which halves the time of a verification. It does not check
// that the body is JSON.
func split(raw []byte) (l line, ok bool) {
	const before, signature, hash, end = `{"body":`, `,"signature":"`, `,"hash":"`, `"}`
	rest, found := bytes.CutPrefix(raw, []byte(before))
	at := len(rest) - len(hash) - hex.EncodedLen(sha256.Size) - len(end)
	if !found || at < 1 || !bytes.HasPrefix(rest[at:], []byte(hash)) || !bytes.HasSuffix(rest, []byte(end)) {
		return line{}, false
	}
	digest := rest[at+len(hash) : len(rest)-len(end)]
	rest = rest[:at]
	// A body ends with a brace. Any other end is a signature, which cannot contain a quote.
	if rest[at-1] == '"' {
		i := bytes.LastIndex(rest, []byte(signature))
		if i < 1 {
			return line{}, false
		}
		l.Signature = string(rest[i+len(signature) : at-1])
		rest = rest[:i]
	}
	if rest[len(rest)-1] != '}' || !plain(digest) || l.Signature != "" && !plain([]byte(l.Signature)) {
		return line{}, false
	}
	l.Body, l.Hash = json.RawMessage(rest), string(digest)
	return l, true
}

// plain reports whether JSON encodes a text unescaped.
func plain(text []byte) bool {
	return !slices.ContainsFunc(text, func(c byte) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' })
}

// Read returns the entries of the ledger at path, unverified: Verify
// reports whether they are unchanged. A missing ledger has none.
// An incomplete last entry after a crash is left out.
func Read(path string) ([]Entry, error) {
	var entries []Entry
	err := lines(path, func(number int, raw []byte) error {
		entry, err := parse(raw)
		if err != nil {
			return fmt.Errorf("reading line %d of the ledger %s: %w", number, path, err)
		}
		entries = append(entries, entry)
		return nil
	})
	return entries, err
}

// lines calls each for every complete line; raw is only valid until each returns.
func lines(path string, each func(number int, raw []byte) error) error {
	file, err := openRegular(path, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the ledger: %w", err)
	}
	defer file.Close()
	in := bufio.NewReaderSize(file, lineLimit)
	for number := 1; ; number++ {
		raw, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("reading the ledger %s: line %d is longer than %d bytes", path, number, lineLimit)
		case err != nil:
			return fmt.Errorf("reading the ledger %s: %w", path, err)
		}
		if err := each(number, raw[:len(raw)-1]); err != nil {
			return err
		}
	}
}
