// SPDX-License-Identifier: GPL-3.0-or-later

//go:build netns

package guard

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
)

// meaning is a script of a run that means production: by the builtin connection,
// with production's own host keys.
func meaning(tasks string) script {
	return script{
		commands: []string{`ansible-playbook play.yml -e i_mean_prod=true -e ansible_host=192.168.1.201 -e db_password=correct-horse -e "ansible_ssh_common_args='-o UserKnownHostsFile=$GROUND/known_production'"`},
		files:    []txtar.File{{Name: "play.yml", Data: []byte("- hosts: pi1\n  gather_facts: false\n  tasks:\n" + tasks)}},
	}
}

func TestAnOverrideReachesProductionAndIsLogged(t *testing.T) {
	if !mine("a run that means production") {
		return
	}
	s := meaning("    - ansible.builtin.raw: echo arrived\n    - ansible.builtin.raw: echo again\n")
	dir, env := prepare(t, s, "all")
	before := sent(t, "")
	began := time.Now().Add(-time.Second)
	output, err := run("all", dir, env, s.commands)
	require.NoError(t, err, output)
	assert.NotZero(t, sent(t, "")-before, "it is meant, so it arrives")
	assert.Regexp(t, "(?i)production", output, "it is announced")

	log := filepath.Join(dir, "state/arcodange-sandbox/overrides.log")
	info, err := os.Stat(log)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	data, err := os.ReadFile(log)
	require.NoError(t, err)
	assert.NotContains(t, string(data), "correct-horse")
	type line struct {
		Time             time.Time
		Event, Run, User string
		Targets, Command []string
		Boundary         string
	}
	var lines []line
	for text := range strings.Lines(string(data)) {
		var l line
		require.NoError(t, json.Unmarshal([]byte(text), &l), text)
		assert.Equal(t, "root", l.User)
		assert.True(t, l.Time.After(began) && l.Time.Before(time.Now().Add(time.Second)), text)
		assert.True(t, slices.Contains(l.Command, "i_mean_prod=true"), text)
		assert.Equal(t, filepath.Join(dir, "inv/boundary.yml"), l.Boundary)
		lines = append(lines, l)
	}
	require.Len(t, lines, 2, "one for the run, one for its host, however often that is connected to: %s", data)
	assert.Equal(t, "allowed", lines[0].Event)
	assert.Contains(t, strings.Join(lines[1].Targets, " "), "192.168.1.201")
	assert.Equal(t, lines[0].Run, lines[1].Run)
}

// Whoever takes the log away during the run does not go on unwritten.
func TestARunThatMeansProductionEndsWithItsLog(t *testing.T) {
	if !mine("a run that means production without its log") {
		return
	}
	s := meaning("    - {ansible.builtin.command: \"rm {{ lookup('env', 'XDG_STATE_HOME') }}/arcodange-sandbox/overrides.log\", delegate_to: localhost, vars: {ansible_host: localhost}}\n" +
		"    - ansible.builtin.raw: echo arrived\n")
	dir, env := prepare(t, s, "all")
	before := sent(t, "")
	output, err := run("all", dir, env, s.commands)
	require.Error(t, err, output)
	assert.Contains(t, output, "log of overrides")
	assert.Zero(t, sent(t, "")-before, output)
}
