// SPDX-License-Identifier: GPL-3.0-or-later

package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/embedded/internal/config"
)

// Certificate is what `k3s certificate check` shows of a file.
type Certificate struct {
	File, Subject, Usages string
	Until                 time.Time
}

// List returns the certificates of server and agent under the data directory.
func List(dir string) ([]Certificate, error) {
	var found []Certificate
	for _, pattern := range []string{"server/tls/*.crt", "agent/*.crt", "agent/pki/*.crt", "agent/pki/*-current.pem"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			// A link has another name for a file that is in the list.
			if info, err := os.Lstat(file); err != nil || info.Mode()&os.ModeSymlink != 0 && !strings.HasSuffix(file, "-current.pem") {
				continue
			}
			cert, err := read(file)
			if err != nil {
				return nil, err
			}
			usages := []string{}
			for _, usage := range cert.ExtKeyUsage {
				switch usage {
				case x509.ExtKeyUsageClientAuth:
					usages = append(usages, "ClientAuth")
				case x509.ExtKeyUsageServerAuth:
					usages = append(usages, "ServerAuth")
				}
			}
			if cert.IsCA {
				usages = append(usages, "CertSign")
			}
			found = append(found, Certificate{File: file, Subject: cert.Subject.String(), Usages: strings.Join(usages, ","), Until: cert.NotAfter})
		}
	}
	return found, nil
}

// Retire moves all certificates that are not authorities' out of the way, so that the next start makes them anew, and
// returns where they are kept.
func Retire(dir string) (string, error) {
	for _, socket := range []string{filepath.Join(dir, "server", "kine.sock"), config.ContainerdSocket} {
		if conn, err := net.Dial("unix", socket); err == nil {
			conn.Close()
			return "", errors.New("certificate rotate: k3s is running; stop it, rotate, and start it again")
		}
	}
	kept := filepath.Join(dir, fmt.Sprintf("certificates-%d", time.Now().Unix()))
	f := Files{Dir: filepath.Join(dir, "server", "tls"), Kubeconfig: filepath.Join(dir, "server", "cred")}
	var old []string
	for _, name := range leaves {
		old = append(old, f.Cert(name+".crt"), f.Cert(name+".key"))
	}
	for _, name := range kubeconfigs {
		old = append(old, f.Conf(name))
	}
	old = append(old, filepath.Join(dir, "agent", "pki"), filepath.Join(dir, "agent", "kubelet.kubeconfig"))
	moved := 0
	for _, path := range old {
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return "", err
		}
		target := filepath.Join(kept, name)
		if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return "", err
		}
		if err := os.Rename(path, target); err != nil {
			return "", err
		}
		moved++
	}
	if moved == 0 {
		return "", fmt.Errorf("certificate rotate: no certificates (looked in %s); give --data-dir", dir)
	}
	return kept, nil
}
