// SPDX-License-Identifier: GPL-3.0-or-later

// Package inventory reads the literal parts of an Ansible inventory without
// Ansible: INI by relex/aini, YAML and JSON by yaml.v3. Its results can only be
// used to refuse early. It renders no template, runs no program, loads no plugin and
// decrypts nothing, and lists such parts as unknown. It finds nothing that
// `ansible-inventory` does not.
package inventory

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/relex/aini"
	"gopkg.in/yaml.v3"

	"github.com/arcodange-org/sandbox/internal/lazyregexp"
	"github.com/arcodange-org/sandbox/internal/strictyaml"
)

// Host is a host and the address that it is connected to.
type Host struct {
	Name    string
	Address string // the host's literal ansible_host; empty if unknown
	File    string // with the address, or the name if there is none
}

// Inventory is what could be read.
type Inventory struct {
	Hosts   []Host   // in the order of their names
	Unknown []string // "FILE: why it is not followed", in the order of files
}

// Files that Ansible ignores in a directory of sources (defaults of INVENTORY_IGNORE_EXTS and INVENTORY_IGNORE_PATTERNS).
var ignored = lazyregexp.New(`(\.pyc|\.pyo|\.swp|\.bak|~|\.rpm|\.md|\.txt|\.rst|\.orig|\.cfg|\.retry)$|^\.|^(group_vars|host_vars|vars_plugins)$`)

// longest is the maximal length of a line for aini, which silently stops at a longer one.
const longest = 64*1024 - 1

// Read reads a file or a directory. An error means that nothing could be read.
func Read(path string) (*Inventory, error) {
	r := reader{addresses: map[string]Host{}, taken: map[string]bool{}}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("looking at the inventory: %w", err)
	}
	home := path
	if info.IsDir() {
		err = r.directory(path, 0)
	} else {
		home = filepath.Dir(path)
		err = r.source(path)
	}
	if err != nil {
		return nil, fmt.Errorf("looking at the inventory %s: %w", path, err)
	}
	if err := r.hostVars(filepath.Join(home, "host_vars")); err != nil {
		return nil, fmt.Errorf("looking at the inventory %s: %w", path, err)
	}
	found := &Inventory{Unknown: r.unknown}
	for _, host := range r.addresses {
		if r.taken[host.Name] {
			host.Address = "" // two values: only Ansible knows which one it uses
		}
		found.Hosts = append(found.Hosts, host)
	}
	slices.SortFunc(found.Hosts, func(a, b Host) int { return strings.Compare(a.Name, b.Name) })
	return found, nil
}

type reader struct {
	addresses map[string]Host
	taken     map[string]bool
	unknown   []string
}

func (r *reader) skip(file, format string, args ...any) {
	r.unknown = append(r.unknown, file+": "+fmt.Sprintf(format, args...))
}

// put records a host; its address is used only if no other source has one.
func (r *reader) put(name, address, file string) {
	if !literal(address) {
		if address != "" {
			r.taken[name] = true
		}
		address = ""
	}
	before, known := r.addresses[name]
	switch {
	case !known || before.Address == "":
		r.addresses[name] = Host{name, address, file}
	case address != "" && address != before.Address:
		r.taken[name] = true
	}
}

// literal returns whether all parsers read a value as the same text: an address that
// neither Python nor YAML 1.1 reads as a number, or a name that is not a keyword of
// theirs, without templates, encryption or quotes.
func literal(value string) bool {
	if address, err := netip.ParseAddr(value); err == nil {
		// 1:2:3:4:5:6:7:8 is a base 60 number in YAML 1.1.
		return address.Zone() == "" && (address.Is4() || strings.Contains(value, "::"))
	}
	return plain(value)
}

// plain returns whether all parsers read a host name as the same text.
func plain(name string) bool {
	if address, err := netip.ParseAddr(name); err == nil {
		return address.Is4()
	}
	return plainName.MatchString(name) && !slices.Contains(words, strings.ToLower(name))
}

var plainName = lazyregexp.New(`^[A-Za-z][A-Za-z0-9-]*(\.[A-Za-z0-9-]+)*$`)

