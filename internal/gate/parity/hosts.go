// SPDX-License-Identifier: GPL-3.0-or-later

package parity

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// ReadHosts parses the hosts that a play gathered: for each host its groups and
// the containers of its Docker engine. A host without a list of containers is an
// error, since it would look like one that runs nothing; so is an unknown key.
func ReadHosts(given map[string]any) (map[string]foundHost, error) {
	type container struct {
		Name        string            `json:"name"`
		Project     string            `json:"project"`
		Service     string            `json:"service"`
		Image       string            `json:"image"`
		Environment []string          `json:"environment"`
		Labels      map[string]string `json:"labels"`
		Status      string            `json:"status"`
		Health      string            `json:"health"`
	}
	type host struct {
		Groups     []string     `json:"groups"`
		Containers *[]container `json:"containers"`
	}
	data, err := json.Marshal(given)
	if err != nil {
		return nil, fmt.Errorf("reading hosts: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var read map[string]host
	if err := decoder.Decode(&read); err != nil {
		return nil, fmt.Errorf("reading hosts: each must have groups and containers, each of those name, project, service, image, environment, labels, status and health: %w", err)
	}
	hosts := map[string]foundHost{}
	for name, h := range read {
		if h.Containers == nil {
			return nil, fmt.Errorf("reading hosts: nothing was read from the Docker engine of %s: gather its containers first", name)
		}
		found := foundHost{Groups: h.Groups}
		for _, c := range *h.Containers {
			one := foundContainer{
				Name: strings.TrimPrefix(c.Name, "/"), Project: c.Project, Service: c.Service, Image: c.Image,
				Labels: c.Labels, Status: c.Status, Health: c.Health, Environment: map[string]string{},
			}
			if one.Status == "" {
				return nil, fmt.Errorf("reading hosts: the container %s of %s has no status: give the word that Docker has for it, such as running", one.Name, name)
			}
			for _, line := range c.Environment {
				key, value, _ := strings.Cut(line, "=")
				one.Environment[key] = value
			}
			found.Containers = append(found.Containers, one)
		}
		hosts[name] = found
	}
	return hosts, nil
}
