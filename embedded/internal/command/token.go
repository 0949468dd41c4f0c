// SPDX-License-Identifier: GPL-3.0-or-later

package command

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	bootstrap "k8s.io/cluster-bootstrap/token/util"
	bootstraptoken "k8s.io/kubernetes/cmd/kubeadm/app/apis/bootstraptoken/v1"
	"k8s.io/kubernetes/cmd/kubeadm/app/phases/bootstraptoken/node"
	"sigs.k8s.io/yaml"

	"github.com/arcodange-org/sandbox/embedded/internal/config"
	"github.com/arcodange-org/sandbox/embedded/internal/server"
	"github.com/arcodange-org/sandbox/embedded/internal/token"
)

// tokenCommand makes and removes tokens that agents join with. Upstream keeps them as secrets, and ends them in time.
func tokenCommand() *cobra.Command {
	c := &cobra.Command{Use: "token", Short: "make and remove tokens that agents join with"}
	var kubeconfig, dir string
	c.PersistentFlags().StringVar(&kubeconfig, "kubeconfig", "", "access to the cluster (default "+config.Kubeconfig+")")
	c.PersistentFlags().StringVarP(&dir, "data-dir", "d", config.DataDir, "directory of all state")
	c.AddCommand(createCommand(&kubeconfig, &dir), listCommand(&kubeconfig), deleteCommand(&kubeconfig), rotateCommand(&dir), &cobra.Command{
		Use: "generate", Short: "print a new token without making it known", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			text, err := bootstrap.GenerateBootstrapToken()
			if err == nil {
				fmt.Fprintln(c.OutOrStdout(), text)
			}
			return err
		},
	})
	return c
}

func createCommand(kubeconfig, dir *string) *cobra.Command {
	var description string
	var groups, usages []string
	var ttl time.Duration
	c := &cobra.Command{
		Use: "create [token]", Short: "make a token", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			text, err := bootstrap.GenerateBootstrapToken()
			if err != nil {
				return err
			}
			if len(args) > 0 {
				text = args[0]
				if t, err := token.Parse(text); err == nil {
					text = t.Password
				}
			}
			parsed, err := bootstraptoken.NewBootstrapTokenString(text)
			if err != nil {
				return fmt.Errorf("token: not of the form ID.SECRET, of 6 and 16 lower-case letters and digits; use what k3s token generate prints")
			}
			t := bootstraptoken.BootstrapToken{Token: parsed, Description: description, Groups: groups, Usages: usages}
			if ttl > 0 {
				t.Expires = &metav1.Time{Time: time.Now().Add(ttl)}
			}
			if err := errors.Join(bootstrap.ValidateUsages(usages), validateGroups(groups)); err != nil {
				return err
			}
			client, err := client(*kubeconfig)
			if err != nil {
				return err
			}
			if err := node.CreateNewTokens(client, []bootstraptoken.BootstrapToken{t}); err != nil {
				return fmt.Errorf("making the token: %w", err)
			}
			ca, err := os.ReadFile(filepath.Join(*dir, "server", "tls", "server-ca.crt"))
			if err != nil {
				return fmt.Errorf("reading the CA that the token pins: %w; run this on the server", err)
			}
			fmt.Fprintln(c.OutOrStdout(), token.Token{CAHash: token.Hash(ca), Password: text})
			return nil
		},
	}
	c.Flags().StringVar(&description, "description", "", "what the token is for")
	c.Flags().StringSliceVar(&groups, "groups", []string{bootstrapapi.BootstrapDefaultGroup + ":k3s:default-node-token"}, "groups of who presents it")
	c.Flags().StringSliceVar(&usages, "usages", []string{"signing", "authentication"}, "what it may be used for")
	c.Flags().DurationVar(&ttl, "ttl", 24*time.Hour, "how long it is valid; 0 for ever")
	return c
}

