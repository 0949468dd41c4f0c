// SPDX-License-Identifier: GPL-3.0-or-later

package live

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"gopkg.in/yaml.v3"
	"k8s.io/client-go/transport"
)

// kubeconfig is what is read of such a file. client-go's own reader of it links
// half of Kubernetes's machinery, which a kit in a collection has no room for.
type kubeconfig struct {
	Kind     string `yaml:"kind"`
	Current  string `yaml:"current-context"`
	Contexts []struct {
		Name    string `yaml:"name"`
		Context struct {
			Cluster string `yaml:"cluster"`
			User    string `yaml:"user"`
		} `yaml:"context"`
	} `yaml:"contexts"`
	Clusters []struct {
		Name    string  `yaml:"name"`
		Cluster cluster `yaml:"cluster"`
	} `yaml:"clusters"`
	Users []struct {
		Name string `yaml:"name"`
		User user   `yaml:"user"`
	} `yaml:"users"`
}

type cluster struct {
	Server     string `yaml:"server"`
	CA         string `yaml:"certificate-authority"`
	CAData     string `yaml:"certificate-authority-data"`
	ServerName string `yaml:"tls-server-name"`
	Insecure   bool   `yaml:"insecure-skip-tls-verify"`
	Proxy      string `yaml:"proxy-url"`
}

type user struct {
	Certificate     string              `yaml:"client-certificate"`
	CertificateData string              `yaml:"client-certificate-data"`
	Key             string              `yaml:"client-key"`
	KeyData         string              `yaml:"client-key-data"`
	Token           string              `yaml:"token"`
	TokenFile       string              `yaml:"tokenFile"`
	Username        string              `yaml:"username"`
	Password        string              `yaml:"password"`
	As              string              `yaml:"as"`
	AsUID           string              `yaml:"as-uid"`
	AsGroups        []string            `yaml:"as-groups"`
	AsExtra         map[string][]string `yaml:"as-user-extra"`
	Exec            yaml.Node           `yaml:"exec"`
	Provider        yaml.Node           `yaml:"auth-provider"`
}

// read is where a context of a kubeconfig leads, and how to speak there. Only
// this file takes part: neither the environment nor another file does.
func read(file, wanted string) (*url.URL, *transport.Config, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return nil, nil, err
	}
	var config kubeconfig
	if err := yaml.Unmarshal(data, &config); err != nil || config.Kind != "Config" {
		return nil, nil, errors.New("it is not a kubeconfig") // the parser's own words may quote credentials
	}
	if wanted == "" {
		wanted = config.Current
	}
	var of, from string
	found := 0
	for _, c := range config.Contexts {
		if c.Name == wanted {
			of, from = c.Context.Cluster, c.Context.User
			found++
		}
	}
	if found != 1 {
		return nil, nil, fmt.Errorf("it has %d contexts %q; name one that stands there once", found, wanted)
	}
	var at cluster
	var as user
	clusters, users := 0, 0
	for _, c := range config.Clusters {
		if c.Name == of {
			at = c.Cluster
			clusters++
		}
	}
	for _, u := range config.Users {
		if u.Name == from {
			as = u.User
			users++
		}
	}
	server, err := url.Parse(at.Server)
	switch {
	case clusters != 1 || users != 1:
		return nil, nil, fmt.Errorf("the context %s names a cluster and a user that do not stand there once", wanted)
	case err != nil || server.Scheme != "https" || server.Hostname() == "" || server.User != nil || server.RawQuery != "":
		return nil, nil, fmt.Errorf("the server of the cluster %s is not https://host:port", of)
	case !as.Exec.IsZero():
		return nil, nil, fmt.Errorf("the user %s gets credentials from a program (exec), which is not run: give a certificate or a token", from)
	case !as.Provider.IsZero():
		return nil, nil, fmt.Errorf("the user %s gets credentials from a plugin (auth-provider), which is not run: give a certificate or a token", from)
	case at.Proxy != "":
		return nil, nil, fmt.Errorf("the cluster %s is behind a proxy (proxy-url), which is not used", of)
	case at.Insecure:
		return nil, nil, fmt.Errorf("the cluster %s has insecure-skip-tls-verify, which believes whoever answers: give its CA", of)
	}
	speak := &transport.Config{
		UserAgent: "arcodange.sandbox parity_assert",
		Username:  as.Username, Password: as.Password, BearerToken: as.Token, BearerTokenFile: beside(file, as.TokenFile),
		Impersonate: transport.ImpersonationConfig{UserName: as.As, UID: as.AsUID, Groups: as.AsGroups, Extra: as.AsExtra},
		TLS:         transport.TLSConfig{ServerName: at.ServerName},
	}
	for _, part := range []struct {
		what, data, path string
		into             *[]byte
	}{
		{"the CA of the cluster " + of, at.CAData, at.CA, &speak.TLS.CAData},
		{"the certificate of the user " + from, as.CertificateData, as.Certificate, &speak.TLS.CertData},
		{"the key of the user " + from, as.KeyData, as.Key, &speak.TLS.KeyData},
	} {
		if *part.into, err = content(file, part.data, part.path); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", part.what, err)
		}
	}
	return server, speak, nil
}

// content is what stands in the file, or in one that it names; nil for neither.
func content(file, data, path string) ([]byte, error) {
	switch {
	case data != "":
		plain, err := base64.StdEncoding.DecodeString(data)
		if err != nil {
			return nil, errors.New("it is not base64")
		}
		return plain, nil
	case path != "":
		return os.ReadFile(beside(file, path))
	}
	return nil, nil
}

// beside is a path as a kubeconfig means it: relative to itself.
func beside(file, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(file), path)
}
