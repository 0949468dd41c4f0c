// SPDX-License-Identifier: GPL-3.0-or-later

package parity

// Found is the state of a sandbox. An empty list means that there
// are no such objects; a failed read is an error of the reader,
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
	Fence        Fence
}

// Fence is the state of the rules that keep machines inside the sandbox; empty if
// it is not known.
type Fence string

// The states of the rules, as sandbox_fence finds them in check mode.
const (
	FenceInForce Fence = "in_force"
	FenceMissing Fence = "missing"
)

// FoundNode is a Node object.
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

// FoundHelmChart is a HelmChart object of k3s: a chart that its Helm controller should install.
type FoundHelmChart struct {
	Namespace, Name, TargetNamespace, Chart, Version string
}

// FoundImage is an image that a workload's containers run, initial containers left out.
type FoundImage struct {
	Namespace string
	Workload  string // kind and name, as Deployment vault
	Container string
	Reference string
	Ports     []int             // that the container declares; it may serve others
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

// FoundApplication is an Application of ArgoCD, with its sources unchanged:
// the URL, path, chart and targetRevision.
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

// FoundLonghorn are Longhorn's volumes, jobs and targets. Longhorn uses only
// those in its own namespace; objects in others are listed too.
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

// foundHost is the state of a host outside Kubernetes.
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
	Environment map[string]string // only variables with a version
	Labels      map[string]string // only labels with a version
	Status      string            // as Docker reports it: running, restarting, exited, …
	Health      string            // as Docker reports it: healthy, unhealthy, starting; empty or none without a health check
}