func validateGroups(groups []string) error {
	for _, group := range groups {
		if err := bootstrap.ValidateBootstrapGroupName(group); err != nil {
			return err
		}
	}
	return nil
}

func listCommand(kubeconfig *string) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use: "list", Short: "list tokens", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := client(*kubeconfig)
			if err != nil {
				return err
			}
			secrets, err := client.CoreV1().Secrets(metav1.NamespaceSystem).List(c.Context(), metav1.ListOptions{FieldSelector: "type=" + string(bootstrapapi.SecretTypeBootstrapToken)})
			if err != nil {
				return fmt.Errorf("listing the tokens: %w", err)
			}
			tokens := []*bootstraptoken.BootstrapToken{}
			for i := range secrets.Items {
				t, err := bootstraptoken.BootstrapTokenFromSecret(&secrets.Items[i])
				if err != nil {
					return fmt.Errorf("secret %s: %w", secrets.Items[i].Name, err)
				}
				tokens = append(tokens, t)
			}
			switch output {
			case "json":
				encoder := json.NewEncoder(c.OutOrStdout())
				encoder.SetIndent("", "  ")
				return encoder.Encode(tokens)
			case "yaml":
				data, err := yaml.Marshal(tokens)
				if err == nil {
					_, err = c.OutOrStdout().Write(data)
				}
				return err
			case "text":
			default:
				return fmt.Errorf("output: not a format (got %q); use text, json or yaml", output)
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 8, 3, ' ', 0)
			fmt.Fprintln(w, "TOKEN\tTTL\tEXPIRES\tUSAGES\tDESCRIPTION\tEXTRA GROUPS")
			for _, t := range tokens {
				ttl, expires := "<forever>", "<never>"
				if t.Expires != nil {
					expires = t.Expires.Format(time.RFC3339)
					if ttl = "<invalid>"; time.Until(t.Expires.Time) > 0 {
						ttl = duration.ShortHumanDuration(time.Until(t.Expires.Time))
					}
				}
				// The secret is for those who were given it.
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", t.Token.ID, ttl, expires, strings.Join(t.Usages, ","), t.Description, strings.Join(t.Groups, ","))
			}
			return w.Flush()
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "text", "text, json or yaml")
	return c
}

func deleteCommand(kubeconfig *string) *cobra.Command {
	return &cobra.Command{
		Use: "delete token...", Short: "remove tokens, by ID or in full", Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := client(*kubeconfig)
			if err != nil {
				return err
			}
			for _, arg := range args {
				id := arg
				if t, err := token.Parse(arg); err == nil {
					id, _, _ = strings.Cut(t.Password, ".")
				}
				if !bootstrap.IsValidBootstrapTokenID(id) {
					return errors.New("token: no ID in it; use one that k3s token list shows")
				}
				if err := client.CoreV1().Secrets(metav1.NamespaceSystem).Delete(c.Context(), bootstrap.BootstrapTokenSecretName(id), metav1.DeleteOptions{}); err != nil {
					return fmt.Errorf("removing the token %s: %w", id, err)
				}
				fmt.Fprintf(c.OutOrStdout(), "bootstrap token %q deleted\n", id)
			}
			return nil
		},
	}
}

func rotateCommand(dir *string) *cobra.Command {
	var old, next string
	c := &cobra.Command{
		Use: "rotate", Short: "replace the server's token", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if next == "" {
				secret := make([]byte, 16)
				if _, err := rand.Read(secret); err != nil {
					return err
				}
				next = hex.EncodeToString(secret)
			}
			if err := server.RotateToken(*dir, old, next); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "Token rotated; it is in %s. Set it as token where the old one is configured, and restart k3s on the server.\n", filepath.Join(*dir, "server", "token"))
			return nil
		},
	}
	c.Flags().StringVarP(&old, "token", "t", os.Getenv("K3S_TOKEN"), "the token until now (default the one of the data directory)")
	c.Flags().StringVar(&next, "new-token", "", "the token from now on (default a new one)")
	return c
}
