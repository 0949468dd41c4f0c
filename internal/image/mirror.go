// SPDX-License-Identifier: GPL-3.0-or-later

package image

import (
	"context"
	"strings"

	"github.com/arcodange-org/sandbox/internal/run"
)

// Debian's own addresses: what an image refers to once built, and what is
// asked during the build where this machine's apt knows nothing nearer.
const (
	debianMirror   = "http://deb.debian.org/debian"
	debianSecurity = "http://deb.debian.org/debian-security"
)

// Mirrors is where Debian's packages are fetched from during a build.
type Mirrors struct {
	Main     string
	Security string
	Proxy    string // of apt; empty for none
}

// debianSuites are the releases by which a Debian archive is recognised
// (Ubuntu's, a vendor's) in apt's configuration.
var debianSuites = map[string]bool{
	"bullseye": true, "bookworm": true, "trixie": true, "forky": true, "sid": true,
	"oldstable": true, "stable": true, "testing": true, "unstable": true,
}

// aptMirrors asks this machine's apt which Debian mirror it uses: that one is
// known to be reachable and allowed here. A machine without apt, or whose apt
// is not Debian's, gives Debian's own addresses.
func aptMirrors(ctx context.Context, r run.Runner) Mirrors {
	m := Mirrors{Main: debianMirror, Security: debianSecurity}
	res, err := r.Run(ctx, run.Cmd{Name: "apt-get", Args: []string{
		"indextargets", "--no-release-info", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages",
	}})
	if err != nil {
		return m
	}
	main, security := false, false
	for line := range strings.Lines(string(res.Stdout)) {
		words := strings.Fields(line)
		if len(words) != 3 || words[2] != "main" {
			continue
		}
		uri, release := strings.TrimRight(words[0], "/"), words[1]
		if debianSuites[release] && !main {
			m.Main, main = uri, true
		}
		if suite, ok := strings.CutSuffix(release, "-security"); ok && debianSuites[suite] && !security {
			m.Security, security = uri, true
		}
	}
	res, err = r.Run(ctx, run.Cmd{Name: "apt-config", Args: []string{"shell", "PROXY", "Acquire::http::Proxy"}})
	if err == nil {
		value := strings.TrimPrefix(strings.TrimSpace(string(res.Stdout)), "PROXY=")
		m.Proxy = strings.Trim(value, "'")
	}
	return m
}
