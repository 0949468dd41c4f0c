// SPDX-License-Identifier: GPL-3.0-or-later

package parity

// Found is what was read of a sandbox. A list that is empty means that there
// is nothing of the kind; what could not be read is an error of the reader,
// never an empty list.
type Found struct {
	Version      string // gitVersion of the API server
	Nodes        []FoundNode
	Releases     []FoundRelease
	HelmCharts   []FoundHelmChart
	Images       []FoundImage
	Services     []FoundService
	Groups       []FoundGroup
	Applications []FoundApplication
	Claims       []FoundClaim
	Volumes      []FoundVolume
	Longhorn     FoundLonghorn
	Hosts        map[string]foundHost // by name in the inventory
}

// FoundNode is a node as its object has it.
type FoundNode struct {
	Name         string
	Roles        []string // as those of Node
	Architecture string
	Version      string // the kubelet's
	Ready        bool
	Why          string // why it is not ready
}

// FoundRelease is the newest deployed revision of a Helm release.
type FoundRelease struct {
	Namespace, Name, Chart, ChartVersion, AppVersion string
	Revision                                         int
}

// FoundHelmChart is a HelmChart of k3s: what its Helm controller is asked to install.
type FoundHelmChart struct {
	Namespace, Name, TargetNamespace, Chart, Version string
}

// FoundImage is an image that a workload's containers run, initial containers left out.
type FoundImage struct {
	Namespace string
	Workload  string // kind and name, as Deployment vault
	Container string
	Reference string
	Ports     []int             // that the container names as served; it may serve others
	Labels    map[string]string // of the pods, by which Services find them
	Ends      bool              // of a Job: it runs to its end
}

// FoundService is a Service with pods.
type FoundService struct {
	Namespace, Name string
	Selector        map[string]string
	Ports           []int // its own, and those of the pods where they are numbers
}

// FoundGroup is an API group that is served.
type FoundGroup struct {
	Name      string
	Preferred string
	Versions  []string
}

// FoundApplication is an Application of ArgoCD. Its sources are as they stand
// there: the URL, path, chart and targetRevision.
type FoundApplication struct {
	Namespace, Name string
	Sources         []Source
}

// FoundClaim is a persistent volume claim.
type FoundClaim struct {
	Namespace, Name, StorageClass string
	Volume                        string // name of the persistent volume; empty if it is not bound
}

// FoundVolume is a persistent volume.
type FoundVolume struct {
	Name, Driver, Handle string // of CSI; empty if it is not one
}

// FoundLonghorn is what Longhorn knows of volumes and of their backups. Longhorn
// looks into one namespace, its own; objects of others are found all the same.
type FoundLonghorn struct {
	Volumes []FoundLonghornVolume
	Jobs    []FoundJob
	Targets []FoundTarget
}

// FoundLonghornVolume is a volume of Longhorn.
type FoundLonghornVolume struct {
	Namespace string
	Name      string
	Labels    map[string]string
	Target    string // name of its backup target
}

// FoundJob is a RecurringJob.
type FoundJob struct {
	Namespace string
	Name      string
	Task      string
	Cron      string
	Groups    []string
}

// FoundTarget is a BackupTarget.
type FoundTarget struct {
	Namespace   string
	Name        string
	URL         string
	Unavailable bool // Longhorn says so
}

// foundHost is what was read of a host outside Kubernetes.
type foundHost struct {
	Groups     []string
	Containers []foundContainer
}

// foundContainer is a container of a host's engine.
type foundContainer struct {
	Name        string
	Project     string // of docker compose; empty if another started it
	Service     string
	Image       string            // reference
	Environment map[string]string // only what tells a version
	Labels      map[string]string // only what tells a version
	Status      string            // Docker's word: running, restarting, exited, …
	Health      string            // Docker's word: healthy, unhealthy, starting; empty or none without a health check
}
