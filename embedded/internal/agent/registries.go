// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/arcodange-org/sandbox/embedded/internal/limits"
	"github.com/arcodange-org/sandbox/embedded/internal/pki"
)

// Registries is k3s's registries.yaml.
type Registries struct {
	Mirrors map[string]Mirror   `json:"mirrors"`
	Configs map[string]Registry `json:"configs"`
}

// Mirror is where a registry's images come from instead; what it does not have comes from the registry itself.
type Mirror struct {
	Endpoints []string          `json:"endpoint"`
	Rewrites  map[string]string `json:"rewrite"`
}

// Registry is how to connect to a registry or mirror.
type Registry struct {
	Auth *Auth `json:"auth"`
	TLS  *TLS  `json:"tls"`
}

// Auth are credentials: user and password, both in one as in Docker's configuration, or a token.
type Auth struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	Auth          string `json:"auth"`
	IdentityToken string `json:"identity_token"`
}

// TLS are files, and whether the server's certificate is believed unseen.
type TLS struct {
	CA                 string `json:"ca_file"`
	Cert               string `json:"cert_file"`
	Key                string `json:"key_file"`
	InsecureSkipVerify bool   `json:"insecure_skip_verify"`
}

// readRegistries reads registries.yaml. What cannot be done is refused; all of it is named.
func readRegistries(path string) (Registries, error) {
	var r Registries
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("reading the registries: %w", err)
	}
	if err := yaml.UnmarshalStrict(data, &r); err != nil {
		return r, fmt.Errorf("%s: %s", path, strings.Join(strings.Fields(err.Error()), " "))
	}
	var problems []string
	for _, name := range slices.Sorted(maps.Keys(r.Mirrors)) {
		mirror := r.Mirrors[name]
		if len(mirror.Rewrites) > 0 {
			problems = append(problems, fmt.Sprintf("mirrors.%s.rewrite: %s", name, limits.Find("file", "registries.yaml: rewrite")))
		}
		for _, endpoint := range mirror.Endpoints {
			if _, _, err := endpointURL(endpoint); err != nil {
				problems = append(problems, fmt.Sprintf("mirrors.%s.endpoint: %v", name, err))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Configs)) {
		tls := r.Configs[name].TLS
		if tls == nil {
			continue
		}
		if (tls.Cert == "") != (tls.Key == "") {
			problems = append(problems, fmt.Sprintf("configs.%s.tls: cert_file and key_file go together", name))
		}
		for _, file := range []string{tls.CA, tls.Cert, tls.Key} {
			if file == "" {
				continue
			}
			if _, err := os.Stat(file); err != nil {
				problems = append(problems, fmt.Sprintf("configs.%s.tls: %v", name, err))
			}
		}
	}
	if len(problems) > 0 {
		return r, fmt.Errorf("%s: %s", path, strings.Join(problems, "; "))
	}
	return r, nil
}

// endpointURL completes a mirror's address as k3s does: https, unless it is loopback with a port, and the path /v2.
// own tells that the path is the mirror's own.
func endpointURL(endpoint string) (u *url.URL, own bool, err error) {
	text := endpoint
	if !strings.Contains(text, "://") {
		text = "//" + text
	}
	u, err = url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https" {
		return nil, false, fmt.Errorf("not an address of a registry (got %q); use https://host:port", endpoint)
	}
	if u.Scheme == "" {
		u.Scheme = "https"
		if loopback := u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1"; loopback && u.Port() != "" && u.Port() != "443" {
			u.Scheme = "http"
		}
	}
	u.Host = realHost(u.Host)
	switch strings.TrimSuffix(u.Path, "/") {
	case "", "/v2":
		u.Path = "/v2"
		return u, false, nil
	}
	return u, true, nil
}

// realHost is where Docker Hub really is.
func realHost(name string) string {
	if name == "docker.io" {
		return "registry-1.docker.io"
	}
	return name
}

// settings are those of a host, whichever of Docker Hub's names they stand under.
func (r Registries) settings(host string) Registry {
	if c, ok := r.Configs[host]; ok {
		return c
	}
	if host == realHost("docker.io") {
		return r.Configs["docker.io"]
	}
	return r.Configs[realHost(host)]
}

// writeHosts writes containerd's hosts.toml for each registry, and removes those of registries that are gone.
func (r Registries) writeHosts(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("removing the registries: %w", err)
	}
	names := map[string]bool{}
	for name := range r.Mirrors {
		names[name] = true
	}
	for name, c := range r.Configs {
		if c.TLS != nil {
			names[name] = true
		}
	}
	for name := range names {
		directory := name
		if name == "*" {
			directory = "_default"
		}
		if err := pki.WriteFile(filepath.Join(dir, directory, "hosts.toml"), []byte(r.hosts(name)), 0o600); err != nil {
			return fmt.Errorf("writing the registries: %w", err)
		}
	}
	return os.MkdirAll(dir, 0o755)
}

// hosts is hosts.toml of a registry: its mirrors in their order, then the registry itself.
func (r Registries) hosts(name string) string {
	text := strings.Builder{}
	text.WriteString("# Written by k3s at every start, from registries.yaml.\n")
	var hosts strings.Builder
	done := map[string]bool{}
	add := func(u *url.URL, own bool) {
		if done[u.String()] {
			return
		}
		done[u.String()] = true
		fmt.Fprintf(&hosts, "[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", u)
		if own {
			hosts.WriteString("  override_path = true\n")
		}
		tls := r.settings(u.Host).TLS
		if tls == nil {
			return
		}
		if tls.CA != "" {
			fmt.Fprintf(&hosts, "  ca = [%q]\n", tls.CA)
		}
		if tls.Cert != "" {
			fmt.Fprintf(&hosts, "  client = [[%q, %q]]\n", tls.Cert, tls.Key)
		}
		if tls.InsecureSkipVerify {
			hosts.WriteString("  skip_verify = true\n")
		}
	}
	for _, endpoint := range r.Mirrors[name].Endpoints {
		if u, own, err := endpointURL(endpoint); err == nil {
			add(u, own)
		}
	}
	if name != "*" {
		if u, _, err := endpointURL(name); err == nil {
			fmt.Fprintf(&text, "server = %q\n", u.Scheme+"://"+u.Host)
			add(u, false)
		}
	}
	return text.String() + "\n" + hosts.String()
}

// auths are the credentials by host, for containerd's own configuration.
func (r Registries) auths() map[string]Auth {
	auths := map[string]Auth{}
	for name, c := range r.Configs {
		if c.Auth != nil {
			auths[realHost(name)] = *c.Auth
		}
	}
	return auths
}
