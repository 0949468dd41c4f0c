// SPDX-License-Identifier: GPL-3.0-or-later

package component

import (
	"net/http"
	"os"

	"github.com/spf13/cobra"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/rest"
	basecompatibility "k8s.io/component-base/compatibility"
	logsapi "k8s.io/component-base/logs/api/v1"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

// apiServerCommand is upstream's API server, and what k3s serves beside it on the same port to anyone: /ping, and the
// CA at /cacerts. Upstream's own command has no place for that.
func apiServerCommand() *cobra.Command {
	s := options.NewServerRunOptions()
	ctx := genericapiserver.SetupSignalContext()
	gate := s.GenericServerRunOptions.ComponentGlobalsRegistry.FeatureGateFor(basecompatibility.DefaultKubeComponent)
	var ca string
	c := &cobra.Command{
		Use:          APIServer,
		SilenceUsage: true,
		Args:         cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := s.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
				return err
			}
			rest.SetDefaultWarningHandler(rest.NoWarnings{})
			if err := logsapi.ValidateAndApply(s.Logs, gate); err != nil {
				return err
			}
			completed, err := s.Complete(ctx)
			if err != nil {
				return err
			}
			if errs := completed.Validate(); len(errs) > 0 {
				return utilerrors.NewAggregate(errs)
			}
			s.GenericServerRunOptions.ComponentGlobalsRegistry.AddMetrics()
			settings, err := apiserver.NewConfig(completed)
			if err != nil {
				return err
			}
			settings.Aggregator.GenericConfig.BuildHandlerChainFunc = func(api http.Handler, c *genericapiserver.Config) http.Handler {
				return open(ca, genericapiserver.DefaultBuildHandlerChain(api, c))
			}
			chain, err := settings.Complete()
			if err != nil {
				return err
			}
			server, err := apiserver.CreateServerChain(chain)
			if err != nil {
				return err
			}
			prepared, err := server.PrepareRun()
			if err != nil {
				return err
			}
			return prepared.Run(ctx)
		},
	}
	c.SetContext(ctx)
	flags := s.Flags()
	for _, set := range flags.FlagSets {
		c.Flags().AddFlagSet(set)
	}
	c.Flags().StringVar(&ca, "k3s-ca-file", "", "what /cacerts serves")
	return c
}

// open serves what needs no credentials, and hands everything else to next.
func open(ca string, next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ping", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write([]byte("pong"))
	})
	mux.HandleFunc("GET /cacerts", func(w http.ResponseWriter, _ *http.Request) {
		data, err := os.ReadFile(ca)
		if err != nil {
			http.Error(w, "the CA cannot be read", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write(data)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if handler, pattern := mux.Handler(r); pattern != "" {
			handler.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}
