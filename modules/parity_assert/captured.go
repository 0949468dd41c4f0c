// SPDX-License-Identifier: GPL-3.0-or-later

package parityassert

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/internal/atomicfile"
	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/gate/parity"
	"github.com/arcodange-org/sandbox/internal/gate/parity/capture"
	"github.com/arcodange-org/sandbox/internal/run"
)

type captureArguments struct {
	Repositories   []capture.Repository `arg:"repositories"`
	Unread         []capture.Unread     `arg:"unread"`
	Inventory      *capture.Inventory   `arg:"inventory"`
	Variables      map[string]string    `arg:"variables"`
	Components     []componentArgument  `arg:"components"`
	AppOfApps      []capture.AppOfApps  `arg:"app_of_apps"`
	Applications   string               `arg:"applications_namespace"`
	Outside        []capture.Outside    `arg:"outside"`
	StorageClasses []string             `arg:"longhorn_storage_classes"`
	Prefer         string               `arg:"prefer"`
	Production     bool                 `arg:"read_production"`
	HelmSecrets    bool                 `arg:"helm_secrets"`
}

type componentArgument struct {
	Name       string           `arg:"name"`
	Release    *releaseArgument `arg:"helm_release"`
	Image      *imageArgument   `arg:"image"`
	APIGroup   string           `arg:"api_group"`
	Version    string           `arg:"version"`
	Chart      string           `arg:"chart"`
	Dependency string           `arg:"dependency"`
	From       string           `arg:"from"`
}

type releaseArgument struct {
	Namespace string `arg:"namespace"`
	Name      string `arg:"name"`
	VersionOf string `arg:"version_of"`
}

type imageArgument struct {
	Namespace  string `arg:"namespace"`
	Repository string `arg:"repository"`
}

// captured writes the manifest from production's sources.
func captured(ctx context.Context, c *ansible.Call) error {
	var args struct {
		Manifest   string            `arg:"manifest"`
		Kubeconfig string            `arg:"kubeconfig"`
		Context    string            `arg:"context"`
		Boundary   string            `arg:"boundary"`
		Timeout    int               `arg:"timeout"`
		Capture    *captureArguments `arg:"capture"`
	}
	if err := c.Bind(&args); err != nil {
		return err
	}
	for _, option := range []string{"waivers", "waiver_file", "report_formats", "hosts", "report", "evidence"} {
		if c.Arg(option) != nil {
			return fmt.Errorf("%s is for state asserted: nothing is compared here", option)
		}
	}
	if args.Capture == nil {
		return errors.New("capture is missing: set production's sources")
	}
	options, err := args.Capture.options()
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, time.Duration(args.Timeout)*time.Second)
	defer stop()
	capturer := capture.Capturer{Runner: run.Exec{}}
	if args.Kubeconfig != "" {
		if args.Boundary == "" {
			return errors.New("boundary: not set; it is needed to check what the kubeconfig refers to")
		}
		limits, err := boundary.Load(args.Boundary)
		if err != nil {
			return err
		}
		cluster, warnings, err := capture.ReadCluster(ctx, capture.Asked{
			Kubeconfig: args.Kubeconfig, Context: args.Context, Engine: boundary.Checker{Manifest: limits}, Production: args.Capture.Production,
			HelmSecrets: args.Capture.HelmSecrets,
			Releases:    slices.ContainsFunc(options.Components, func(c capture.Component) bool { return c.FoundBy.HelmRelease != nil }),
		})
		for _, warning := range warnings {
			c.Warn(warning)
		}
		if err != nil {
			return err
		}
		capturer.Live = cluster
	}
	result, err := capturer.Capture(ctx, options)
	if err != nil {
		return err
	}
	for _, warning := range result.Warnings {
		c.Warn(warning)
	}
	if len(result.Bare) > 0 {
		c.Warn(fmt.Sprintf("%d claims have no backup, so the manifest requires none: see not_backed_up", len(result.Bare)))
	}
	c.Return("sources", append([]capture.Pinned{}, result.Sources...))
	c.Return("problems", append([]capture.Problem{}, result.Problems...))
	c.Return("not_backed_up", append([]string{}, result.Bare...))
	if n := len(result.Problems); n > 0 {
		more := ""
		if n > 1 {
			more = fmt.Sprintf(" (and %d more, see problems)", n-1)
		}
		return fmt.Errorf("no manifest was written: %s%s", result.Problems[0], more)
	}
	before, err := os.ReadFile(args.Manifest)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("reading the manifest that is there: %w", err)
	}
	c.DifferText(args.Manifest, string(before), string(result.Text))
	if c.CheckMode || !c.Changed() {
		return nil
	}
	// The folder and the manifest are readable by all users: they contain no secret.
	err = os.MkdirAll(filepath.Dir(args.Manifest), 0o755)
	if err == nil {
		err = atomicfile.Write(args.Manifest, result.Text, 0o644)
	}
	if err != nil {
		return fmt.Errorf("writing the manifest: %w", err)
	}
	return nil
}

func (a *captureArguments) options() (capture.Options, error) {
	out := capture.Options{
		Repositories: a.Repositories, Unread: a.Unread, Inventory: a.Inventory, Variables: a.Variables, AppOfApps: a.AppOfApps,
		Applications: a.Applications, Outside: a.Outside, StorageClasses: a.StorageClasses, Prefer: capture.Prefer(a.Prefer),
	}
	for n, u := range a.Unread {
		if u.Path == "" || u.Reason == "" {
			return out, fmt.Errorf("capture.unread[%d] has no path or no reason: give the reason why the file need not be read", n)
		}
	}
	for _, c := range a.Components {
		by := parity.FoundBy{APIGroup: c.APIGroup}
		ways := 0
		if c.APIGroup != "" {
			ways++
		}
		if c.Release != nil {
			ways++
			by.HelmRelease = &parity.HelmRelease{Namespace: c.Release.Namespace, Name: c.Release.Name, VersionOf: parity.VersionOf(c.Release.VersionOf)}
		}
		if c.Image != nil {
			ways++
			by.Image = &parity.Image{Namespace: c.Image.Namespace, Repository: c.Image.Repository}
		}
		if ways != 1 {
			return out, fmt.Errorf("the component %s needs one of helm_release, image and api_group", c.Name)
		}
		out.Components = append(out.Components, capture.Component{
			Name: c.Name, FoundBy: by, Version: c.Version, Chart: c.Chart, Dependency: c.Dependency, From: c.From,
		})
	}
	return out, nil
}
