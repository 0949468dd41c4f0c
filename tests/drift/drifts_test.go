// SPDX-License-Identifier: GPL-3.0-or-later

//go:build sandbox

package drift

import "slices"

// drift is one change by hand.
type drift struct {
	name  string
	where string // a machine, or "controller"
	shell string // what is done there, as root; on the controller SANDBOX, STATE and KUBECONFIG are set
	found string // the task that finds it
	alone bool   // it hides others
	often bool   // also in the suite that `make test` runs
}

// Tasks that find drifts.
const (
	machine      = "sandbox_nodes : Create and start the node"
	hosts        = "node_base : Write the names of the nodes to /etc/hosts"
	docker       = "node_base : Start Docker only where services run outside Kubernetes"
	fenceOutside = "sandbox_nodes : Keep the machines inside the sandbox, from outside"
	services     = "sandbox_nodes : Serve names and time"
	fenceAllowed = "node_fence : Write the names listed under sandbox.outside to /etc/hosts"
	fenceRules   = "node_fence : Install nftables rules"
	fenceNames   = "node_fence : Block production's names"
	fenceUnit    = "node_fence : Install the service that loads the rules"
	fenceFurther = "node_fence : Remove further settings of the service"
	fenceService = "node_fence : Load the rules, now and at boot"
	fenceForce   = "node_fence : Load the rules again where those in force are others"
	folders      = "k3s : Create the folders of k3s"
	images       = "k3s : Copy images to the import folder of k3s"
	binary       = "k3s : Install the binary"
	links        = "k3s : Link kubectl, crictl and ctr"
	scripts      = "k3s : Install the scripts that end and remove k3s"
	unit         = "k3s : Write the unit"
	config       = "k3s : Write the configuration"
	registries   = "k3s : Write the registries"
	variables    = "k3s : Write the service's variables"
	further      = "k3s : Remove further configuration"
	service      = "k3s : Start the service, and restart it after changes"
	record       = "k3s : Record what the service runs"
	kubeconfig   = "k3s : Write the kubeconfig of the sandbox"
	unregistered = "k3s : Restart the services of nodes that are not registered"
	nodes        = "k3s : Set labels and taints of the nodes"
	objects      = "k3s : Deploy the manifests again where an object differs"
	probe        = "k3s : Deploy the probe"
	pgFolder     = "postgres : Create the project's folder"
	pgPassword   = "postgres : Copy the superuser's password"
	pgProject    = "postgres : Describe the project"
	pgStart      = "postgres : Start the compose project"
	pgLogin      = "postgres : Check the superuser's password"
)

// outside does something to the tables on the host of the engine that name the
// sandbox's bridge, and to no other sandbox's. The word follows.
const outside = `change() {
	bridge=br-$(docker network inspect --format '{{slice .Id 0 12}}' "$SANDBOX")
	docker run --rm --network=host --cap-drop=ALL --cap-add=NET_ADMIN --pull=never --entrypoint=/bin/sh "$(docker inspect --format '{{.Config.Image}}' "$SANDBOX-pi1")" -ec '
		nft list tables | grep arcodange_sandbox | while read -r table; do
			if nft list $table | grep -q '$bridge'; then nft '$1' $table; fi
		done'
}
change `

