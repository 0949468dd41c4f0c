// SPDX-License-Identifier: GPL-3.0-or-later

// Package pki makes the cluster's certificates and kubeconfigs with kubeadm's
// phases. What exists and is still good is kept, so a restart changes nothing.
package pki

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/keyutil"
	kubeadm "k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	"k8s.io/kubernetes/cmd/kubeadm/app/phases/certs"
	"k8s.io/kubernetes/cmd/kubeadm/app/phases/kubeconfig"
	kubeadmconfig "k8s.io/kubernetes/cmd/kubeadm/app/util/config"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pkiutil"

	"github.com/arcodange-org/sandbox/embedded/internal/config"
)

// RenewBefore is how long before its end a certificate is made anew at a start, as k3s does.
const RenewBefore = 120 * 24 * time.Hour

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
	if err := os.MkdirAll(f.Kubeconfig, 0o700); err != nil {
		return f, fmt.Errorf("making the certificates: %w", err)
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
	k.Networking.PodSubnet = cfg.Cluster.CIDR
	k.Networking.DNSDomain = cfg.Cluster.Domain
	k.Etcd = kubeadm.Etcd{External: &kubeadm.ExternalEtcd{Endpoints: []string{"unix:///kine.sock"}}}
	k.APIServer.CertSANs = append([]string{"localhost", "127.0.0.1", cfg.NodeIP}, cfg.TLSSANs...)

	if _, err := os.Stat(f.Dir); errors.Is(err, os.ErrNotExist) {
		if err := createWhole(f, k); err != nil {
			return f, fmt.Errorf("making the certificates: %w", err)
		}
	}
	if err := dropStale(f, k.APIServer.CertSANs); err != nil {
		return f, fmt.Errorf("making the certificates: %w", err)
	}
	if err := certs.CreatePKIAssets(k); err != nil {
		return f, fmt.Errorf("making the certificates: %w; if a power cut broke a CA of a cluster that holds nothing yet, remove %s", err, f.Dir)
	}
	for _, name := range kubeconfigs {
		if _, err := os.Stat(f.Conf(name)); err == nil {
			continue
		}
		if err := kubeconfig.CreateKubeConfigFile(name, f.Kubeconfig, k); err != nil {
			return f, fmt.Errorf("making the kubeconfig %s: %w", name, err)
		}
	}
	if err := f.writeBundle(); err != nil {
		return f, err
	}
	if err := f.nameAsK3s(); err != nil {
		return f, err
	}
	for _, dir := range []string{f.Dir, f.Kubeconfig} {
		if err := syncAll(dir); err != nil {
			return f, fmt.Errorf("keeping the certificates: %w", err)
		}
	}
	return f, nil
}

// createWhole makes all certificates beside their place and then moves them
// there, so that a start that is cut short leaves no half of a CA behind.
func createWhole(f Files, k *kubeadm.InitConfiguration) error {
	whole := k.CertificatesDir
	defer func() { k.CertificatesDir = whole }()
	k.CertificatesDir = f.Dir + ".new"
	if err := os.RemoveAll(k.CertificatesDir); err != nil {
		return err
	}
	if err := os.MkdirAll(k.CertificatesDir, 0o700); err != nil {
		return err
	}
	if err := certs.CreatePKIAssets(k); err != nil {
		return err
	}
	if err := syncAll(k.CertificatesDir); err != nil {
		return err
	}
	if err := os.Rename(k.CertificatesDir, whole); err != nil {
		return err
	}
	return syncPath(filepath.Dir(whole))
}

// syncAll makes the files under dir survive a power cut; kubeadm does not.
func syncAll(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.Type()&os.ModeSymlink != 0 {
			return err
		}
		return syncPath(path)
	})
}

func syncPath(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return file.Sync()
}

// leaves are the certificates that no other is signed with.
var leaves = [...]string{"apiserver", "apiserver-kubelet-client", "front-proxy-client"}

// kubeconfigs are those that kubeadm makes here.
var kubeconfigs = [...]string{"super-admin.conf", "controller-manager.conf", "scheduler.conf"}

