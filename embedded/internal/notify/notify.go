// SPDX-License-Identifier: GPL-3.0-or-later

// Package notify tells systemd that the service is up (sd_notify(3)).
package notify

import (
	"net"
	"os"
	"sync"
)

var once sync.Once

// Ready says READY=1, the first time it is called. Without a service manager it does nothing.
func Ready() {
	once.Do(func() {
		path := os.Getenv("NOTIFY_SOCKET")
		if path == "" {
			return
		}
		conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = conn.Write([]byte("READY=1"))
	})
}
