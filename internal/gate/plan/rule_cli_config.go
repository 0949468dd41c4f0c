// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"context"
	"os"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// cliConfig is reported for a CLI configuration that may replace providers, or hold credentials.
type cliConfig struct{}

func (cliConfig) Info() gate.Info {
	return gate.Info{ID: "cli_config", Summary: "The CLI configuration sets more than where providers come from", NeverWaive: "keep provider_installation and plugin_cache_dir only"}
}

func (cliConfig) Check(_ context.Context, i invocation, report *gate.Report) {
	if i.CLIConfig == "" {
		return
	}
	if found := cliConfigProblem(i.CLIConfig); found != "" {
		report.Add(gate.Finding{Rule: "cli_config", Path: i.CLIConfig, Expected: "provider_installation and plugin_cache_dir only", Found: found})
	}
}

// cliConfigProblem returns the forbidden setting of a CLI configuration; empty for none.
func cliConfigProblem(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return "it cannot be read"
	}
	file, diagnostics := hclsyntax.ParseConfig(data, path, hcl.InitialPos)
	if diagnostics.HasErrors() {
		return "it cannot be parsed"
	}
	body, _ := file.Body.(*hclsyntax.Body)
	for name := range body.Attributes {
		if name != "plugin_cache_dir" && name != "disable_checkpoint" {
			return "it sets " + name
		}
	}
	for _, block := range body.Blocks {
		if block.Type != "provider_installation" {
			return "it has a block " + block.Type
		}
		for _, method := range block.Body.Blocks {
			if !slices.Contains([]string{"direct", "filesystem_mirror", "network_mirror"}, method.Type) {
				return "it installs providers by " + method.Type
			}
		}
	}
	return ""
}
