// SPDX-License-Identifier: GPL-3.0-or-later

package capture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/run"
)

// Inventory is production's inventory, as Ansible itself reads it.
type Inventory struct {
	Repository           string `arg:"repository"` // in which it lies; empty for a path of this machine
	Path                 string `arg:"path"`       // file or folder
	ServerGroup          string `arg:"server_group"`
	AgentGroup           string `arg:"agent_group"`
	VersionVariable      string `arg:"version_variable"`      // of the nodes: Kubernetes' version
	ArchitectureVariable string `arg:"architecture_variable"` // of the nodes: GOARCH; empty if there is none
	Architecture         string `arg:"architecture"`          // of every node that has no such variable
	VaultPasswordFile    string `arg:"vault_password_file"`
	Program              string `arg:"ansible_inventory"`
}

// hosts is an inventory: groups with their hosts, children included, and the hosts' variables.
type hosts struct {
	groups map[string][]string
	vars   map[string]map[string]any
}

// ask lists an inventory with ansible-inventory. It opens no connection, and
// refuses sources that are not data files, so that no program is run.
func (v Inventory) ask(ctx context.Context, runner run.Runner, trees map[string]*tree) (*hosts, error) {
	h, err := v.list(ctx, runner, trees)
	if err != nil {
		return nil, fmt.Errorf("reading the inventory: %w", err)
	}
	return h, nil
}

func (v Inventory) list(ctx context.Context, runner run.Runner, trees map[string]*tree) (*hosts, error) {
	scratch, err := os.MkdirTemp("", "arcodange-inventory-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(scratch)
	source := v.Path
	if v.Repository != "" {
		t := trees[v.Repository]
		if t == nil {
			return nil, fmt.Errorf("%q is none of the repositories", v.Repository)
		}
		if source, err = t.export(ctx, v.Path, filepath.Join(scratch, "source")); err != nil {
			return nil, err
		}
	} else if source, err = filepath.Abs(source); err != nil {
		return nil, err
	}
	if err := dataOnly(source); err != nil {
		return nil, err
	}
	home := filepath.Join(scratch, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(home, "ansible.cfg"), nil, 0o600); err != nil {
		return nil, err
	}
	args := []string{"-i", source, "--list"}
	if v.VaultPasswordFile != "" {
		info, err := os.Stat(v.VaultPasswordFile)
		if err != nil {
			return nil, fmt.Errorf("looking at the vault's password file: %w", err)
		}
		if info.Mode().Perm()&0o111 != 0 {
			return nil, errors.New("the vault's password file is a program; give a file that holds the password")
		}
		args = append(args, "--vault-password-file", v.VaultPasswordFile)
	}
	res, err := runner.Run(ctx, run.Cmd{Name: v.Program, Args: args, Dir: home, Env: inventoryEnv(os.Environ(), home)})
	if err != nil {
		var failed *run.Error
		if errors.As(err, &failed) && !run.NotFound(err) {
			// Ansible's error may quote the inventory; only its beginning does not.
			return nil, fmt.Errorf("`%s --list` failed; run it by hand to see why (a vaulted file needs vault_password_file)", v.Program)
		}
		return nil, err
	}
	return listed(res.Stdout)
}

// inventoryEnv returns an environment in which Ansible reads only data files and
// ignores the user's settings.
func inventoryEnv(env []string, home string) []string {
	var kept []string
	for _, entry := range env {
		name, _, _ := strings.Cut(entry, "=")
		if name == "PATH" || strings.HasPrefix(name, "PYTHON") || name == "VIRTUAL_ENV" {
			kept = append(kept, entry)
		}
	}
	return append(kept, "HOME="+home, "LC_ALL=C.UTF-8", "ANSIBLE_CONFIG="+filepath.Join(home, "ansible.cfg"), "ANSIBLE_HOME="+home, "ANSIBLE_LOCAL_TEMP="+home,
		"ANSIBLE_INVENTORY_ENABLED=ansible.builtin.yaml,ansible.builtin.ini,ansible.builtin.toml", "ANSIBLE_VARS_ENABLED=ansible.builtin.host_group_vars",
		"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED=true", "ANSIBLE_INVENTORY_UNPARSED_FAILED=true", "ANSIBLE_COLLECTIONS_PATH="+home, "ANSIBLE_NOCOLOR=1")
}

// dataOnly returns an error for an inventory that is a program, or contains a program or a link.
func dataOnly(source string) error {
	return filepath.WalkDir(source, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		switch {
		case err != nil:
			return err
		case info.Mode()&fs.ModeSymlink != 0:
			return fmt.Errorf("%s is a symbolic link, which is not followed", filepath.Base(name))
		case !info.Mode().IsRegular():
			return fmt.Errorf("%s is not a regular file", filepath.Base(name))
		case info.Mode().Perm()&0o111 != 0:
			return fmt.Errorf("%s may be executed, so that it is an inventory that a program makes: it could reach anything; give one of files", filepath.Base(name))
		}
		return nil
	})
}

