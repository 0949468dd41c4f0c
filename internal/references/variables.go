// SPDX-License-Identifier: GPL-3.0-or-later

package references

import (
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/lazyregexp"
)

// Class is the effect of an environment variable on the programs that read it.
type Class int

const (
	// Other is a variable of any program: only its value can mention production.
	Other Class = iota
	// Process variables describe the process (HOME, PWD, …). Their values may mention production.
	Process
	// Setting belongs to a client of Endpoint and Credential, and neither holds a credential nor changes the endpoint.
	Setting
	// Endpoint is an address that one known client connects to.
	Endpoint
	// Address is an address that any program may use, such as a proxy.
	Address
	// Detail completes an Endpoint: a port, a user, a TLS mode.
	Detail
	// Credential holds a credential, or changes the endpoint in a way that its value does not show.
	Credential
	// AnsibleSetting changes what Ansible loads and connects to. Ansible has read it before it loads an inventory.
	AnsibleSetting
)

// Variables by class. They are matched in this order, see Classify.
var (
	processVariables = []string{
		"PATH", "HOME", "PWD", "OLDPWD", "USER", "LOGNAME", "SHELL", "TMPDIR", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "SANDBOX_BOUNDARY",
		"HOSTNAME", "SSH_CLIENT", "SSH_CONNECTION", "LS_COLORS", "VIRTUAL_ENV", "EMAIL", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL",
	}

	settingVariable = lazyregexp.New(`^(?:AWS_(?:CA_BUNDLE|PAGER|REGION|DEFAULT_REGION|DEFAULT_OUTPUT|EXECUTION_ENV)|CLOUDSDK_(?:CORE_CUSTOM_CA_CERTS_FILE|CORE_DISABLE_PROMPTS|PYTHON)` +
		`|TF_(?:LOG.*|INPUT|IN_AUTOMATION|PLUGIN_CACHE_.*|IGNORE)|KUBE_EDITOR` +
		`|VAULT_(?:FORMAT|CLIENT_TIMEOUT|MAX_RETRIES|LOG_LEVEL)` +
		`|ANSIBLE_SSH_(?:PIPELINING|RETRIES|TIMEOUT|CONTROL_PATH|CONTROL_PATH_DIR|TRANSFER_METHOD|VERBOSITY))$`)

	vaultVariable    = lazyregexp.New(`^(?:VAULT|BAO)_(?:AGENT_|PROXY_)?ADDR$`)
	hostVariable     = lazyregexp.New(`^(?:KUBECONFIG|PGHOST|PGHOSTADDR|DOCKER_HOST|CONTAINER_HOST|DATABASE_URL)$`)
	proxyVariable    = lazyregexp.New(`^(?i:(?:https?|all|ftp|socks|vault_http)_proxy)$`)
	databaseVariable = lazyregexp.New(`^(?:.+_)?(?:DATABASE|DB|POSTGRES|POSTGRESQL|PG|MYSQL|MARIADB)_(?:URL|URI|DSN)$`)
	endpointVariable = lazyregexp.New(`^AWS_ENDPOINT_URL.*$`)

	credentialVariable = lazyregexp.New(`^(?:` + strings.Join([]string{
		`(?:AWS|GOOGLE|GCLOUD|CLOUDSDK|GCP|CLOUDFLARE|CF|OVH|ARM|AZURE|HCLOUD|DIGITALOCEAN|SCW|CONSUL|NOMAD|ETCDCTL|RESTIC|BORG|MC_HOST)_.*`,
		`VAULT_.*`, `BAO_.*`, `TF_.*`, `TOFU_.*`, `TERRAFORM_.*`,
		`PG(?:PASSWORD|PASSFILE|SERVICE|SERVICEFILE|SSLKEY|SSLCERT|SYSCONFDIR)`,
		`KUBE_.*`, `K8S_AUTH_.*`, `KUBERNETES_(?:MASTER|SERVICE_HOST)`, `HELM_KUBE.*`, `ARGOCD_.*`, `GITEA_.*`, `(?:GITHUB|GH|GITLAB)_.*TOKEN.*`,
		`DOCKER_CONTEXT`, `CONTAINER_(?:CONNECTION|SSHKEY)`, `BUILDKIT_HOST`, `LIBVIRT_DEFAULT_URI`,
		`GIT_(?:SSH|SSH_COMMAND|SSH_VARIANT|PROXY_COMMAND|DIR|WORK_TREE|COMMON_DIR|CONFIG|CONFIG_.*|EXEC_PATH|ASKPASS)`,
		`SSH_AUTH_SOCK`, `SSH_ASKPASS`, `SSH_SK_(?:PROVIDER|HELPER)`, `SSH_PKCS11_HELPER`, `RSYNC_(?:RSH|PROXY|CONNECT_PROG)`, `CVS_RSH`, `RES_OPTIONS`, `LOCALDOMAIN`, `HOSTALIASES`,
		`ANSIBLE_HASHI_VAULT_.*`,
	}, "|") + `)$`)

	detailVariable = lazyregexp.New(`^(?:PG.*|SSH_AGENT_PID|SANDBOX_PROGRAMS)$`)

	ansibleVariable = lazyregexp.New(`^ANSIBLE_(?:CONFIG|HOME|INVENTORY.*|HOSTS|TRANSPORT|CONNECTION.*|REMOTE_(?:USER|PORT|TMP)|PRIVATE_KEY_FILE|HOST_KEY_.*|SSH_.*|SCP_.*|SFTP_.*` +
		`|PARAMIKO_.*|NETCONF_.*|WINRM_.*|SSHPASS.*|VAULT_.*|ASK_.*|BECOME_(?:PLUGIN|EXE|ALLOW).*|STRATEGY.*|LIBRARY|MODULE_UTILS|RUN_.*TAGS|SKIP_TAGS` +
		`|RUN_VARS_PLUGINS|VARS_ENABLED|VARS_PLUGIN.*|PRECEDENCE|.*_PLUGINS)$`)
)

// Classify returns the class of the environment variable of that name.
func Classify(name string) Class {
	switch {
	case slices.Contains(processVariables, name):
		return Process
	case settingVariable.MatchString(name):
		return Setting
	case vaultVariable.MatchString(name), hostVariable.MatchString(name):
		return Endpoint
	case proxyVariable.MatchString(name), databaseVariable.MatchString(name):
		if credentialVariable.MatchString(name) || detailVariable.MatchString(name) { // of a client that is known
			return Endpoint
		}
		return Address
	case credentialVariable.MatchString(name):
		return Credential
	case detailVariable.MatchString(name):
		return Detail
	case ansibleVariable.MatchString(name):
		return AnsibleSetting
	}
	return Other
}
