// SPDX-License-Identifier: GPL-3.0-or-later

// Package pki makes the cluster's certificates and kubeconfigs with kubeadm's
// phases. What exists and is still good is kept, so a restart changes nothing.
package pki

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	kubeadm "k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	"k8s.io/kubernetes/cmd/kubeadm/app/phases/certs"
	"k8s.io/kubernetes/cmd/kubeadm/app/phases/kubeconfig"
	kubeadmconfig "k8s.io/kubernetes/cmd/kubeadm/app/util/config"

	"github.com/arcodange-org/sandbox/embedded/internal/config"
)

// renewBefore is how long before its end a certificate is made anew at a start, as k3s does.
const renewBefore = 120 * 24 * time.Hour

// Files are where the certificates and kubeconfigs lie.
type Files struct {
	Dir        string // certificates, by kubeadm's names
	Kubeconfig string // directory of super-admin.conf, controller-manager.conf, scheduler.conf
}

// Cert is the path of a file in Dir.
func (f Files) Cert(name string) string { return filepath.Join(f.Dir, name) }

// Conf is the path of a kubeconfig.
func (f Files) Conf(name string) string { return filepath.Join(f.Kubeconfig, name) }

// Bundle is the API server's certificate with its CA behind it, so that a
// joining node sees the CA that its token pins.
func (f Files) Bundle() string { return f.Cert("apiserver-bundle.crt") }

// Ensure makes what is missing, what ends soon, and what no longer fits cfg.
func Ensure(cfg *config.Config) (Files, error) {
	f := Files{Dir: filepath.Join(cfg.DataDir, "server", "tls"), Kubeconfig: filepath.Join(cfg.DataDir, "server", "cred")}
	for _, dir := range []string{f.Dir, f.Kubeconfig} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return f, fmt.Errorf("making the certificates: %w", err)
		}
	}
	k, err := kubeadmconfig.DefaultedStaticInitConfiguration()
	if err != nil {
		return f, fmt.Errorf("making the certificates: %w", err)
	}
	k.CertificatesDir = f.Dir
	k.EncryptionAlgorithm = kubeadm.EncryptionAlgorithmECDSAP256
	k.LocalAPIEndpoint = kubeadm.APIEndpoint{AdvertiseAddress: cfg.AdvertiseAddress, BindPort: config.Port}
	k.ControlPlaneEndpoint = net.JoinHostPort("127.0.0.1", fmt.Sprint(config.Port))
	k.NodeRegistration.Name = cfg.NodeName
	k.Networking.ServiceSubnet = cfg.ServiceCIDR
	k.Networking.PodSubnet = cfg.ClusterCIDR
	k.Networking.DNSDomain = cfg.ClusterDomain
	k.Etcd = kubeadm.Etcd{External: &kubeadm.ExternalEtcd{Endpoints: []string{"unix:///kine.sock"}}}
	k.APIServer.CertSANs = append([]string{"localhost", "127.0.0.1", cfg.NodeIP}, cfg.TLSSANs...)

	if err := dropStale(f, k.APIServer.CertSANs); err != nil {
		return f, fmt.Errorf("making the certificates: %w", err)
	}
	if err := certs.CreatePKIAssets(k); err != nil {
		return f, fmt.Errorf("making the certificates: %w", err)
	}
	for _, name := range []string{"super-admin.conf", "controller-manager.conf", "scheduler.conf"} {
		if _, err := os.Stat(f.Conf(name)); err == nil {
			continue
		}
		if err := kubeconfig.CreateKubeConfigFile(name, f.Kubeconfig, k); err != nil {
			return f, fmt.Errorf("making the kubeconfig %s: %w", name, err)
		}
	}
	return f, f.writeBundle()
}

// dropStale removes certificates that end soon, and the API server's when a
// wanted name is missing in it; kubeadm then makes them anew. CAs are never
// touched: tokens and nodes pin them.
func dropStale(f Files, sans []string) error {
	for _, name := range []string{"apiserver", "apiserver-kubelet-client", "front-proxy-client"} {
		cert, err := read(f.Cert(name + ".crt"))
		if os.IsNotExist(err) {
			continue
		}
		stale := err != nil || time.Until(cert.NotAfter) < renewBefore
		if !stale && name == "apiserver" {
			for _, san := range sans {
				stale = stale || cert.VerifyHostname(san) != nil
			}
		}
		if stale {
			for _, suffix := range []string{".crt", ".key"} {
				if err := os.Remove(f.Cert(name + suffix)); err != nil && !os.IsNotExist(err) {
					return err
				}
			}
			// The clients' certificates inside the kubeconfigs are of the same age.
			for _, conf := range []string{"super-admin.conf", "controller-manager.conf", "scheduler.conf"} {
				if err := os.Remove(f.Conf(conf)); err != nil && !os.IsNotExist(err) {
					return err
				}
			}
		}
	}
	return nil
}

func read(path string) (*x509.Certificate, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM certificate", path)
	}
	return x509.ParseCertificate(block.Bytes)
}

func (f Files) writeBundle() error {
	var bundle []byte
	for _, name := range []string{"apiserver.crt", "ca.crt"} {
		data, err := os.ReadFile(f.Cert(name))
		if err != nil {
			return fmt.Errorf("joining the API server's certificate with its CA: %w", err)
		}
		bundle = append(bundle, data...)
	}
	return WriteFile(f.Bundle(), bundle, 0o600)
}

// WriteFile writes a file so that it is seen whole or not at all, and survives a power cut.
func WriteFile(path string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	if _, err := file.Write(data); err != nil {
		file.Close()
		return err
	}
	if err := file.Chmod(mode); err != nil {
		file.Close()
		return err
	}
	if err := file.Sync(); err != nil {
		file.Close()
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
