// SPDX-License-Identifier: GPL-3.0-or-later

package sshexec

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/run"
)

// getentTimeout is how long a directory service may take to answer.
const getentTimeout = 10 * time.Second

// account returns the account of this user, whose home has ssh's configuration.
// ssh calls getpwuid(3). Without cgo, Go only reads passwd, and falls back to the
// environment; getent has the accounts that are not in it, and is slower.
func (c Call) account(ctx context.Context, runner run.Runner, passwd string) (*user.User, error) {
	if runtime.GOOS != "linux" {
		return user.Current() // asks the system
	}
	uid := os.Getuid()
	data, err := os.ReadFile(passwd)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	who := parsePasswd(string(data), uid)
	if who == nil {
		getent, err := Find("getent", "")
		if err != nil {
			return nil, fmt.Errorf("user %d: not in %s, and getent was not found; install it", uid, passwd)
		}
		ctx, cancel := context.WithTimeout(ctx, getentTimeout)
		defer cancel()
		result, err := runner.Run(ctx, run.Cmd{Name: getent, Args: []string{"passwd", strconv.Itoa(uid)}, Env: CleanEnv(c.Env)})
		if who = parsePasswd(string(result.Stdout), uid); err != nil || who == nil {
			return nil, fmt.Errorf("user %d: not in %s, and `getent passwd %d` has no answer, so the home with ssh's configuration is unknown; run this as a user of this machine", uid, passwd, uid)
		}
	}
	if !filepath.IsAbs(who.HomeDir) {
		return nil, fmt.Errorf("user %d: home %q is not an absolute path", uid, who.HomeDir)
	}
	return who, nil
}

// parsePasswd returns the first account of that uid in text as passwd(5) has it; nil if there is none.
func parsePasswd(text string, uid int) *user.User {
	for line := range strings.Lines(text) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		// Comments, and the entries of NIS.
		if len(fields) < 6 || fields[0] == "" || strings.ContainsRune("#+-", rune(fields[0][0])) {
			continue
		}
		if its, err := strconv.Atoi(fields[2]); err == nil && its == uid {
			return &user.User{Uid: strconv.Itoa(uid), Gid: fields[3], Username: fields[0], HomeDir: fields[5]}
		}
	}
	return nil
}
