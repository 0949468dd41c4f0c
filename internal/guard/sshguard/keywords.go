// SPDX-License-Identifier: GPL-3.0-or-later

package sshguard

import "strings"

// class is how the wrapper treats a setting of ssh_config(5).
type class string

const (
	// unknown settings are refused: they may connect anywhere.
	unknown class = ""
	// structure selects the hosts that other settings apply to, or includes files.
	structure class = "structure"
	// decided settings name hosts, ports or programs that connect, and are checked.
	decided class = "decided"
	// overridden settings get a value of the wrapper, see forced and decide.
	overridden class = "overridden"
	// refused settings run a program on this machine, or allow connections to anywhere.
	refused class = "refused"
	// harmless settings change neither where a connection leads nor what it gives away.
	harmless class = "harmless"
)

// classOf returns the class of a setting of OpenSSH 8.9 to 10.2, with those of
// Debian, Fedora and macOS, by its name in lower case. A test compares it with
// the ssh of the machine.
func classOf(name string) class {
	switch name {
	case "host", "match", "include", "ignoreunknown", "tag":
		return structure
	case "hostname", "port", "proxycommand", "proxyjump", "localforward", "remoteforward",
		// `ssh -G` has canonicalised the name; ssh does not do it again.
		"canonicaldomains", "canonicalizefallbacklocal", "canonicalizemaxdots", "canonicalizepermittedcnames",
		"addressfamily", "hostkeyalias":
		return decided
	case "canonicalizehostname", "permitlocalcommand", "tunnel", "tunneldevice", "forwardagent", "identityagent", "identitiesonly",
		"stricthostkeychecking", "verifyhostkeydns", "updatehostkeys", "proxyusefdpass", "securitykeyprovider", "pkcs11provider", "smartcarddevice",
		"forwardx11", "forwardx11trusted", "forwardx11timeout", "xauthlocation", "gssapidelegatecredentials", "kerberostgtpassing", "afstokenpassing",
		"controlpath", "controlmaster", "controlpersist", "clearallforwardings", "revokedhostkeys", "globalknownhostsfile", "globalknownhostsfile2", "escapechar",
		// Without an agent, and with all keys checked, these have no effect.
		"addkeystoagent", "usekeychain", "nohostauthenticationforlocalhost":
		return overridden
	case "localcommand", "knownhostscommand", "dynamicforward":
		return refused
	case "user", "batchmode", "bindaddress", "bindinterface", "casignaturealgorithms", "certificatefile", "challengeresponseauthentication", "channeltimeout",
		"checkhostip", "cipher", "ciphers", "compression", "compressionlevel", "connectionattempts", "connecttimeout", "dsaauthentication",
		"enableescapecommandline", "enablesshkeysign", "exitonforwardfailure", "fallbacktorsh", "fingerprinthash", "forkafterauthentication",
		"gatewayports", "gssapiauthentication", "gssapiclientidentity", "gssapikexalgorithms", "gssapikeyexchange", "gssapirenewalforcesrekey",
		"gssapiserveridentity", "gssapitrustdns", "hashknownhosts", "hostbasedacceptedalgorithms", "hostbasedauthentication", "hostbasedkeytypes",
		"hostbasedacceptedkeytypes", "hostkeyalgorithms", "identityfile", "identityfile2", "ipqos", "kbdinteractiveauthentication", "kbdinteractivedevices",
		"keepalive", "kerberosauthentication", "kexalgorithms", "loglevel", "logverbose", "mac", "macs", "numberofpasswordprompts", "obscurekeystroketiming",
		"passwordauthentication", "permitremoteopen", "preferredauthentications", "protocol", "protocolkeepalives", "pubkeyacceptedalgorithms",
		"pubkeyacceptedkeytypes", "pubkeyauthentication", "refuseconnection", "rekeylimit", "remotecommand", "requesttty", "requiredrsasize", "rsaminsize",
		"rhostsauthentication", "rhostsrsaauthentication", "rsaauthentication", "sendenv", "serveralivecountmax", "serveraliveinterval", "sessiontype",
		"setenv", "setuptimeout", "skeyauthentication", "stdinnull", "streamlocalbindmask", "streamlocalbindunlink", "syslogfacility", "tcpkeepalive",
		"tisauthentication", "useblacklistedkeys", "useprivilegedport", "useroaming", "userknownhostsfile", "userknownhostsfile2", "usersh", "versionaddendum",
		"visualhostkey", "warnweakcrypto":
		return harmless
	}
	return unknown
}

// setting returns the name of the setting in a line of a configuration, in lower
// case; empty if there is none.
func setting(line string) string {
	line = strings.TrimLeft(line, blanks)
	if line == "" || line[0] == '#' {
		return ""
	}
	name, _ := keyValue(line)
	return name
}
