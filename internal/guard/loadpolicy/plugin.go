// SPDX-License-Identifier: GPL-3.0-or-later

package loadpolicy

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/arcodange-org/sandbox/internal/boundary"
)

// unreadable is in the place of a plugin's name.
const unreadable = "a plugin that cannot be read"

// harmlessPlugins work on what other sources returned, or read a file that is
// checked itself. The empty name is that of a file without a plugin.
var harmlessPlugins = []string{
	"", "the plugin constructed", "the plugin ansible.builtin.constructed", "the plugin generator", "the plugin ansible.builtin.generator",
	"the plugin " + boundary.PluginName,
}

// maxSource is far more than a file of an inventory holds.
const maxSource = 16 << 20

// inventoryPlugin returns the inventory plugin that a file configures; empty if it configures none.
func inventoryPlugin(file string, extensions []string) string {
	isYAML := func(extension string) bool { return strings.HasSuffix(file, extension) }
	if !slices.ContainsFunc(append([]string{".yml", ".yaml", ".json"}, extensions...), isYAML) {
		return ""
	}
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxSource { // reading a pipe may block
		return unreadable
	}
	in, err := os.Open(file)
	if err != nil {
		return unreadable
	}
	defer in.Close()
	decoder := yaml.NewDecoder(in)
	var document, second yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return ""
	case err != nil || !errors.Is(decoder.Decode(&second), io.EOF):
		return unreadable
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return ""
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		for key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		switch {
		case key.Tag == "!!merge":
			return unreadable // the merged mapping may name a plugin
		case key.Value == "plugin" && value.Kind == yaml.AliasNode:
			return unreadable
		case key.Value == "plugin":
			return "the plugin " + value.Value
		}
	}
	return ""
}
