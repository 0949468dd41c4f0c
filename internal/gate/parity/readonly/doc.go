// SPDX-License-Identifier: GPL-3.0-or-later

// Package readonly opens a kubeconfig that can only read, and refuses every
// other. It looks at the file before anything is sent, asks the API server what
// the credentials may do before anything is read, and lets nothing through but
// reading. Which clusters may be asked at all is not its question: that is the
// boundary's.
package readonly