// dropStale removes what ends soon, what is broken or half there, and the API
// server's certificate when a wanted name is missing in it; kubeadm then makes
// them anew. CAs are never touched: tokens and nodes pin them.
func dropStale(f Files, sans []string) error {
	for _, name := range leaves {
		cert, err := read(f.Cert(name + ".crt"))
		if err == nil {
			_, err = keyutil.PrivateKeyFromFile(f.Cert(name + ".key"))
		}
		stale := err != nil || time.Until(cert.NotAfter) < RenewBefore
		if !stale && name == "apiserver" {
			stale = slices.ContainsFunc(sans, func(san string) bool { return cert.VerifyHostname(san) != nil })
		}
		if stale {
			if err := removeAll(f.Cert(name+".crt"), f.Cert(name+".key")); err != nil {
				return err
			}
		}
	}
	for _, name := range kubeconfigs {
		if until, err := clientUntil(f.Conf(name)); err != nil || time.Until(until) < RenewBefore {
			if err := removeAll(f.Conf(name)); err != nil {
				return err
			}
		}
	}
	// The public key is the private one's, whatever became of its file.
	if key, err := keyutil.PrivateKeyFromFile(f.Cert("sa.key")); err == nil {
		if _, err := keyutil.PublicKeysFromFile(f.Cert("sa.pub")); err != nil {
			if signer, ok := key.(crypto.Signer); ok {
				return pkiutil.WritePublicKey(f.Dir, "sa", signer.Public())
			}
		}
	}
	return nil
}

func removeAll(paths ...string) error {
	for _, path := range paths {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// clientUntil is when the client certificate in a kubeconfig ends.
func clientUntil(path string) (time.Time, error) {
	conf, err := clientcmd.LoadFromFile(path)
	if err != nil {
		return time.Time{}, err
	}
	for _, user := range conf.AuthInfos {
		cert, err := parse(user.ClientCertificateData)
		if err != nil {
			return time.Time{}, fmt.Errorf("%s: %w", path, err)
		}
		return cert.NotAfter, nil
	}
	return time.Time{}, fmt.Errorf("%s names no user", path)
}

func read(path string) (*x509.Certificate, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	cert, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return cert, nil
}

func parse(data []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("no PEM certificate")
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

// names are those that k3s gives to certificates and keys, by kubeadm's.
var names = map[string]string{
	"server-ca": "ca", "client-ca": "ca", "request-header-ca": "front-proxy-ca",
	"serving-kube-apiserver": "apiserver", "client-kube-apiserver": "apiserver-kubelet-client", "client-auth-proxy": "front-proxy-client",
}

// clients are k3s's names of certificates that are in kubeconfigs here.
var clients = map[string]string{
	"client-admin": "super-admin.conf", "client-controller": "controller-manager.conf", "client-scheduler": "scheduler.conf",
}

// nameAsK3s makes the files known under k3s's names, for those who read them there.
func (f Files) nameAsK3s() error {
	for name, own := range names {
		for _, ext := range []string{".crt", ".key"} {
			if err := Link(own+ext, f.Cert(name+ext)); err != nil {
				return err
			}
		}
	}
	if err := Link("sa.key", f.Cert("service.key")); err != nil {
		return err
	}
	for name, conf := range clients {
		settings, err := clientcmd.LoadFromFile(f.Conf(conf))
		if err != nil {
			return fmt.Errorf("reading a kubeconfig: %w", err)
		}
		for _, user := range settings.AuthInfos {
			if err := WriteFile(f.Cert(name+".crt"), user.ClientCertificateData, 0o644); err != nil {
				return fmt.Errorf("writing a certificate: %w", err)
			}
			if err := WriteFile(f.Cert(name+".key"), user.ClientKeyData, 0o600); err != nil {
				return fmt.Errorf("writing a key: %w", err)
			}
		}
	}
	return nil
}

// Link makes path a symbolic link to target, unless it is one.
func Link(target, path string) error {
	if now, err := os.Readlink(path); err == nil && now == target {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("linking %s: %w", path, err)
	}
	if err := os.Symlink(target, path); err != nil {
		return fmt.Errorf("linking %s: %w", path, err)
	}
	return nil
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
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	return syncPath(filepath.Dir(path))
}
