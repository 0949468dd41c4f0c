// SPDX-License-Identifier: GPL-3.0-or-later

package references

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"path/filepath"

	"github.com/arcodange-org/sandbox/internal/boundary"
)

// kubeconfig reads every cluster of a kubeconfig file, not only the current context's, since --context selects any of them.
func (r Reader) kubeconfig(file string) []Finding {
	data, err := read(file)
	if err != nil {
		return []Finding{problem("kubeconfig", file, "it cannot be read (%s)", reason(err))}
	}
	return kubeconfig(file, data)
}

func kubeconfig(file string, data []byte) []Finding {
	docs, err := documents(data)
	if err == nil && len(docs) != 1 {
		err = errors.New("it must hold one document")
	}
	if err != nil {
		return []Finding{problem("kubeconfig", file, "it cannot be read (%v)", err)}
	}
	root := docs[0]
	if kind := get(root, "kind"); kind.Value != "Config" {
		return []Finding{problem("kubeconfig", at(file, root.Line), "it is not a kubeconfig")}
	}
	var found []Finding
	clusters := map[string]bool{}
	for _, entry := range items(get(root, "clusters")) {
		name, cluster := get(entry, "name").Value, get(entry, "cluster")
		clusters[name] = true
		server := get(cluster, "server")
		if server.Value == "" {
			found = append(found, problem("cluster "+name, at(file, entry.Line), "it has no server, so kubectl's own default decides"))
			continue
		}
		where := at(file, server.Line)
		if insecure := get(cluster, "insecure-skip-tls-verify"); is(insecure) && insecure.Value != "false" {
			found = append(found, problem("cluster "+name, at(file, insecure.Line), "insecure-skip-tls-verify accepts any server; give the cluster's CA"))
		}
		if proxy := get(cluster, "proxy-url"); proxy.Value != "" {
			found = append(found, target(boundary.Endpoint, proxy.Value, at(file, proxy.Line)))
		}
		if name := get(cluster, "tls-server-name"); name.Value != "" { // the server behind a forwarded port
			found = append(found, known(boundary.Host, name.Value, at(file, name.Line)))
		}
		sums, err := caSums(cluster2ca(file, get(cluster, "certificate-authority-data").Value, get(cluster, "certificate-authority").Value))
		if err != nil {
			found = append(found, problem("cluster "+name, where, "its CA cannot be read (%v)", err))
		}
		found = append(found, kube(server.Value, sums, where)...)
	}
	for _, entry := range items(get(root, "users")) {
		for _, key := range []string{"exec", "auth-provider"} {
			if program := get(entry, "user", key); is(program) {
				found = append(found, problem("user "+get(entry, "name").Value, at(file, program.Line), "its %s runs a program or asks another server, which may lead anywhere", key))
			}
		}
	}
	for _, entry := range items(get(root, "contexts")) {
		if cluster := get(entry, "context", "cluster"); !clusters[cluster.Value] {
			found = append(found, problem("context "+get(entry, "name").Value, at(file, entry.Line), "its cluster is in another file"))
		}
	}
	// A missing current context is an error in every client: there is no fallback.
	nowhere := get(root, "current-context").Value != "" && len(items(get(root, "contexts"))) == 0
	if len(found) == 0 && len(clusters) == 0 && !nowhere {
		return []Finding{problem("kubeconfig", at(file, root.Line), "it has no cluster, so programs use another file")}
	}
	return found
}

// kube is a target for each certificate that the CA may be.
func kube(server string, sums []string, from string) []Finding {
	if len(sums) == 0 {
		return []Finding{target(boundary.Kube, server, from)}
	}
	var found []Finding
	for _, sum := range sums {
		f := target(boundary.Kube, server, from)
		f.Target.CASHA256 = sum
		found = append(found, f)
	}
	return found
}

func cluster2ca(file, data, path string) ([]byte, error) {
	if data != "" {
		decoded, err := base64.StdEncoding.DecodeString(data)
		if err != nil {
			return nil, errors.New("it is not base64")
		}
		return decoded, nil
	}
	if path == "" {
		return nil, nil
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(file), path)
	}
	pem, err := read(path)
	if err != nil {
		return nil, errors.New(reason(err))
	}
	return pem, nil
}

// caSums returns the SHA-256 of the certificates in a PEM file; none if there is no file.
func caSums(data []byte, err error) ([]string, error) {
	if err != nil || data == nil {
		return nil, err
	}
	var sums []string
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" || block.Type == "TRUSTED CERTIFICATE" {
			sum := sha256.Sum256(block.Bytes)
			sums = append(sums, hex.EncodeToString(sum[:]))
		}
	}
	if len(sums) == 0 {
		return nil, errors.New("it holds no certificate")
	}
	return sums, nil
}
