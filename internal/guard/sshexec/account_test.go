// SPDX-License-Identifier: GPL-3.0-or-later

package sshexec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/run"
)

// directory answers for getent; empty knows nobody.
type directory struct {
	answer string
	asked  []string
}

func (d *directory) Run(_ context.Context, c run.Cmd) (run.Result, error) {
	d.asked = c.Args
	if d.answer == "" {
		return run.Result{}, errors.New("exit status 2")
	}
	return run.Result{Stdout: []byte(d.answer)}, nil
}

func TestTheHomeIsTheAccountsWhateverTheEnvironmentSays(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere Go asks the system itself")
	}
	t.Setenv("HOME", "/tmp/other")
	t.Setenv("USER", "other")
	uid := os.Getuid()
	line := func(uid int, home string) string { return fmt.Sprintf("me:x:%d:5:Me:%s:/bin/sh\n", uid, home) }
	for name, c := range map[string]struct{ passwd, answer, home, says string }{
		"an account of this machine":            {line(uid+1, "/home/b") + line(uid, "/home/a") + line(uid, "/home/c"), "", "/home/a", ""},
		"one with zeros before its number":      {fmt.Sprintf("me:x:00%d:5::/home/a", uid), "", "/home/a", ""},
		"an account of a directory":             {line(uid+1, "/home/b"), line(uid, "/net/a"), "/net/a", ""},
		"what is written out of use":            {"#" + line(uid, "/home/b") + "+" + line(uid, "/home/b"), line(uid, "/net/a"), "/net/a", ""},
		"an unknown account":                    {line(uid+1, "/home/b"), "", "", "has no answer"},
		"an answer about another":               {"", line(uid+1, "/net/b"), "", "has no answer"},
		"an answer that is none":                {"", "me", "", "has no answer"},
		"an account of this machine, homeless":  {line(uid, ""), line(uid, "/net/a"), "", "not an absolute path"},
		"an account of a directory, relatively": {"", line(uid, "a"), "", "not an absolute path"},
	} {
		passwd := filepath.Join(t.TempDir(), "passwd")
		require.NoError(t, os.WriteFile(passwd, []byte(c.passwd), 0o600))
		asked := &directory{answer: c.answer}
		who, err := Call{}.account(t.Context(), asked, passwd)
		if c.says != "" {
			assert.ErrorContains(t, err, c.says, name)
			assert.NotContains(t, err.Error(), "\n", name)
			continue
		}
		require.NoError(t, err, name)
		assert.Equal(t, c.home, who.HomeDir, name)
		assert.Equal(t, fmt.Sprint(uid), who.Uid, name)
		if c.answer == "" {
			assert.Empty(t, asked.asked, "%s: a known account needs no getent", name)
		}
	}
}

// A user of whom the machine knows nothing: with a home of its own choice, the
// program itself would have looked there, and ssh elsewhere.
func TestAnUnknownUserIsNotExecutedAs(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("only root of Linux can be somebody else")
	}
	guard, boundary := built(t)
	directory := filepath.Dir(guard)
	for at := directory; at != filepath.Clean(os.TempDir()) && at != "/"; at = filepath.Dir(at) {
		require.NoError(t, os.Chmod(at, 0o755))
	}
	cmd := exec.CommandContext(t.Context(), guard, "ssh", "--boundary", boundary, "--", "-V")
	cmd.Dir, cmd.Env = "/", []string{"HOME=" + directory, "USER=other", "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}}
	out, _ := cmd.CombinedOutput()
	assert.Equal(t, 255, cmd.ProcessState.ExitCode(), string(out))
	assert.Contains(t, string(out), "prod-ip-guard: ssh: finding this user's home: user 54321: not in /etc/passwd, and `getent passwd 54321` has no answer")
}
