// SPDX-License-Identifier: GPL-3.0-or-later

// Package readonly opens a kubeconfig that can only read, and refuses every
// other. It looks at the file before anything is sent, asks the API server what
// the credentials may do before anything is read, and lets nothing through but
// reading. Which clusters may be asked at all is not its question: that is the
// boundary's.
package readonly

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// masters is the group that the API server lets do everything, whatever RBAC says.
const masters = "system:masters"

// credentials are what a kubeconfig gives to reach one cluster.
type credentials struct {
	server     *url.URL
	serverName string // for TLS; empty if it is the server's own
	roots      *x509.CertPool
	token      string
	certs      []tls.Certificate
}

// entry is one of the named lists of a kubeconfig.
type entry struct {
	Name    string    `yaml:"name"`
	Cluster yaml.Node `yaml:"cluster"`
	User    yaml.Node `yaml:"user"`
	Context yaml.Node `yaml:"context"`
}

// read looks at a kubeconfig. Nothing in an error is a secret or an address.
func read(file, context string) (*credentials, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return parse(data, filepath.Dir(file), context)
}

func parse(data []byte, home, context string) (c *credentials, err error) {
	defer func() {
		if recover() != nil { // yaml.v3 panics on some input
			c, err = nil, errors.New("it is not YAML")
		}
	}()
	var config struct {
		Kind           string  `yaml:"kind"`
		CurrentContext string  `yaml:"current-context"`
		Clusters       []entry `yaml:"clusters"`
		Users          []entry `yaml:"users"`
		Contexts       []entry `yaml:"contexts"`
	}
	if err := yaml.Unmarshal(data, &config); err != nil {
		return nil, errors.New("it is not a kubeconfig that can be read") // yaml.v3 may quote what it could not read
	}
	if config.Kind != "Config" {
		return nil, errors.New("it is not a kubeconfig")
	}
	if context == "" {
		context = config.CurrentContext
	}
	chosen, err := one("context", config.Contexts, context)
	if err != nil {
		return nil, err
	}
	fields, err := texts(&chosen.Context, "the context", "cluster", "user", "namespace", "extensions")
	if err != nil {
		return nil, err
	}
	cluster, err := one("cluster", config.Clusters, fields["cluster"])
	if err != nil {
		return nil, err
	}
	user, err := one("user", config.Users, fields["user"])
	if err != nil {
		return nil, err
	}
	c = &credentials{}
	if err := c.cluster(&cluster.Cluster, home); err != nil {
		return nil, err
	}
	if err := c.user(&user.User, home); err != nil {
		return nil, err
	}
	return c, nil
}

// one is the entry of a name. Of two, programs take the one or the other.
func one(what string, list []entry, name string) (entry, error) {
	found := slices.DeleteFunc(slices.Clone(list), func(e entry) bool { return e.Name != name })
	if name == "" || len(found) != 1 {
		return entry{}, fmt.Errorf("it has %d entries for the %s %q; there must be one", len(found), what, name)
	}
	return found[0], nil
}

// reasons say why a field of a user is refused.
var reasons = map[string]string{
	"exec":                     "it runs a program for its credentials (exec), which could give any; give a token",
	"auth-provider":            "it asks a provider for its credentials (auth-provider), which could give any; give a token",
	"as":                       "it acts as another user (as)",
	"as-uid":                   "it acts as another user (as-uid)",
	"as-groups":                "it acts for other groups (as-groups)",
	"as-user-extra":            "it acts as another user (as-user-extra)",
	"username":                 "it logs in with a password; give a token",
	"password":                 "it logs in with a password; give a token",
	"proxy-url":                "it goes through a proxy (proxy-url), which sees and may change everything",
	"insecure-skip-tls-verify": "it believes whoever answers (insecure-skip-tls-verify); give the cluster's CA",
}

// texts reads a mapping of which only the named keys may be set.
func texts(n *yaml.Node, what string, allowed ...string) (map[string]string, error) {
	if n.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s is empty", what)
	}
	out := map[string]string{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i].Value, n.Content[i+1]
		if value.Tag == "!!null" || value.Tag == "!!bool" && value.Value == "false" {
			continue
		}
		if !slices.Contains(allowed, key) {
			if reason, known := reasons[key]; known {
				return nil, errors.New(reason)
			}
			return nil, fmt.Errorf("%s has %q, of which it is not known what it does", what, key)
		}
		if _, twice := out[key]; twice {
			return nil, fmt.Errorf("%s has %q twice", what, key)
		}
		out[key] = value.Value
	}
	return out, nil
}

func (c *credentials) cluster(n *yaml.Node, home string) error {
	fields, err := texts(n, "the cluster", "server", "certificate-authority", "certificate-authority-data", "tls-server-name", "disable-compression", "extensions")
	if err != nil {
		return err
	}
	c.server, err = url.Parse(fields["server"])
	if err != nil || c.server.Scheme != "https" || c.server.Host == "" || c.server.User != nil || c.server.RawQuery != "" || strings.Trim(c.server.Path, "/") != "" {
		return errors.New("its server is not https://HOST:PORT")
	}
	c.serverName = fields["tls-server-name"]
	authority, err := content(fields, "certificate-authority", home)
	if err != nil {
		return err
	}
	c.roots = x509.NewCertPool()
	if !c.roots.AppendCertsFromPEM(authority) {
		return errors.New("it has no certificate-authority, so that whoever the system trusts could answer; give the cluster's CA")
	}
	return nil
}

func (c *credentials) user(n *yaml.Node, home string) error {
	fields, err := texts(n, "the user", "token", "tokenFile", "client-certificate", "client-certificate-data", "client-key", "client-key-data", "extensions")
	if err != nil {
		return err
	}
	c.token = fields["token"]
	if name := fields["tokenFile"]; name != "" && c.token == "" {
		text, err := os.ReadFile(resolve(name, home))
		if err != nil {
			return fmt.Errorf("reading tokenFile: %w", err)
		}
		c.token = strings.TrimSpace(string(text))
	}
	if strings.ContainsAny(c.token, " \t\r\n") {
		return errors.New("its token is not one")
	}
	cert, err := content(fields, "client-certificate", home)
	if err != nil {
		return err
	}
	if cert == nil {
		if c.token == "" {
			return errors.New("its user has neither a token nor a client certificate")
		}
		return nil
	}
	for rest := cert; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		parsed, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return errors.New("its client certificate cannot be read")
		}
		if slices.Contains(parsed.Subject.Organization, masters) {
			return fmt.Errorf("its client certificate is of the group %s, which may do everything; give one of a user who may only read", masters)
		}
	}
	key, err := content(fields, "client-key", home)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return errors.New("its client certificate and key do not fit together")
	}
	c.certs = []tls.Certificate{pair}
	return nil
}

// content is what a field holds in itself (NAME-data, base64) or in a file; nil if neither is set.
func content(fields map[string]string, name, home string) ([]byte, error) {
	if data := fields[name+"-data"]; data != "" {
		decoded, err := base64.StdEncoding.DecodeString(data)
		if err != nil {
			return nil, fmt.Errorf("its %s-data is not base64", name)
		}
		return bytes.TrimSpace(decoded), nil
	}
	if fields[name] == "" {
		return nil, nil
	}
	data, err := os.ReadFile(resolve(fields[name], home))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return bytes.TrimSpace(data), nil
}

func resolve(name, home string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(home, name)
}
