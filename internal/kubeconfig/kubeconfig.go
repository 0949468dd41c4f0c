// SPDX-License-Identifier: GPL-3.0-or-later

// Package kubeconfig reads kubeconfig files, more strictly than client-go: it
// refuses programs, providers, impersonation and proxies, so that requests go to
// the server in the file, and only there. It does not decide which servers are
// allowed; package boundary does.
package kubeconfig

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
	"k8s.io/client-go/transport"
)

// Access has the server and the credentials of one context.
type Access struct {
	Server      *url.URL            // https, host and port alone
	Groups      []string            // of the client certificate; empty without one
	authorities []*x509.Certificate // at least one
	config      transport.Config
}

// Read reads a file; an empty context is the file's current one. It sends nothing,
// ignores the environment, and returns errors without secrets or
// addresses. It refuses credentials from programs and plugins, passwords,
// impersonation, proxies, a server without https or without a CA, and unknown keys.
func Read(file, context string) (*Access, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return parse(data, filepath.Dir(file), context)
}

// CASHA256 is the SHA-256, hexadecimal, of each certificate of the server's CA.
func (a *Access) CASHA256() []string {
	var sums []string
	for _, certificate := range a.authorities {
		sum := sha256.Sum256(certificate.Raw)
		sums = append(sums, hex.EncodeToString(sum[:]))
	}
	return sums
}

// Transport sends requests with the file's credentials, as client-go does.
// It calls address for each new connection, and resolves the server's
// name only if that returns an empty string. It ignores proxies and other settings
// of the environment.
func (a *Access) Transport(address func() string) (http.RoundTripper, error) {
	config := a.config
	config.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	config.DialHolder = &transport.DialHolder{Dial: func(ctx context.Context, network, asked string) (net.Conn, error) {
		if to := address(); to != "" {
			_, port, err := net.SplitHostPort(asked)
			if err != nil {
				return nil, err
			}
			asked = net.JoinHostPort(to, port)
		}
		return dialer.DialContext(ctx, network, asked)
	}}
	return transport.New(&config)
}

// entry is one of the named lists of a kubeconfig.
type entry struct {
	Name    string    `yaml:"name"`
	Cluster yaml.Node `yaml:"cluster"`
	User    yaml.Node `yaml:"user"`
	Context yaml.Node `yaml:"context"`
}

func parse(data []byte, home, context string) (a *Access, err error) {
	defer func() {
		if recover() != nil { // yaml.v3 panics on some input
			a, err = nil, errors.New("it is not YAML")
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
		return nil, errors.New("it is not a kubeconfig that can be read") // errors of yaml.v3 may quote secrets
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
	a = &Access{config: transport.Config{UserAgent: "arcodange.sandbox"}}
	if err := a.cluster(&cluster.Cluster, home); err != nil {
		return nil, err
	}
	if err := a.user(&user.User, home); err != nil {
		return nil, err
	}
	return a, nil
}

// one returns the entry with a name. Two are an error, since programs differ in which one they use.
func one(what string, list []entry, name string) (entry, error) {
	found := slices.DeleteFunc(slices.Clone(list), func(e entry) bool { return e.Name != name })
	if name == "" || len(found) != 1 {
		return entry{}, fmt.Errorf("it has %d entries for the %s %q; there must be one", len(found), what, name)
	}
	return found[0], nil
}

// reasons are the errors of refused fields of a user.
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
	"insecure-skip-tls-verify": "it accepts any server (insecure-skip-tls-verify); give the cluster's CA",
}

// texts reads a mapping with only the allowed keys.
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
			return nil, fmt.Errorf("%s has an unknown key %q", what, key)
		}
		if _, twice := out[key]; twice {
			return nil, fmt.Errorf("%s has %q twice", what, key)
		}
		out[key] = value.Value
	}
	return out, nil
}

func (a *Access) cluster(n *yaml.Node, home string) error {
	fields, err := texts(n, "the cluster", "server", "certificate-authority", "certificate-authority-data", "tls-server-name", "disable-compression", "extensions")
	if err != nil {
		return err
	}
	server, err := url.Parse(fields["server"])
	if err != nil || server.Scheme != "https" || server.Host == "" || server.User != nil || server.RawQuery != "" || strings.Trim(server.Path, "/") != "" {
		return errors.New("its server is not https://HOST:PORT")
	}
	a.Server = &url.URL{Scheme: "https", Host: server.Host}
	a.config.TLS.ServerName = fields["tls-server-name"]
	authority, err := content(fields, "certificate-authority", home)
	if err != nil {
		return err
	}
	if a.authorities, err = certificates(authority); err != nil {
		return errors.New("its certificate-authority cannot be read")
	}
	if len(a.authorities) == 0 {
		return errors.New("it has no certificate-authority, so any server that the system trusts is accepted; give the cluster's CA")
	}
	a.config.TLS.CAData = authority
	return nil
}

func (a *Access) user(n *yaml.Node, home string) error {
	fields, err := texts(n, "the user", "token", "tokenFile", "client-certificate", "client-certificate-data", "client-key", "client-key-data", "extensions")
	if err != nil {
		return err
	}
	token := fields["token"]
	if name := fields["tokenFile"]; name != "" && token == "" {
		text, err := os.ReadFile(resolve(name, home))
		if err != nil {
			return fmt.Errorf("reading tokenFile: %w", err)
		}
		token = strings.TrimSpace(string(text))
	}
	if strings.ContainsAny(token, " \t\r\n") {
		return errors.New("token: contains whitespace")
	}
	a.config.BearerToken = token
	certificate, err := content(fields, "client-certificate", home)
	if err != nil {
		return err
	}
	if certificate == nil {
		if token == "" {
			return errors.New("its user has neither a token nor a client certificate")
		}
		return nil
	}
	chain, err := certificates(certificate)
	if err != nil {
		return errors.New("its client certificate cannot be read")
	}
	for _, one := range chain {
		a.Groups = append(a.Groups, one.Subject.Organization...)
	}
	key, err := content(fields, "client-key", home)
	if err != nil {
		return err
	}
	if _, err := tls.X509KeyPair(certificate, key); err != nil {
		return errors.New("its client certificate and key do not fit together")
	}
	a.config.TLS.CertData, a.config.TLS.KeyData = certificate, key
	return nil
}

// certificates parses the certificates of a PEM text; like crypto/tls it ignores other blocks.
func certificates(text []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return all, nil
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, certificate)
	}
}

// content returns the value of a field (NAME-data, base64) or of its file; nil if neither is set.
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
