// SPDX-License-Identifier: GPL-3.0-or-later

package component

import (
	"context"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/k3s-io/kine/pkg/endpoint"
	"github.com/spf13/cobra"
	"google.golang.org/grpc"
)

// kineCommand serves etcd's protocol on a socket out of an SQLite file. The
// settings are kine's own defaults, which its library leaves at zero.
func kineCommand() *cobra.Command {
	var listener, database string
	c := &cobra.Command{
		Use: Kine,
		RunE: func(*cobra.Command, []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			var wg sync.WaitGroup
			_, err := endpoint.Listen(ctx, endpoint.Config{
				GRPCServer: grpc.NewServer(),
				WaitGroup:  &wg,
				Listener:   listener,
				// Kubernetes takes an acknowledged write as durable. SQLite's write-ahead log is synced at
				// checkpoints only unless it is told to sync every commit, so a power cut would lose the last writes.
				Endpoint:              "sqlite://" + database + "?_journal=WAL&_sync=FULL&cache=shared&_busy_timeout=30000&_txlock=immediate",
				NotifyInterval:        5 * time.Second,
				EmulatedETCDVersion:   "3.6.6",
				CompactInterval:       5 * time.Minute,
				CompactIntervalJitter: 0,
				CompactTimeout:        5 * time.Second,
				CompactMinRetain:      1000,
				CompactBatchSize:      1000,
				PollBatchSize:         500,
			})
			if err != nil {
				return err
			}
			<-ctx.Done()
			wg.Wait()
			return nil
		},
	}
	c.Flags().StringVar(&listener, "listen-address", "", "socket to serve on")
	c.Flags().StringVar(&database, "database", "", "file that holds the data")
	return c
}
