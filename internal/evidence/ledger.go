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

// lineLimit is the longest line that is read: a record is a few hundred bytes.
const lineLimit = 1 << 20

// lockTimeout is how long a writer waits for others.
const lockTimeout = 30 * time.Second

// Entry is a record at its place in the ledger.
type Entry struct {
	Sequence int    `json:"sequence"`       // 1 for the first
	Previous string `json:"previous"`       // Hash of the entry before; empty for the first
	Torn     int    `json:"torn,omitempty"` // bytes of an unfinished entry that a crash had left before this one
	Record

	Hash      string `json:"-"` // SHA-256 of body and signature, hexadecimal
	Signature string `json:"-"` // base64 of an SSH signature of the body; empty for none
}

// line is an entry as the file holds it. The body is kept byte for byte,
// for they are what is hashed and signed.
type line struct {
	Body      json.RawMessage `json:"body"`
	Signature string          `json:"signature,omitempty"`
	Hash      string          `json:"hash"`
}

// Head is how far a ledger had come: nothing before it may ever change.
type Head struct {
	Sequence int    `json:"sequence"`
	Hash     string `json:"hash"`
}

// Signer signs what is given to it and returns the signature in base64.
type Signer func(ctx context.Context, body []byte) (string, error)

// Ledger is a file of entries, each carrying the hash of the one before.
//
// Next to it is its head (the file's name and ".head"), and a second copy of
// that in Anchors, which should lie elsewhere. They tell when entries were cut
// off at the end, which no chain can tell.
type Ledger struct {
	Path    string
	Anchors string // folder of the second copies; empty means none
	// Now is the clock.
	Now func() time.Time
}

// Open names a ledger; its file is made by the first Append. The folder's links
// are followed, so that a ledger has one name however it is spelled; a ledger
// that is a link itself is refused by every reader.
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

// DefaultAnchors is the folder in which this user's second copies of heads lie.
func DefaultAnchors(getenv func(string) string) (string, error) {
	state, err := xdg.State(getenv)
	if err != nil {
		return "", fmt.Errorf("finding the folder for the heads of ledgers: %w", err)
	}
	return filepath.Join(state, "ledgers"), nil
}

// Append adds a record and returns when the disk has it. Time is set when it
// is zero. No error harms an earlier record, and after all but one the ledger
// is as it was before: that one says that the record is written.
//
// What a crash has left of an unfinished entry is removed, and the new entry
// says so. A ledger that does not verify is not written to, or the new heads
// would hide what happened to it: see Restart. Signatures are not part of that.
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
	// From here on the entry is on disk. A head that could not be written is
	// behind, which loses nothing but its protection: the next one mends it.
	if err := l.writeHeads(file, Head{Sequence: entry.Sequence, Hash: entry.Hash}); err != nil {
		return Entry{}, fmt.Errorf("the record is written, but not that it is the last: %w", err)
	}
	return entry, nil
}

// intact returns an error unless the ledger verifies. One that is as the last
// writer left it, by its stamp, is not read again.
func (l *Ledger) intact(ctx context.Context, file *os.File, last Entry) error {
	if last.Sequence == 0 {
		// Before the first record, so that a ledger with records and without heads is always one that lost them.
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
		return fmt.Errorf("it does not verify: %s; see what happened, then restart it with a reason (module evidence, state: restarted)", result.Problems[0])
	}
	return nil
}

