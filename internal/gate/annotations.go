// SPDX-License-Identifier: GPL-3.0-or-later

package gate

import (
	"fmt"
	"strings"
)

// annotations formats findings as workflow commands of GitHub and Gitea Actions.
// A job prints them, one per line, to show the findings in a pull request.
func annotations(r *Report) ([]byte, error) {
	var out strings.Builder
	command := func(level string, f Finding, text string) {
		at := r.position(f)
		fmt.Fprintf(&out, "::%s file=%s", level, property(at.file))
		if at.line > 0 {
			fmt.Fprintf(&out, ",line=%d", at.line)
		}
		fmt.Fprintf(&out, ",title=%s::%s\n", property(r.Gate+": "+f.Rule), escaped(text))
	}
	for _, f := range r.Findings {
		command("error", f, f.Message)
	}
	for _, w := range r.Waived {
		command("notice", w.Finding, fmt.Sprintf("waived until %s: %s (%s)", w.Waiver.Expires, w.Message, w.Waiver.Reason))
	}
	return []byte(out.String()), nil
}

// escaped and property escape the value of a workflow command and of its
// properties, as the runner decodes them.
func escaped(text string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(text)
}

func property(text string) string {
	return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(escaped(text))
}
