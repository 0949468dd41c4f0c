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

// patience is how long a directory of accounts on the network may take to answer.
const patience = 10 * time.Second

// account is this user's, with the home that ssh takes its configuration from.
// ssh asks the system (getpwuid). Without the system's libraries Go only reads
// passwd, and believes the environment about who is not in it: so of those,
// getent is asked. It takes its time, and is not needed for most.
func (c Call) account(ctx context.Context, runner run.Runner, passwd string) (*user.User, error) {
	if runtime.GOOS != "linux" {
		return user.Current() // asks the system
	}
	uid := os.Getuid()
	data, err := os.ReadFile(passwd)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	who := entry(string(data), uid)
	if who == nil {
		getent, err := Find("getent", "")
		if err != nil {
			return nil, fmt.Errorf("the user %d is not in %s, and there is no getent that could be asked; install it", uid, passwd)
		}
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		result, err := runner.Run(ctx, run.Cmd{Name: getent, Args: []string{"passwd", strconv.Itoa(uid)}, Env: Keep(c.Env)})
		if who = entry(string(result.Stdout), uid); err != nil || who == nil {
			return nil, fmt.Errorf("the user %d is not in %s, and `getent passwd %d` has no answer, so nobody can tell which configuration ssh reads; run this as a user of this machine", uid, passwd, uid)
		}
	}
	if !filepath.IsAbs(who.HomeDir) { // it would be wherever this process happens to be
		return nil, fmt.Errorf("the home of the user %d is %q, which is no absolute path", uid, who.HomeDir)
	}
	return who, nil
}

// entry is the first account of that uid in text as passwd(5) has it; nil if there is none.
func entry(text string, uid int) *user.User {
	for line := range strings.Lines(text) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		// What begins so is no account: it is a remark, or tells the system to ask elsewhere.
		if len(fields) < 6 || fields[0] == "" || strings.ContainsRune("#+-", rune(fields[0][0])) {
			continue
		}
		if its, err := strconv.Atoi(fields[2]); err == nil && its == uid {
			return &user.User{Uid: strconv.Itoa(uid), Gid: fields[3], Username: fields[0], HomeDir: fields[5]}
		}
	}
	return nil
}
