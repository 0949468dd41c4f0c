// SPDX-License-Identifier: GPL-3.0-or-later

// Package readonly opens kubeconfigs that can only read, and refuses all others.
// It checks the file before anything is sent, checks the permissions of the
// credentials before anything is read, and sends only requests that
// read. It does not decide which clusters are allowed; package boundary does.
package readonly
