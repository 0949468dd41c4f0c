// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPatternsMatchAsDocumented(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pattern string
		means   []string
		not     []string
	}{
		"a name alone is meant in any folder": {"site.yml", []string{"site.yml", "a/site.yml", "a/b/site.yml"}, []string{"site.yaml", "asite.yml", "Site.yml"}},
		"a slash in the middle ties it to the top": {
			"roles/dns", []string{"roles/dns", "roles/dns/tasks/main.yml"}, []string{"a/roles/dns", "roles/dns2", "roles"}},
		"a slash at the beginning ties it to the top": {"/site.yml", []string{"site.yml"}, []string{"a/site.yml"}},
		"a slash at the end is a folder, wherever it is": {
			"dns/", []string{"dns/a", "x/dns/a/b"}, []string{"dns", "x/dns", "xdns/a"}},
		"what names a folder stands for all in it":      {"vault", []string{"vault", "vault/a", "x/vault/b/c"}, []string{"vaults/a", "x/avault"}},
		"a star stays within a name":                    {"a/*.yml", []string{"a/b.yml", "a/.yml", "a/x.yml/in-a-folder"}, []string{"a/b/c.yml", "b.yml"}},
		"two stars are any number of folders":           {"a/**/z", []string{"a/z", "a/b/z", "a/b/c/z", "a/b/z/more"}, []string{"z", "a/bz", "b/a/z"}},
		"two stars in front untie":                      {"**/a/b", []string{"a/b", "x/a/b", "x/y/a/b/c"}, []string{"a/x/b"}},
		"two stars at the end want something inside":    {"a/**", []string{"a/b", "a/b/c"}, []string{"a", "b/a/c"}},
		"two stars alone are everything":                {"**", []string{"a", "a/b", "\xff/\n"}, nil},
		"a request mark is one character":               {"a/?", []string{"a/b", "a/é", "a/\xff"}, []string{"a/", "a/bb", "a"}},
		"many stars in one name":                        {"/a*b*c", []string{"abc", "axxbyyc", "abcbc"}, []string{"ab", "acb", "abcd"}},
		"dots are dots":                                 {"a.b", []string{"a.b"}, []string{"axb"}},
		"a repeated ** is one":                          {"a/**/**/b", []string{"a/b", "a/x/b"}, []string{"b"}},
		"a path that is no text is matched as it is":    {"data/*", []string{"data/\xc3\x28", "data/ "}, []string{"Data/x"}},
		"a folder pattern with two stars":               {"a/**/", []string{"a/b/c"}, []string{"a/b", "a"}},
		"a file called as a folder's beginning is none": {"/group_vars/", []string{"group_vars/all.yml"}, []string{"group_vars", "group_vars2/x"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := parsePattern(c.pattern)
			require.NoError(t, err)
			for _, path := range c.means {
				assert.True(t, p.match(path), "%s should mean %q", c.pattern, path)
			}
			for _, path := range c.not {
				assert.False(t, p.match(path), "%s should not mean %q", c.pattern, path)
			}
		})
	}
}

func TestAPatternThatPeopleWouldReadTwoWaysIsRefused(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"": "is empty", "/": "names nothing", "!a": "holds one of !", "[ab]": "holds one of !", `a\*`: "holds one of !", " a": "blank", "a ": "blank",
		"a//b": "two slashes", "a/../b": "holds ..", "./a": "holds .", "a**": "** next to", "a/**b": "** next to", "a\tb": "control character", "\xff": "is not text",
		strings.Repeat("a/", 70) + "a": "more than 62 parts", strings.Repeat("a", 1025): "at most 1024",
	} {
		_, err := parsePattern(text)
		assert.ErrorContains(t, err, says, "%q", text)
	}
}

// reference is a pattern as a regular expression, written down independently.
func reference(text string) *regexp.Regexp {
	body := strings.TrimSuffix(text, "/")
	tied := strings.Contains(body, "/")
	body = strings.TrimPrefix(body, "/")
	parts := strings.Split(body, "/")
	if !tied {
		parts = append([]string{"**"}, parts...)
	}
	var out strings.Builder
	for n, part := range parts {
		switch {
		case part == "**" && n == len(parts)-1:
			out.WriteString("[^/]*(?:/[^/]*)*")
			if strings.HasSuffix(text, "/") {
				out.WriteString("/.*")
			}
			return regexp.MustCompile("(?s)^" + out.String() + "$")
		case part == "**":
			out.WriteString("(?:[^/]*/)*")
			continue
		}
		for _, r := range part {
			switch r {
			case '*':
				out.WriteString("[^/]*")
			case '?':
				out.WriteString("[^/]")
			default:
				out.WriteString(regexp.QuoteMeta(string(r)))
			}
		}
		if n < len(parts)-1 {
			out.WriteByte('/')
		}
	}
	if strings.HasSuffix(text, "/") {
		out.WriteString("/.*")
	} else {
		out.WriteString("(?:/.*)?")
	}
	return regexp.MustCompile("(?s)^" + out.String() + "$")
}

func FuzzAPatternMatchesAsItsRegularExpressionDoes(f *testing.F) {
	for _, seed := range [][2]string{{"a/**/b", "a/x/b"}, {"*.yml", "x/a.yml"}, {"dns/", "dns/a"}, {"**", ""}, {"a*b?c", "axbyc"}, {"/a", "\xffa"}, {"?", "é\xc3"}, {"**/*/", "a/b"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, text, path string) {
		p, err := parsePattern(text)
		if err != nil {
			return
		}
		require.True(t, utf8.ValidString(text))
		assert.Equal(t, reference(text).MatchString(path), p.match(path), "%q on %q", text, path)
	})
}

func TestMatchingTakesTimeByThePathsLength(t *testing.T) {
	t.Parallel()
	// What makes a matcher that tries every way try for longer than anybody waits.
	p, err := parsePattern(strings.Repeat("**/a*a*a*a*b/", 20) + "z")
	require.NoError(t, err)
	assert.False(t, p.match(strings.Repeat(strings.Repeat("a", 255)+"/", 400)+"y"))
}