// Restart replaces a ledger that does not verify by a new one, whose first
// record holds reason and all earlier breaks. The old file is kept beside it.
// ok is false, and nothing was done, if the ledger verifies. With dry nothing
// is written.
func (l *Ledger) Restart(ctx context.Context, reason string, sign Signer, dry bool) (broken Break, ok bool, err error) {
	failed := func(err error) (Break, bool, error) {
		return Break{}, false, fmt.Errorf("restarting the ledger %s: %w", l.Path, err)
	}
	if reason = oneline.Join(reason); reason == "" {
		return failed(errors.New("the reason is empty; say what happened to it"))
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
	// The old file is safe before the new one takes its name; until the heads are written the next run restarts again.
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

// stampOf changes whenever the file is written to, replaced, or its times are changed.
func stampOf(file *os.File) (string, error) {
	var s unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &s); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d:%d:%d:%d:%d", s.Dev, s.Ino, s.Size, s.Mtim.Nano(), s.Ctim.Nano()), nil
}

// seal makes the line of an entry and sets its hash and signature.
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

// encode is json.Marshal which leaves <, > and & alone: a body is within
// its line as the same bytes.
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
	h.Write([]byte{'\n'}) // a body is one line, so nothing can move from one to the other
	h.Write([]byte(signature))
	return hex.EncodeToString(h.Sum(nil))
}

// write writes raw at end, and replaces what is between end and size.
// When the disk is full the file is given back its length.
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

// tail finds the last whole entry. end is where it ends, size the file's length.
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
		return Entry{}, 0, 0, fmt.Errorf("its last line is not a record (%w): have the ledger verified", err)
	}
	return last, size - chunk + int64(final) + 1, size, nil
}

// fits reports whether the ledger's end is at or after every head that is known of it.
func (l *Ledger) fits(last Entry) error {
	for _, path := range l.heads() {
		head, err := readHead(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // Verify decides, see intact
		case err != nil:
			return err
		case head.Sequence > last.Sequence:
			return fmt.Errorf("it ends with record %d, and had %d according to %s: have it verified; "+
				"if it was put away on purpose, put that file away too", last.Sequence, head.Sequence, path)
		case head.Sequence == last.Sequence && head.Hash != last.Hash:
			return fmt.Errorf("its record %d is not the one of which %s tells: have it verified", last.Sequence, path)
		}
	}
	return nil
}

// heads are the files that tell how far the ledger had come.
func (l *Ledger) heads() []string {
	paths := []string{l.Path + ".head"}
	if l.Anchors != "" {
		name := sha256.Sum256([]byte(l.Path))
		paths = append(paths, filepath.Join(l.Anchors, filepath.Base(l.Path)+"-"+hex.EncodeToString(name[:8])+".head"))
	}
	return paths
}

// ParseHead reads `number:hash`, as people note a head and hand it on.
func ParseHead(text string) (Head, error) {
	number, hash, found := strings.Cut(text, ":")
	sequence, err := strconv.Atoi(number)
	if !found || err != nil || sequence < 1 || len(hash) != hex.EncodedLen(sha256.Size) {
		return Head{}, fmt.Errorf("the head %q is not `number:hash`, as a verification returns it", text)
	}
	return Head{Sequence: sequence, Hash: strings.ToLower(hash)}, nil
}

// headFile is what the file of a head holds. Stamp is that of the ledger when
// the head was written, see stampOf. A head of no record (sequence 0) is
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

// openRegular opens a file that is neither a link nor anything but a file.
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

// split takes a line apart that is written as encode writes it; ok is false for
// any other. It reads nothing twice, which is half the time of a verification.
// Whether the body is JSON is not looked at.
func split(raw []byte) (l line, ok bool) {
	const before, signature, hash, end = `{"body":`, `,"signature":"`, `,"hash":"`, `"}`
	rest, found := bytes.CutPrefix(raw, []byte(before))
	at := len(rest) - len(hash) - hex.EncodedLen(sha256.Size) - len(end)
	if !found || at < 1 || !bytes.HasPrefix(rest[at:], []byte(hash)) || !bytes.HasSuffix(rest, []byte(end)) {
		return line{}, false
	}
	digest := rest[at+len(hash) : len(rest)-len(end)]
	rest = rest[:at]
	// A body is an object. What ends otherwise is a signature, and a quote is not of its letters.
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
// reports whether they are what was written. A missing ledger has none.
// What a crash has left of an unfinished last entry is left out.
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

// lines calls each for every line that ends; raw is only good until it returns.
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
