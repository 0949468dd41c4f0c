// SPDX-License-Identifier: GPL-3.0-or-later

package command

import (
	"fmt"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/arcodange-org/sandbox/embedded/internal/config"
	"github.com/arcodange-org/sandbox/embedded/internal/pki"
)

// certificateCommand shows and renews certificates.
func certificateCommand() *cobra.Command {
	c := &cobra.Command{Use: "certificate", Short: "show and renew certificates"}
	var dir string
	c.PersistentFlags().StringVarP(&dir, "data-dir", "d", config.DataDir, "directory of all state")
	c.AddCommand(&cobra.Command{
		Use: "check", Short: "show until when certificates are valid", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			found, err := pki.List(dir)
			if err != nil {
				return err
			}
			if len(found) == 0 {
				return fmt.Errorf("%s: no certificates; start k3s first", dir)
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 8, 3, ' ', 0)
			fmt.Fprintln(w, "FILENAME\tSUBJECT\tUSAGES\tEXPIRES\tRESIDUAL TIME\tSTATUS")
			for _, cert := range found {
				status := "OK"
				switch left := time.Until(cert.Until); {
				case left <= 0:
					status = "EXPIRED"
				case left < pki.RenewBefore:
					status = "WARNING"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", cert.File, cert.Subject, cert.Usages, cert.Until.Format(time.RFC3339), time.Until(cert.Until).Round(time.Hour), status)
			}
			return w.Flush()
		},
	}, &cobra.Command{
		Use: "rotate", Short: "have certificates made anew at the next start", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			kept, err := pki.Retire(dir)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "Certificates are made anew at the next start of k3s; the old ones are in %s.\n", filepath.Clean(kept))
			return nil
		},
	}, absent("rotate-ca", "replace the certificate authorities", "certificate rotate-ca"))
	return c
}