var drifts = slices.Concat(
	[]drift{
		{name: "a machine is stopped", where: "controller", shell: "docker stop $SANDBOX-pi3", found: machine, alone: true},
		{name: "a machine is killed", where: "controller", shell: "docker kill $SANDBOX-pi3", found: machine, alone: true},
		{name: "a machine is removed, but for its disks", where: "controller", shell: "docker rm --force $SANDBOX-pi3", found: machine, alone: true},
		{name: "the machine of PostgreSQL is removed, but for its disks", where: "controller", shell: "docker rm --force $SANDBOX-pi2", found: machine, alone: true},
		{name: "the machine of the server is removed, but for its disks", where: "controller", shell: "docker rm --force $SANDBOX-pi1", found: machine, alone: true},
		{name: "the state of the sandbox is lost", where: "controller", shell: "rm -r $STATE", found: machine, alone: true},
		{name: "a machine is paused", where: "controller", shell: "docker pause $SANDBOX-pi3", found: machine, alone: true},
		{name: "a machine's key is removed", where: "pi3", shell: "rm /etc/arcodange-sandbox/authorized_keys", found: machine, alone: true},
		{name: "a machine's user is another", where: "pi3", shell: "echo root >/etc/arcodange-sandbox/user", found: machine, alone: true},
		{name: "a machine may use less memory", where: "controller", shell: "docker update --memory 3g --memory-swap 3g $SANDBOX-pi3", found: machine, often: true},
		{name: "a machine may use swap", where: "controller", shell: "docker update --memory-swap 8g $SANDBOX-pi3", found: machine},
		{name: "a machine may use less time", where: "controller", shell: "docker update --cpus 1 $SANDBOX-pi3", found: machine},
		{name: "a machine may use fewer processors", where: "controller", shell: "docker update --cpuset-cpus 0 $SANDBOX-pi2", found: machine},
		{name: "a machine is another model", where: "pi3", shell: "echo Toaster >/etc/arcodange-sandbox/model", found: machine},
		{name: "what a machine lacks is removed", where: "pi2", shell: "rm /etc/arcodange-sandbox/lacks", found: machine},
		{name: "the known hosts are removed", where: "controller", shell: "rm $STATE/ssh/known_hosts", found: machine, alone: true},
		{name: "the known hosts name another key", where: "controller", shell: "sed -i 's/AAAA/AAAB/' $STATE/ssh/known_hosts", found: machine, alone: true},
	},
	[]drift{
		{name: "a package is removed", where: "pi3", shell: "dpkg --purge --force-depends open-iscsi", found: "node_base : Install packages"},
		{name: "the names of the nodes are removed", where: "pi3", shell: "sed -i '/nodes of the sandbox/,/nodes of the sandbox/d' /etc/hosts", found: hosts, often: true},
		{name: "a name of a node leads elsewhere", where: "pi3", shell: "sed -i 's/^172.* pi1$/192.0.2.1 pi1/' /etc/hosts", found: hosts},
		{name: "/etc/hosts may be read by root alone", where: "pi3", shell: "chmod 600 /etc/hosts", found: hosts},
		{name: "/etc/hosts belongs to somebody else", where: "pi3", shell: "chown pi /etc/hosts", found: hosts},
		{name: "/etc/hosts is removed", where: "pi3", shell: "rm /etc/hosts", found: hosts, alone: true},
		{name: "forwarding is off", where: "pi3", shell: "sysctl net.ipv4.ip_forward=0", found: "node_base : Set sysctl values", often: true},
		{name: "forwarding is off from the next start", where: "pi3", shell: "echo net.ipv4.ip_forward=0 >/etc/sysctl.d/90-sandbox.conf", found: "node_base : Set sysctl values"},
		{name: "the file of kernel settings is removed", where: "pi3", shell: "rm /etc/sysctl.d/90-sandbox.conf", found: "node_base : Set sysctl values"},
		{name: "Docker runs where it should not", where: "pi3", shell: "systemctl start docker", found: docker},
		{name: "Docker starts at boot where it should not", where: "pi3", shell: "systemctl enable docker", found: docker},
		{name: "Docker is stopped where it should run", where: "pi2", shell: "systemctl stop docker.socket docker", found: docker, alone: true},
		{name: "Docker does not start at boot where it should", where: "pi2", shell: "systemctl disable docker", found: docker},
	},
	[]drift{
		{name: "the fence outside is removed", where: "controller", shell: outside + "delete", found: fenceOutside, often: true},
		{name: "the fence outside is flushed", where: "controller", shell: outside + "flush", found: fenceOutside},
		{name: "the container that keeps the fence is removed", where: "controller", shell: "docker rm --force $SANDBOX-fence", found: fenceOutside},
		{name: "the name server is stopped", where: "controller", shell: "docker stop $SANDBOX-services", found: services, often: true},
		{name: "the name server is removed", where: "controller", shell: "docker rm --force $SANDBOX-services", found: services},
		{name: "the names outside are removed", where: "pi3", shell: "sed -i '/outside of the sandbox, allowed/,/outside of the sandbox, allowed/d' /etc/hosts", found: fenceAllowed},
		{name: "a rule of the fence is taken out of its file", where: "pi3", shell: "sed -i '/drop/d' /etc/arcodange-fence.nft", found: fenceRules},
		{name: "the fence's file is removed", where: "pi3", shell: "rm /etc/arcodange-fence.nft", found: fenceRules},
		{name: "the fence's file is writable for all", where: "pi3", shell: "chmod 666 /etc/arcodange-fence.nft", found: fenceRules},
		{name: "the fence's file belongs to somebody else", where: "pi3", shell: "chown pi /etc/arcodange-fence.nft", found: fenceRules},
		{name: "the fence's table is deleted", where: "pi3", shell: "nft delete table inet arcodange_fence", found: fenceForce},
		{name: "the fence's chains are flushed", where: "pi3", shell: "nft flush table inet arcodange_fence", found: fenceForce, often: true},
		{name: "a rule is put before the fence's", where: "pi3", shell: `nft insert rule inet arcodange_fence "$(nft list table inet arcodange_fence | awk '/chain/{print $2; exit}')" accept`, found: fenceForce},
		{name: "all rules of the machine are flushed", where: "pi3", shell: "nft flush ruleset", found: fenceForce, alone: true},
		{name: "production's names are let through", where: "pi3", shell: "sed -i '/production, out of reach/,/production, out of reach/d' /etc/hosts", found: fenceNames},
		{name: "one of production's names is let through", where: "pi3", shell: "sed -i '/0.0.0.0 pi1.home/d' /etc/hosts", found: fenceNames},
		{name: "the fence's unit is changed", where: "pi3", shell: "echo '# changed' >>/etc/systemd/system/arcodange-fence.service", found: fenceUnit},
		{name: "the fence's unit is removed", where: "pi3", shell: "rm /etc/systemd/system/arcodange-fence.service; systemctl daemon-reload", found: fenceUnit},
		{name: "the fence's unit is writable for all", where: "pi3", shell: "chmod 666 /etc/systemd/system/arcodange-fence.service", found: fenceUnit},
		{name: "the fence's service is stopped", where: "pi3", shell: "systemctl stop arcodange-fence", found: fenceService},
		{name: "the fence's service does not start at boot", where: "pi3", shell: "systemctl disable arcodange-fence", found: fenceService},
		{name: "the fence's service is masked", where: "pi3", shell: "systemctl mask --runtime arcodange-fence", found: fenceService},
		{name: "the fence's service has a drop-in", where: "pi3", shell: "mkdir /etc/systemd/system/arcodange-fence.service.d && printf '[Service]\nExecStart=\nExecStart=/bin/true\n' >/etc/systemd/system/arcodange-fence.service.d/x.conf", found: fenceFurther},
	},
	[]drift{
		{name: "k3s's folder may be read by root alone", where: "pi3", shell: "chmod 700 /etc/rancher/k3s", found: folders},
		{name: "k3s's images are removed", where: "pi3", shell: "rm -r /var/lib/rancher/k3s/agent/images", found: folders, alone: true},
		{name: "k3s's images are others", where: "pi3", shell: "for f in /var/lib/rancher/k3s/agent/images/*.tar; do echo x >>$f; done", found: images},
		{name: "k3s is another program", where: "pi3", shell: "rm /usr/local/bin/k3s && cp /bin/true /usr/local/bin/k3s", found: binary, alone: true},
		{name: "k3s is removed", where: "pi3", shell: "rm /usr/local/bin/k3s", found: binary, alone: true},
		{name: "k3s may not be run by all", where: "pi3", shell: "chmod 700 /usr/local/bin/k3s", found: binary},
		{name: "k3s belongs to somebody else", where: "pi3", shell: "chown pi /usr/local/bin/k3s", found: binary},
		{name: "kubectl is removed", where: "pi3", shell: "rm /usr/local/bin/kubectl", found: links},
		{name: "crictl leads elsewhere", where: "pi3", shell: "ln -sf /bin/true /usr/local/bin/crictl", found: links},
		{name: "the script that removes k3s is changed", where: "pi3", shell: "echo reboot >>/usr/local/bin/k3s-agent-uninstall.sh", found: scripts, often: true},
		{name: "the agent's unit is changed", where: "pi3", shell: "sed -i s/LimitCORE=infinity/LimitCORE=0/ /etc/systemd/system/k3s-agent.service", found: unit, often: true},
		{name: "the agent's unit is removed", where: "pi3", shell: "rm /etc/systemd/system/k3s-agent.service; systemctl daemon-reload", found: unit},
		{name: "the agent's unit is writable for all", where: "pi3", shell: "chmod 666 /etc/systemd/system/k3s-agent.service", found: unit},
		{name: "the server's unit is changed", where: "pi1", shell: "sed -i s/LimitCORE=infinity/LimitCORE=0/ /etc/systemd/system/k3s.service", found: unit},
		{name: "the agent's configuration is changed", where: "pi3", shell: "echo 'node-label: [a=b]' >>/etc/rancher/k3s/config.yaml", found: config},
		{name: "the agent's configuration is removed", where: "pi3", shell: "rm /etc/rancher/k3s/config.yaml", found: config},
		{name: "the server's configuration may be read by all", where: "pi1", shell: "chmod 644 /etc/rancher/k3s/config.yaml", found: config},
		{name: "the server's configuration is changed", where: "pi1", shell: "sed -i /write-kubeconfig-mode/d /etc/rancher/k3s/config.yaml", found: config},
		{name: "the agent has a further configuration", where: "pi3", shell: "mkdir /etc/rancher/k3s/config.yaml.d && echo 'node-label: [a=b]' >/etc/rancher/k3s/config.yaml.d/x.yaml", found: further},
		{name: "the agent has other registries", where: "pi3", shell: "echo 'mirrors: {x.test: {}}' >/etc/rancher/k3s/registries.yaml", found: registries},
		{name: "the agent has a file of variables", where: "pi3", shell: "echo K3S_NODE_NAME=x >/etc/default/k3s-agent", found: further, often: true},
		{name: "the agent has k3s's own file of variables", where: "pi3", shell: "echo K3S_NODE_NAME=x >/etc/systemd/system/k3s-agent.service.env", found: variables},
		{name: "the agent has another file of variables", where: "pi3", shell: "mkdir -p /etc/sysconfig && echo K3S_NODE_NAME=x >/etc/sysconfig/k3s-agent", found: further},
		{name: "the agent has a template of containerd", where: "pi3", shell: "echo '{{ template \"base\" . }}' >/var/lib/rancher/k3s/agent/etc/containerd/config.toml.tmpl", found: further},
		{name: "the agent's service has a drop-in", where: "pi3", shell: "mkdir /etc/systemd/system/k3s-agent.service.d && printf '[Service]\nExecStartPre=/bin/false\n' >/etc/systemd/system/k3s-agent.service.d/x.conf", found: further},
		{name: "the server's service has a drop-in until the next start", where: "pi1", shell: "mkdir -p /run/systemd/system/k3s.service.d && printf '[Service]\nNice=5\n' >/run/systemd/system/k3s.service.d/x.conf", found: further},
		{name: "the agent is stopped", where: "pi3", shell: "systemctl stop k3s-agent", found: service, often: true, alone: true},
		{name: "the agent does not start at boot", where: "pi3", shell: "systemctl disable k3s-agent", found: service},
		{name: "the agent is masked", where: "pi3", shell: "systemctl mask --runtime k3s-agent", found: service, alone: true},
		{name: "the server is stopped", where: "pi1", shell: "systemctl stop k3s", found: service, alone: true},
		{name: "what the agent was started with is not known", where: "pi3", shell: "rm /var/lib/rancher/k3s/.k3s-agent-inputs", found: service},
		{name: "what the agent was started with is writable for all", where: "pi3", shell: "chmod 666 /var/lib/rancher/k3s/.k3s-agent-inputs", found: record},
		{name: "the server's token is removed", where: "pi1", shell: "rm /var/lib/rancher/k3s/server/token", found: service, alone: true},
		{name: "the server's kubeconfig is removed", where: "pi1", shell: "rm /etc/rancher/k3s/k3s.yaml", found: service},
		{name: "the controller's kubeconfig is removed", where: "controller", shell: "rm $KUBECONFIG", found: kubeconfig},
		{name: "the controller's kubeconfig leads elsewhere", where: "controller", shell: "sed -i 's,server: .*,server: https://192.0.2.1:6443,' $KUBECONFIG", found: kubeconfig},
		{name: "the controller's kubeconfig may be read by all", where: "controller", shell: "chmod 644 $KUBECONFIG", found: kubeconfig},
	},
	[]drift{
		{name: "a node is deleted from the cluster", where: "pi1", shell: "kubectl delete node pi3", found: unregistered, alone: true},
		{name: "a node takes no pods", where: "pi1", shell: "kubectl cordon pi3", found: nodes},
		{name: "the server's role label is removed", where: "pi1", shell: "kubectl label node pi1 node-role.kubernetes.io/control-plane-", found: nodes},
		{name: "the server's role label has another value", where: "pi1", shell: "kubectl label --overwrite node pi1 node-role.kubernetes.io/control-plane=no", found: nodes},
		{name: "a node has an undeclared label", where: "pi1", shell: "kubectl label node pi3 colour=red", found: nodes, often: true},
		{name: "a node has an undeclared role", where: "pi1", shell: "kubectl label node pi3 node-role.kubernetes.io/worker=true", found: nodes},
		{name: "a node has an undeclared taint", where: "pi1", shell: "kubectl taint node pi3 colour=red:NoSchedule", found: nodes},
		{name: "CoreDNS has no replicas", where: "pi1", shell: "kubectl --namespace kube-system scale deployment coredns --replicas 0", found: objects, often: true},
		{name: "CoreDNS is deleted", where: "pi1", shell: "kubectl --namespace kube-system delete deployment coredns", found: objects},
		{name: "CoreDNS runs another image", where: "pi1", shell: "kubectl --namespace kube-system set image deployment coredns coredns=localhost/none", found: objects},
		{name: "CoreDNS's configuration is changed", where: "pi1", shell: `kubectl --namespace kube-system patch configmap coredns --patch '{"data":{"Corefile":"."}}'`, found: objects},
		{name: "CoreDNS's account is deleted", where: "pi1", shell: "kubectl --namespace kube-system delete serviceaccount coredns", found: objects},
		{name: "CoreDNS's role is deleted", where: "pi1", shell: "kubectl delete clusterrole system:coredns", found: objects},
		{name: "the service of DNS is deleted", where: "pi1", shell: "kubectl --namespace kube-system delete service kube-dns", found: objects},
		{name: "the storage class is deleted", where: "pi1", shell: "kubectl delete storageclass local-path", found: objects, often: true},
		{name: "the storage class is not the default", where: "pi1", shell: `kubectl annotate --overwrite storageclass local-path storageclass.kubernetes.io/is-default-class=false`, found: objects},
		{name: "the provisioner is deleted", where: "pi1", shell: "kubectl --namespace kube-system delete deployment local-path-provisioner", found: objects},
		{name: "the provisioner's configuration is deleted", where: "pi1", shell: "kubectl --namespace kube-system delete configmap local-path-config", found: objects},
		{name: "the provisioner may do nothing", where: "pi1", shell: "kubectl delete clusterrolebinding local-path-provisioner-bind", found: objects},
		{name: "the probe is deleted", where: "pi1", shell: "kubectl delete namespace sandbox-probe", found: probe, alone: true},
		{name: "the probe runs another image", where: "pi1", shell: "kubectl --namespace sandbox-probe set image daemonset probe probe=localhost/none", found: probe},
		{name: "the probe's service is deleted", where: "pi1", shell: "kubectl --namespace sandbox-probe delete service probe", found: probe},
	},
	[]drift{
		{name: "PostgreSQL's folder may be read by all", where: "pi2", shell: "chmod 755 /opt/arcodange/postgres", found: pgFolder},
		{name: "PostgreSQL's project is changed", where: "pi2", shell: "sed -i 's/interval: 2s/interval: 9s/' /opt/arcodange/postgres/compose.yml", found: pgProject, often: true},
		{name: "PostgreSQL's project is removed", where: "pi2", shell: "rm /opt/arcodange/postgres/compose.yml", found: pgProject},
		{name: "PostgreSQL's password file is changed", where: "pi2", shell: "echo x >/opt/arcodange/postgres/superuser-password", found: pgPassword},
		{name: "PostgreSQL's password file may be read by all", where: "pi2", shell: "chmod 644 /opt/arcodange/postgres/superuser-password", found: pgPassword, often: true},
		{name: "PostgreSQL is stopped", where: "pi2", shell: "docker stop postgres-postgres-1", found: pgStart, alone: true},
		{name: "PostgreSQL is removed", where: "pi2", shell: "docker rm --force postgres-postgres-1", found: pgStart, alone: true},
		{name: "the superuser's password is another", where: "pi2", shell: `docker exec postgres-postgres-1 psql --username postgres --command "ALTER ROLE postgres PASSWORD 'x'"`, found: pgLogin, often: true},
	},
)
