// SPDX-License-Identifier: GPL-3.0-or-later

package sshguard

import "strings"

// class is what the stand-in does about a setting of ssh_config(5).
type class string

const (
	// unheard is a setting that the stand-in does not know; whoever sets it is refused, since nobody can tell where it leads.
	unheard class = ""
	// structure says to which hosts other settings apply, and where more of them stand.
	structure class = "structure"
	// decided settings name hosts, ports or programs that connect, and are decided about.
	decided class = "decided"
	// held settings are given a value of the stand-in's own, see forced and decide.
	held class = "held"
	// refused settings would run a program on this machine or open a way to anywhere, if they are set.
	refused class = "refused"
	// harmless settings change how a connection is made, and not where it leads, or what it takes along.
	harmless class = "harmless"
)

// classOf classifies a setting of OpenSSH 8.9 to 10.2, with those of Debian,
// Fedora and macOS, by its name in lower case. A test holds it to the ssh of
// the machine: every word that this takes for a setting has a class.
func classOf(name string) class {
	switch name {
	case "host", "match", "include", "ignoreunknown", "tag":
		return structure
	case "hostname", "port", "proxycommand", "proxyjump", "localforward", "remoteforward",
		// Where a name is completed and followed, `ssh -G` has done it, and it is not done again.
		"canonicaldomains", "canonicalizefallbacklocal", "canonicalizemaxdots", "canonicalizepermittedcnames",
		"addressfamily", "hostkeyalias":
		return decided
	case "canonicalizehostname", "permitlocalcommand", "tunnel", "tunneldevice", "forwardagent", "identityagent", "identitiesonly",
		"stricthostkeychecking", "verifyhostkeydns", "updatehostkeys", "proxyusefdpass", "securitykeyprovider", "pkcs11provider", "smartcarddevice",
		"forwardx11", "forwardx11trusted", "forwardx11timeout", "xauthlocation", "gssapidelegatecredentials", "kerberostgtpassing", "afstokenpassing",
		"controlpath", "controlmaster", "controlpersist", "clearallforwardings", "revokedhostkeys", "globalknownhostsfile", "globalknownhostsfile2", "escapechar",
		// There is no agent to add to, and no key that is not checked.
		"addkeystoagent", "usekeychain", "nohostauthenticationforlocalhost":
		return held
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
	return unheard
}

// setting is the name of the setting that a line of a configuration gives, in
// lower case; empty for a line that gives none.
func setting(line string) string {
	line = strings.TrimLeft(line, blanks)
	if line == "" || line[0] == '#' {
		return ""
	}
	name, _ := keyValue(line)
	return name
}
