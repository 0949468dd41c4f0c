// SPDX-License-Identifier: GPL-3.0-or-later

package boundary

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/arcodange-org/sandbox/internal/lazyregexp"
)

var (
	errNoHost     = errors.New("it has no host, so other settings decide")
	errSocket     = errors.New("it is a socket in the file system, so the process behind it is unknown")
	errUnreadable = errors.New("it is not a URL or DSN of a database that can be read")

	mysqlDSN = lazyregexp.New(`^(?:[^/]*@)?([a-z0-9]+)\(([^)]*)\)/`)
	keyword  = lazyregexp.New(`^[ \t\r\n]*([A-Za-z_]+)[ \t\r\n]*=[ \t\r\n]*`)
)

// databaseHosts returns host[:port] of every host in a URL or DSN. No other part of it is returned or in an error, since it may be secret.
func databaseHosts(text string) ([]string, error) {
	text = strings.TrimSpace(text)
	for strings.HasPrefix(text, "jdbc:") {
		text = text[len("jdbc:"):]
	}
	var hosts []string
	switch {
	case text == "":
		return nil, errNoHost
	case strings.Contains(text, "://"):
		scheme, rest, _ := strings.Cut(text, "://")
		scheme = strings.ToLower(scheme)
		if base, _, driver := strings.Cut(scheme, "+"); driver {
			scheme = base // SQLAlchemy's dialect+driver
		}
		port, known := schemePorts[scheme]
		if !known || port == 22 {
			return nil, errUnreadable
		}
		authority, query := rest, ""
		if at := strings.IndexAny(authority, "?#"); at >= 0 {
			authority, query = rest[:at], rest[at+1:]
		}
		authority, path, _ := strings.Cut(authority, "/")
		if strings.Contains(path, "@") {
			return nil, errUnreadable // a password with a slash in it, or a path with an @
		}
		if at := strings.LastIndexByte(authority, '@'); at >= 0 {
			authority = authority[at+1:]
		}
		values, err := url.ParseQuery(strings.TrimPrefix(query, "?"))
		if err != nil {
			return nil, errUnreadable
		}
		for _, host := range strings.Split(authority, ",") {
			if decoded, err := url.PathUnescape(host); err == nil && strings.HasPrefix(decoded, "/") {
				return nil, errSocket
			}
			if host != "" {
				hosts = append(hosts, withPort(host, port))
			}
		}
		// libpq lets the query override the authority; whichever a driver prefers, all are checked.
		for name, list := range values {
			name = strings.ToLower(name)
			for _, value := range list {
				switch name {
				case "host", "hostaddr", "server", "servername", "pghost":
					hosts = append(hosts, split(value)...)
				case "service", "servicefile", "socket", "unix_socket":
					return nil, errSocket
				case "socksproxyhost", "proxyhost", "socketfactory", "localsocket", "pipe": // of JDBC's drivers
					return nil, errors.New("it uses a proxy or a socket factory, whose target is unknown")
				case "port", "pgport":
					return nil, errors.New("its port is in the query; put it after the host")
				}
			}
		}
	case mysqlDSN.MatchString(text):
		parts := mysqlDSN.FindStringSubmatch(text)
		if !slices.Contains([]string{"tcp", "tcp4", "tcp6"}, parts[1]) {
			return nil, errSocket
		}
		hosts = append(hosts, withPort(parts[2], 3306))
	case strings.Contains(text, "="):
		values, err := keywords(text)
		if err != nil {
			return nil, err
		}
		if values["service"] != "" || values["servicefile"] != "" {
			return nil, errors.New("it names a service, which is defined in another file")
		}
		ports := strings.Split(values["port"], ",")
		names, addresses := split(values["host"]), split(values["hostaddr"])
		for _, list := range [][]string{addresses, names} {
			for i, host := range list {
				if port := ports[min(i, len(ports)-1)]; port != "" && !strings.HasPrefix(host, "/") {
					if strings.Contains(host, ":") {
						host = "[" + host + "]"
					}
					host += ":" + port
				}
				hosts = append(hosts, host)
			}
		}
	default:
		if strings.ContainsAny(text, " \t()?#") {
			return nil, errUnreadable
		}
		for _, host := range strings.Split(text, ",") {
			if at := strings.LastIndexByte(host, '@'); at >= 0 {
				host = host[at+1:]
			}
			if !strings.HasPrefix(host, "/") {
				host, _, _ = strings.Cut(host, "/")
			}
			hosts = append(hosts, host)
		}
	}
	if len(hosts) == 0 {
		return nil, errNoHost
	}
	for _, host := range hosts {
		if host == "" || strings.HasPrefix(host, ":") {
			return nil, errNoHost
		}
		if strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") {
			return nil, errSocket
		}
	}
	return hosts, nil
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

// withPort adds the default port to a host without one.
func withPort(host string, port uint16) string {
	if p := readEndpoint(host); p.bad == "" && p.odd == "" && p.port == 0 {
		usual := url.URL{Host: p.host}
		if strings.Contains(p.host, ":") {
			usual.Host = "[" + p.host + "]"
		}
		return usual.Host + ":" + strconv.Itoa(int(port))
	}
	return host
}

// keywords reads a DSN of libpq: name = value, values quoted with ' where they need it, and \ before ' and \.
func keywords(text string) (map[string]string, error) {
	values := map[string]string{}
	for strings.TrimSpace(text) != "" {
		match := keyword.FindStringSubmatch(text)
		if match == nil {
			return nil, errUnreadable
		}
		text = text[len(match[0]):]
		var value strings.Builder
		quoted := strings.HasPrefix(text, "'")
		if quoted {
			text = text[1:]
		}
		closed := !quoted
		at := 0
		for ; at < len(text); at++ {
			c := text[at]
			if c == '\\' && at+1 < len(text) {
				at++
				value.WriteByte(text[at])
				continue
			}
			if quoted && c == '\'' {
				closed = true
				at++
				break
			}
			if !quoted && strings.IndexByte(" \t\r\n", c) >= 0 {
				break
			}
			value.WriteByte(c)
		}
		if !closed {
			return nil, errUnreadable
		}
		text = text[at:]
		// libpq uses the last value of a keyword.
		values[strings.ToLower(match[1])] = value.String()
	}
	return values, nil
}

var (
	password = lazyregexp.New(`(?i)((?:password|passwd|pwd|token|secret|key)[ \t]*=[ \t]*)('(?:[^'\\]|\\.)*'?|[^&\s]*)`)
	userinfo = lazyregexp.New(`^([^/@:\s]*):.*@`)
)

// redact removes what may be secret from a target: passwords, user names of
// HTTP (which may be tokens), queries.
func redact(text string) string {
	if !strings.ContainsAny(text, "@=/") {
		return text
	}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return password.ReplaceAllString(userinfo.ReplaceAllString(text, "$1:***@"), "$1***")
	}
	if at := strings.IndexAny(rest, "?#"); at >= 0 {
		rest = rest[:at+1] + "***"
	}
	// A password may hold a slash, so the last @ counts, wherever it is.
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		user, _, secret := strings.Cut(rest[:at], ":")
		switch {
		case secret:
			user += ":***"
		case strings.HasPrefix(strings.ToLower(scheme), "http"):
			user = "***"
		}
		rest = user + rest[at:]
	}
	return scheme + "://" + rest
}