// export writes an inventory of a commit to a folder, with the variables next to it.
func (t *tree) export(ctx context.Context, name, into string) (string, error) {
	name = path.Clean(name)
	folder := name
	if t.find(name) != nil {
		folder = path.Dir(name)
	}
	var wanted []*file
	for i := range t.Files {
		f := &t.Files[i]
		if !within(f.Path, []string{folder}) {
			continue
		}
		if f.Path != name && folder != name && !within(f.Path, []string{path.Join(folder, "group_vars"), path.Join(folder, "host_vars")}) {
			continue // next to a single file only the variables are needed
		}
		switch {
		case f.Mode != "100644":
			return "", fmt.Errorf("%s is a program, a link or a submodule; an inventory is made of files of data", f.where())
		case f.Size > maxFile:
			return "", fmt.Errorf("%s is larger than %d MiB", f.where(), maxFile>>20)
		}
		wanted = append(wanted, f)
	}
	if len(wanted) == 0 {
		return "", fmt.Errorf("%s:%s is not there at the commit %s", t.Repository, name, t.Commit)
	}
	if err := t.fetch(ctx, wanted); err != nil {
		return "", err
	}
	for _, f := range wanted {
		target := filepath.Join(into, filepath.FromSlash(strings.TrimPrefix(f.Path, folder+"/")))
		if !strings.HasPrefix(target, into+string(filepath.Separator)) {
			return "", fmt.Errorf("%s has a name that leads elsewhere", f.where())
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return "", err
		}
		if err := os.WriteFile(target, f.Data, 0o600); err != nil {
			return "", err
		}
	}
	if folder == name {
		return into, nil
	}
	return filepath.Join(into, path.Base(name)), nil
}

// listed reads what ansible-inventory --list prints.
func listed(data []byte) (*hosts, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, errors.New("ansible-inventory printed something that is not JSON")
	}
	var meta struct {
		Hostvars map[string]map[string]any `json:"hostvars"`
	}
	if err := json.Unmarshal(raw["_meta"], &meta); err != nil {
		return nil, errors.New("ansible-inventory printed no variables of hosts")
	}
	type group struct{ Hosts, Children []string }
	groups := map[string]group{}
	for name, text := range raw {
		if name == "_meta" {
			continue
		}
		var g group
		if err := json.Unmarshal(text, &g); err != nil {
			return nil, fmt.Errorf("ansible-inventory printed a group %s that is not understood", name)
		}
		groups[name] = g
	}
	out := &hosts{groups: map[string][]string{}, vars: meta.Hostvars}
	var members func(name string, seen map[string]bool) []string
	members = func(name string, seen map[string]bool) []string {
		if seen[name] {
			return nil
		}
		seen[name] = true
		all := slices.Clone(groups[name].Hosts)
		for _, child := range groups[name].Children {
			all = append(all, members(child, seen)...)
		}
		return all
	}
	for name := range groups {
		all := members(name, map[string]bool{})
		slices.Sort(all)
		out.groups[name] = slices.Compact(all)
	}
	return out, nil
}

// text returns a string variable of a host, filled with the host's other variables.
func (h *hosts) text(host, name string) (string, bool) {
	value, ok := h.vars[host][name].(string)
	if !ok {
		return "", false
	}
	own := variables{}
	for key, other := range h.vars[host] {
		if text, ok := other.(string); ok {
			own[key] = text
		}
	}
	value = expression.ReplaceAllStringFunc(value, func(found string) string { return fill(found, own, 0) })
	return value, !unfilled(value)
}

// common returns the variables that have the same value on all hosts that have them.
func (h *hosts) common() variables {
	out, differ := variables{}, map[string]bool{}
	for host := range h.vars {
		for name := range h.vars[host] {
			value, ok := h.text(host, name)
			if before, known := out[name]; !ok || known && before != value {
				differ[name] = true
			}
			out[name] = value
		}
	}
	for name := range differ {
		out[name] = string(hole)
	}
	return out
}
