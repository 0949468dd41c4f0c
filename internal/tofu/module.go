// SPDX-License-Identifier: GPL-3.0-or-later

package tofu

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
)

// Module is the configuration of one directory.
type Module struct {
	Directory string
	blocks    map[string][]*hcl.Block
}

var moduleSchema = &hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
	{Type: "terraform"}, {Type: "locals"},
	{Type: "provider", LabelNames: []string{"name"}}, {Type: "variable", LabelNames: []string{"name"}},
	{Type: "module", LabelNames: []string{"name"}}, {Type: "check", LabelNames: []string{"name"}},
	{Type: "data", LabelNames: []string{"type", "name"}}, {Type: "resource", LabelNames: []string{"type", "name"}},
	{Type: "ephemeral", LabelNames: []string{"type", "name"}},
}}

// Load reads the module in directory. It returns the readable files, and an error for each other one.
func Load(directory string) (*Module, []*Error) {
	m := &Module{directory, map[string][]*hcl.Block{}}
	files, err := ConfigFiles(directory)
	if err != nil {
		return m, []*Error{{directory, withoutPath(err)}}
	}
	if len(files) == 0 {
		return m, []*Error{{directory, "it holds no configuration"}}
	}
	var failed []*Error
	for _, path := range files {
		if err := m.add(path); err != nil {
			failed = append(failed, err)
		}
	}
	return m, failed
}

func (m *Module) add(path string) *Error {
	file, err := ParseFile(path)
	if err != nil {
		return err
	}
	content, _, diagnostics := file.Body.PartialContent(moduleSchema)
	if diagnostics.HasErrors() {
		return diagnosed(path, diagnostics)
	}
	for _, block := range content.Blocks {
		m.blocks[block.Type] = append(m.blocks[block.Type], block)
		if block.Type == "check" { // it may contain a data source
			data, err := Inside(block, "data")
			if err != nil {
				return err
			}
			m.blocks["data"] = append(m.blocks["data"], data...)
		}
	}
	return nil
}

// Blocks returns the module's blocks of one type, those of override files last.
// "data" includes data sources inside check blocks.
func (m *Module) Blocks(kind string) []*hcl.Block { return m.blocks[kind] }

// Inside lists the blocks of these types within a block.
func Inside(block *hcl.Block, types ...string) ([]*hcl.Block, *Error) {
	schema := &hcl.BodySchema{}
	for _, kind := range types {
		header := hcl.BlockHeaderSchema{Type: kind}
		switch kind {
		case "backend", "provisioner":
			header.LabelNames = []string{"type"}
		case "data", "key_provider", "method":
			header.LabelNames = []string{"type", "name"}
		}
		schema.Blocks = append(schema.Blocks, header)
	}
	content, _, diagnostics := block.Body.PartialContent(schema)
	if diagnostics.HasErrors() {
		return content.Blocks, diagnosed(block.DefRange.Filename, diagnostics)
	}
	return content.Blocks, nil
}

// Position returns the position of a block as file:line.
func Position(block *hcl.Block) string {
	return fmt.Sprintf("%s:%d", block.DefRange.Filename, block.DefRange.Start.Line)
}
