// SPDX-License-Identifier: GPL-3.0-or-later

package references

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/lazyregexp"
	"github.com/arcodange-org/sandbox/internal/xdg"
)

var localSocket = lazyregexp.New(`^(?:/var)?/run/(?:docker|podman/podman)\.sock$|^/run/user/\d+/(?:docker|podman/podman)\.sock$`)

// guardsOwn returns whether a program is the guard's ssh in the PATH of a run.
func (r Reader) guardsOwn(program string) bool {
	state, err := xdg.State(r.getenv)
	if err != nil {
		return false
	}
	own, err := filepath.Match(filepath.Join(state, "programs", strings.Repeat("[0-9a-f]", 16), "ssh"), program)
	return err == nil && own
}

func (r Reader) environment() []Finding {
	var found []Finding
	seen := map[string]bool{}
	for _, entry := range r.Environ {
		name, _, ok := strings.Cut(entry, "=")
		if !ok || seen[name] {
			continue
		}
		seen[name] = true
		value, from := r.getenv(name), "environment variable "+name
		if value == "" {
			continue // programs treat an empty variable as unset
		}
		if (name == "GIT_SSH_COMMAND" || name == "RSYNC_RSH") && r.guardsOwn(value) {
			continue
		}
		class := Classify(name)
		switch {
		case name == "KUBECONFIG":
			found = append(found, r.kubeconfigs(value, from)...)
		case vaultVariable.MatchString(name):
			found = append(found, target(boundary.Vault, value, from))
		case name == "PGHOST" || name == "PGHOSTADDR":
			found = append(found, r.pghost(value, from)...)
		case name == "PGDATABASE" && strings.ContainsAny(value, "/="): // some programs accept a connection string here
			found = append(found, target(boundary.Database, value, from))
		case databaseVariable.MatchString(name):
			if strings.ContainsAny(value, "/=(") {
				found = append(found, target(boundary.Database, value, from))
			} else {
				found = append(found, problem(name, from, "it is neither a URL nor a DSN"))
			}
		case name == "DOCKER_HOST" || name == "CONTAINER_HOST":
			found = append(found, dockerHost(value, from)...)
		case proxyVariable.MatchString(name):
			if !strings.Contains(value, "://") {
				value = "http://" + value
			}
			found = append(found, target(boundary.Endpoint, value, from))
		case name == "DOCKER_CONTEXT" && value == "default": // of no configuration
		case class == Credential || class == AnsibleSetting:
			found = append(found, target(boundary.Environment, name, from))
			if endpointVariable.MatchString(name) {
				found = append(found, target(boundary.Endpoint, value, from))
			}
		}
		if class != Process {
			found = append(found, search(name, value, from))
		}
	}
	found = append(found, r.DockerContext()...)
	// Default files of programs.
	if r.Home != "" {
		for variable, name := range map[string]string{"KUBECONFIG": ".kube/config", "PGPASSFILE": ".pgpass", "PGSERVICEFILE": ".pg_service.conf"} {
			file := filepath.Join(r.Home, name)
			if _, err := os.Lstat(file); r.getenv(variable) != "" || os.IsNotExist(err) {
				continue
			}
			if variable == "KUBECONFIG" {
				found = append(found, r.kubeconfig(file)...)
			} else {
				f := target(boundary.Environment, variable, file)
				found = append(found, f)
			}
		}
		slices.SortStableFunc(found, func(a, b Finding) int { return strings.Compare(a.Target.From, b.Target.From) })
	}
	return found
}

// kubeconfigs reads a list of files; client-go ignores missing ones, unless all are missing.
func (r Reader) kubeconfigs(list, from string) []Finding {
	var found []Finding
	files := 0
	for _, file := range filepath.SplitList(list) {
		if file == "" {
			continue
		}
		if _, err := os.Lstat(file); os.IsNotExist(err) {
			continue
		}
		files++
		for _, f := range r.kubeconfig(file) {
			f.Target.From += " (" + from + ")"
			found = append(found, f)
		}
	}
	if files == 0 {
		found = append(found, problem("KUBECONFIG", from, "none of its files exists, so their content is unknown"))
	}
	return found
}

// pghost reads a list of hosts of libpq's.
func (r Reader) pghost(list, from string) []Finding {
	if strings.ContainsAny(list, "'= \t") {
		return []Finding{problem("PGHOST", from, "it is not a list of hosts")}
	}
	dsn := "host=" + list
	if port := r.getenv("PGPORT"); port != "" {
		if strings.Trim(port, "0123456789,") != "" {
			return []Finding{problem("PGPORT", "environment variable PGPORT", "it is not a list of ports")}
		}
		dsn += " port=" + port
	}
	return []Finding{target(boundary.Database, dsn, from)}
}

// dockerHost reads DOCKER_HOST and the like. The default sockets are this machine's.
func dockerHost(value, from string) []Finding {
	scheme, rest, _ := strings.Cut(value, "://")
	switch {
	case scheme == "unix" && localSocket.MatchString(rest):
		return nil
	case scheme == "unix" || scheme == "npipe" || scheme == "fd":
		return []Finding{problem(strings.TrimPrefix(from, "environment variable "), from, "it is a socket at an unusual path, so the process behind it is unknown")}
	case scheme == "ssh":
		return []Finding{target(boundary.Host, value, from)}
	}
	return []Finding{target(boundary.Endpoint, value, from)}
}

// DockerContext returns the Docker host that the context in the user's
// configuration names; nothing if DOCKER_HOST is set or the host is this machine.
func (r Reader) DockerContext() []Finding {
	directory := r.getenv("DOCKER_CONFIG")
	if r.getenv("DOCKER_HOST") != "" || directory == "" && r.Home == "" {
		return nil
	}
	if directory == "" {
		directory = filepath.Join(r.Home, ".docker")
	}
	unreadable := func(file string, err error) []Finding {
		return []Finding{problem("docker's context", file, "it cannot be read (%s), so docker's host is unknown", reason(err))}
	}
	name := r.getenv("DOCKER_CONTEXT")
	if name == "" {
		file := filepath.Join(directory, "config.json")
		data, err := read(file)
		if os.IsNotExist(err) {
			return nil
		}
		var config struct {
			CurrentContext string `json:"currentContext"`
		}
		if err == nil && json.Unmarshal(data, &config) != nil {
			err = errors.New("it is not what docker writes")
		}
		if err != nil {
			return unreadable(file, err)
		}
		name = config.CurrentContext
	}
	if name == "" || name == "default" {
		return nil
	}
	sum := sha256.Sum256([]byte(name))
	file := filepath.Join(directory, "contexts", "meta", hex.EncodeToString(sum[:]), "meta.json")
	data, err := read(file)
	var meta struct {
		Endpoints map[string]struct{ Host string }
	}
	if err == nil && (json.Unmarshal(data, &meta) != nil || meta.Endpoints["docker"].Host == "") {
		err = errors.New("it names no host")
	}
	if err != nil {
		return unreadable(file, err)
	}
	host := meta.Endpoints["docker"].Host
	if strings.HasPrefix(host, "unix://") { // of this machine, or of a virtual machine on it
		return nil
	}
	return dockerHost(host, file)
}