// words are keywords of YAML 1.1 or Python.
var words = []string{"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "inf", "nan"}

func (r *reader) directory(path string, depth int) error {
	if depth > 8 {
		r.skip(path, "directories are nested too deeply")
		return nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := filepath.Join(path, entry.Name())
		if ignored.MatchString(entry.Name()) {
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		if info.IsDir() {
			err = r.directory(name, depth+1)
		} else {
			err = r.source(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) source(file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() { // a pipe may never be written to, or never end
		r.skip(file, "not a regular file")
		return nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	switch {
	case info.Mode()&0o111 != 0:
		r.skip(file, "it is a program")
	case bytes.HasPrefix(data, []byte("$ANSIBLE_VAULT")):
		r.skip(file, "it is encrypted")
	case bytes.HasPrefix(data, []byte("#!")):
		r.skip(file, "it looks like a program")
	default:
		switch filepath.Ext(file) {
		case ".yml", ".yaml", ".json":
			r.yaml(file, data)
		case "", ".ini":
			r.ini(file, data)
		default:
			r.skip(file, "unknown kind of file")
		}
	}
	return nil
}

// iniUnknown matches syntax that aini and Ansible read differently, or that only Ansible can read.
var iniUnknown = lazyregexp.New(`(?m)^[^#;\n]*(\{\{|\[[0-9a-fA-F:.]*:[0-9a-fA-F:.]*:|!vault|\$ANSIBLE_VAULT)`)

func (r *reader) ini(file string, data []byte) {
	for line := range bytes.Lines(data) {
		if len(line) > longest {
			r.skip(file, "it has a line of more than %d bytes", longest)
			return
		}
	}
	if iniUnknown.Match(data) || bytes.ContainsAny(data, "\r\x00") {
		r.skip(file, "it has what only Ansible reads for sure")
		return
	}
	if !ranges(data) {
		r.skip(file, "it has an invalid range, or one of too many hosts")
		return
	}
	parsed, err := parse(data)
	if err != nil {
		r.skip(file, "it cannot be read (%v)", err)
		return
	}
	for name, host := range parsed.Hosts {
		if !plain(name) {
			r.skip(file, "the host %q", name)
			continue
		}
		r.put(name, host.InventoryVars["ansible_host"], file)
		// If a host has several addresses, or a group sets one, only Ansible knows which one it uses.
		for _, group := range host.Groups {
			if _, given := group.InventoryVars["ansible_host"]; given {
				r.taken[name] = true
			}
		}
	}
}

// parse calls aini, which panics on some invalid inventories.
func parse(data []byte) (parsed *aini.InventoryData, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("not an inventory")
		}
	}()
	return aini.ParseString(string(data))
}

var (
	bracketed = lazyregexp.New(`\[[^\[\]:]*:[^\[\]:]*\]`)
	number    = lazyregexp.New(`^[0-9]{1,6}$`)
)

// ranges reports whether ranges expand to a reasonable number of hosts: aini expands all of them at once.
func ranges(data []byte) bool {
	const most = 100_000
	all := 0
	for line := range bytes.Lines(data) {
		hosts := 1
		for _, match := range bracketed.FindAllString(string(line), -1) {
			from, to, _ := strings.Cut(strings.Trim(match, "[]"), ":")
			if to == "" {
				return false
			}
			size := 52 // letters, or the name of a section
			if strings.Trim(from+to, "0123456789") == "" {
				if from == "" {
					from = "0"
				}
				if !number.MatchString(from) || !number.MatchString(to) {
					return false
				}
				first, _ := strconv.Atoi(from)
				last, _ := strconv.Atoi(to)
				size = last - first + 1
			}
			if hosts *= size; hosts < 1 || hosts > most {
				return false
			}
		}
		if all += hosts; all > most {
			return false
		}
	}
	return true
}

func (r *reader) yaml(file string, data []byte) {
	root := document(data)
	if root == nil {
		r.skip(file, "not a single YAML document")
		return
	}
	if root.Kind != yaml.MappingNode || child(root, "plugin") != nil {
		r.skip(file, "it is for an inventory plugin")
		return
	}
	if unsafe(root) {
		r.skip(file, "it has aliases, tags or keys that only Ansible reads for sure")
		return
	}
	if !groups(root, nil) {
		r.skip(file, "it has groups that Ansible takes for none")
		return
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		r.group(file, root.Content[i+1], 0)
	}
}

// document is the only document of a file, or nil.
func document(data []byte) *yaml.Node {
	root, err := strictyaml.File("").Document(data)
	if err != nil {
		return nil
	}
	return root
}

// groups reports whether a mapping holds valid groups without cycles. Ansible ignores the whole file otherwise.
func groups(mapping *yaml.Node, within []string) bool {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		name, group := mapping.Content[i].Value, mapping.Content[i+1]
		if slices.Contains(within, name) || len(within) > 32 {
			return false
		}
		if group.Kind != yaml.MappingNode {
			continue // passed over, with a warning
		}
		for _, section := range []string{"vars", "hosts", "children"} {
			part := child(group, section)
			switch {
			case part == nil || part.Kind == yaml.ScalarNode:
			case part.Kind != yaml.MappingNode:
				return false
			case section == "children" && !groups(part, append(slices.Clone(within), name)):
				return false
			case section == "hosts":
				for j := 1; j < len(part.Content); j += 2 {
					if part.Content[j].Kind == yaml.SequenceNode {
						return false
					}
				}
			}
		}
	}
	return true
}

func (r *reader) group(file string, group *yaml.Node, depth int) {
	if group.Kind != yaml.MappingNode || depth > 32 {
		return
	}
	_, given := scalar(child(child(group, "vars"), "ansible_host"))
	if hosts := child(group, "hosts"); hosts != nil && hosts.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(hosts.Content); i += 2 {
			name := hosts.Content[i].Value
			if !plain(name) {
				r.skip(file, "the host %q", name)
				continue
			}
			address, _ := scalar(child(hosts.Content[i+1], "ansible_host"))
			r.put(name, address, file)
			if given {
				r.taken[name] = true
			}
		}
	}
	if children := child(group, "children"); children != nil && children.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(children.Content); i += 2 {
			r.group(file, children.Content[i+1], depth+1)
		}
	}
}

// hostVars reads host_vars, which override the sources.
func (r *reader) hostVars(directory string) error {
	entries, err := os.ReadDir(directory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	files := map[string][]string{}
	for _, entry := range entries {
		name := strings.TrimSuffix(entry.Name(), filepath.Ext(entry.Name()))
		if ext := filepath.Ext(entry.Name()); !slices.Contains([]string{"", ".yml", ".yaml", ".json"}, ext) {
			name = entry.Name() // a dot of the host's own name
		}
		files[name] = append(files[name], filepath.Join(directory, entry.Name()))
	}
	for name, paths := range files {
		host, known := r.addresses[name]
		if !known {
			continue
		}
		before := r.taken[name]
		r.taken[name] = true
		info, err := os.Stat(paths[0])
		if err != nil {
			return err
		}
		if len(paths) > 1 || !info.Mode().IsRegular() {
			r.skip(paths[0], "the host's variables are in several files, or not in a regular file")
			continue
		}
		data, err := os.ReadFile(paths[0])
		if err != nil {
			return err
		}
		root := document(data)
		if encrypted := bytes.HasPrefix(data, []byte("$ANSIBLE_VAULT")); !encrypted && (root == nil || root.Kind != yaml.MappingNode) {
			r.skip(paths[0], "not a single YAML mapping") // Ansible may find nothing at all then
			delete(r.addresses, name)
			continue
		} else if encrypted || unsafe(root) {
			r.skip(paths[0], "it has what only Ansible reads for sure")
			continue
		}
		address, given := scalar(child(root, "ansible_host"))
		switch {
		case !given:
			r.taken[name] = before
		case literal(address):
			r.addresses[name], r.taken[name] = Host{name, address, paths[0]}, false
		}
		_ = host
	}
	return nil
}

func child(mapping *yaml.Node, key string) *yaml.Node {
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

func scalar(n *yaml.Node) (value string, given bool) {
	if n == nil {
		return "", false
	}
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return "{", true // given, and not literal
	}
	if n.Tag != "!!str" {
		return "{", true // Ansible may change the spelling of a number or a date
	}
	return n.Value, true
}

// unsafe returns whether yaml.v3 and Ansible's loader may read a document differently.
func unsafe(n *yaml.Node) bool {
	if n.Kind == yaml.AliasNode || n.Anchor != "" || n.Style&yaml.TaggedStyle != 0 || n.Value == "<<" {
		return true
	}
	if n.Kind == yaml.MappingNode {
		seen := map[string]bool{}
		for i := 0; i < len(n.Content); i += 2 {
			if seen[n.Content[i].Value] {
				return true
			}
			seen[n.Content[i].Value] = true
		}
	}
	return slices.ContainsFunc(n.Content, unsafe)
}
