// SPDX-License-Identifier: GPL-3.0-or-later

package capture

import (
	"fmt"
	"path"
	"strings"

	"github.com/arcodange-org/sandbox/internal/gate/parity"
)

// Outside is a service outside Kubernetes, and the compose file that runs it.
type Outside struct {
	Name       string `arg:"name"`
	Hosts      string `arg:"hosts"`      // group of the inventory
	Repository string `arg:"repository"` // in which the file lies
	Compose    string `arg:"compose"`    // path of the file, which may be a template of Jinja
	Service    string `arg:"service"`
	Project    string `arg:"project"` // if not given: the file's name key
	// Images are further images that contain the service. They are not in production's files.
	Images []string `arg:"images"`
}

// composed reads the image of a service from a compose file.
func composed(o Outside, f *file, known variables) (parity.Outside, error) {
	out := parity.Outside{Name: o.Name, Hosts: o.Hosts, Images: o.Images, Compose: parity.Compose{Project: o.Project, Service: o.Service}}
	text, err := jinja(string(f.Data), known)
	if err != nil {
		return out, err
	}
	docs, err := documents([]byte(text))
	if err != nil {
		return out, err
	}
	if len(docs) != 1 {
		return out, fmt.Errorf("it must hold one document")
	}
	service := get(docs[0], "services", o.Service)
	if !is(service) {
		return out, fmt.Errorf("it has no service %s", o.Service)
	}
	reference, err := plain(get(service, "image"), "the image of "+o.Service)
	if err != nil {
		return out, fmt.Errorf("%w; a plain variable is looked up in the role's defaults, the inventory and the option variables", err)
	}
	repository, tag := parity.SplitImage(reference)
	if tag == "latest" || strings.Contains(tag, ":") {
		return out, fmt.Errorf("the image of %s has no tag that is a version", o.Service)
	}
	out.Compose.Image, out.Version = bareImage(repository), tag
	if out.Compose.Project == "" {
		// Without it, the project has the name of a folder on the machine, which is unknown here.
		if out.Compose.Project, err = plain(get(docs[0], "name"), "the project's name"); err != nil {
			return out, fmt.Errorf("%w; give project", err)
		}
	}
	return out, nil
}

// roleVariables returns the plain strings of the role that contains a file: its
// defaults, overridden by its vars.
func roleVariables(f file, roles map[string]roleFiles) (defaults, vars variables) {
	for dir := path.Dir(f.Path); dir != "."; dir = path.Dir(dir) {
		if role, ok := roles[f.Repository+":"+dir]; ok {
			return role.defaults, role.vars
		}
	}
	return nil, nil
}

// roleFiles are the variables that a role sets.
type roleFiles struct{ defaults, vars variables }

// roles finds the roles of a tree: folders with defaults/main or vars/main.
func roles(t *tree) map[string]roleFiles {
	out := map[string]roleFiles{}
	for i := range t.Files {
		f := &t.Files[i]
		dir, base := path.Split(f.Path)
		dir = strings.TrimSuffix(dir, "/")
		if base != "main.yml" && base != "main.yaml" || f.Data == nil {
			continue
		}
		kind, role := path.Base(dir), path.Dir(dir)
		if kind != "defaults" && kind != "vars" || role == "." {
			continue
		}
		docs, err := documents(f.Data)
		if err != nil || len(docs) != 1 {
			continue // the variable is missing where it is used; the scan reports the file
		}
		values := variables{}
		for _, p := range pairs(docs[0]) {
			if value, err := plainOrTemplate(p); err == nil {
				values[p.Key.Value] = value
			}
		}
		set := out[t.Repository+":"+role]
		if kind == "defaults" {
			set.defaults = values
		} else {
			set.vars = values
		}
		out[t.Repository+":"+role] = set
	}
	return out
}

// plainOrTemplate returns a string that may contain other variables.
func plainOrTemplate(p pair) (string, error) {
	value := real(p.Value)
	text := *value
	if strings.Contains(text.Value, "{{") {
		return text.Value, nil
	}
	return plain(&text, p.Key.Value)
}
