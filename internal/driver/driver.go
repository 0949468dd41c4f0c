// SPDX-License-Identifier: GPL-3.0-or-later

// Package driver defines a machine of a sandbox, and what a driver that provides
// machines must guarantee. It knows locks, keys, the order of steps and how to
// wait for SSH, which are the same for every driver. It does not know any
// particular way to get a machine: those are the packages below it.
package driver

import (
	"context"
	"errors"
)

var (
	// ErrNotFound is a machine that does not exist.
	ErrNotFound = errors.New("machine not found")
	// ErrNotOwned is an object of the requested name without this sandbox's
	// label. It must not be changed.
	ErrNotOwned = errors.New("does not belong to this sandbox")
	// ErrAddressOutside is an address that the network cannot give to a machine.
	ErrAddressOutside = errors.New("address cannot be used in this network")
	// ErrAddressTaken is an address that another machine has.
	ErrAddressTaken = errors.New("address is taken")
	// ErrNetworkConflict is a network that cannot be made as requested.
	ErrNetworkConflict = errors.New("network cannot be made")
	// ErrNoImage is an image that the driver does not have and cannot get.
	ErrNoImage = errors.New("image is missing")
	// ErrInvalid is a Spec that no driver supports.
	ErrInvalid = errors.New("invalid machine")
	// ErrNoSSH is a machine that did not answer on its SSH port in time.
	ErrNoSSH = errors.New("no SSH server answers")
)

// Driver is a way to get machines.
//
// Every method MUST be safe to call while other processes work on other
// machines of the same sandbox. Callers hold the lock of the machine that they
// plan and apply for (Manager does), so a driver MAY assume that no other process of
// this collection works on that one machine.
type Driver interface {
	// Name is what users call this driver.
	Name() string

	// Lacks returns the capabilities that its machines do not have, each with the
	// reason as a clause. It MUST name what cannot work, so that a play that needs it
	// fails before anything is made.
	Lacks() map[Capability]string

	// Overcommitted says in one sentence that the machines of the sandbox may use
	// more together than the computer has. It returns an empty string if not.
	Overcommitted(ctx context.Context, sandbox string) (string, error)

	// Plan compares the current with the desired state and returns the steps from
	// one to the other.
	//
	// It MUST NOT change anything. If the machine is in the desired state, it MUST
	// return no step with a Difference, and MAY return no step. It MUST
	// succeed if running its steps would, and MUST fail with ErrNotOwned
	// if the machine, its network or one of its disks has the requested name
	// but lacks the sandbox's label; with ErrAddressOutside,
	// ErrAddressTaken or ErrNetworkConflict where those apply. It MUST NOT fail
	// because an image is missing: in check mode the image may be one that an
	// earlier task would have built; the step that needs it fails with ErrNoImage.
	//
	// Every step MUST be repeatable: if the process is killed before, in or
	// after it, the next Plan returns the steps from there to the desired state.
	// No step may destroy a disk unless power is Absent.
	//
	// For Absent, Plan MUST look only at want.Sandbox, want.Name and
	// want.Network.Name, MUST remove the machine's disks, and MUST remove the
	// network with the last machine of the sandbox.
	Plan(ctx context.Context, want Spec, power Power) (Plan, error)

	// Inspect describes a machine, running or not. It MUST return ErrNotFound
	// for an absent machine and ErrNotOwned for another owner's. HostKeys MUST be
	// read out of band, not over the network.
	Inspect(ctx context.Context, sandbox, name string) (Machine, error)

	// List returns the names of the sandbox's machines, sorted: also of those
	// of which only a disk is left.
	List(ctx context.Context, sandbox string) ([]string, error)

	// HostKey reads the machine's private SSH host key out of band, so that a
	// lost state folder does not change a machine's identity. It MUST return
	// ErrNotFound if there is no machine or no key yet.
	HostKey(ctx context.Context, sandbox, name string) ([]byte, error)

	// Diagnose returns, in one line, the state of a machine that does
	// not answer. It MAY return an empty string.
	Diagnose(ctx context.Context, sandbox, name string) string
}

// Power is the desired state of a machine.
type Power string

const (
	// Present: the machine exists; if it is stopped, it stays so. A new machine
	// is started, and so is one whose creation was interrupted before its first
	// start.
	Present Power = "present"
	// Started: the machine runs, and its SSH server answers.
	Started Power = "started"
	// Stopped: the machine exists and does not run. It is shut down in order.
	Stopped Power = "stopped"
	// Absent: the machine and its disks do not exist, nor, with the last
	// machine of the sandbox, its network and keys.
	Absent Power = "absent"
)

// Spec is a desired machine. A zero CPUs, Memory or DiskSize means no limit for a
// new machine, and no change for an existing one. A machine shows its limits: what
// runs in it counts as many processors (CPUs rounded up) and as much memory.
type Spec struct {
	Sandbox string // ownership label; also the first part of every name
	Name    string // the node, and its host name
	Image   string
	CPUs    float64 // cores
	Memory  int64   // bytes
	// DiskSize is the size in bytes of each of its file systems that has none of
	// its own. A driver that cannot limit them adds a note.
	DiskSize int64
	Disks    []Disk // in addition to those of every machine
	// Model is what the machine shows as its hardware, as in "Raspberry Pi 4 Model B Rev 1.4"; empty for none.
	Model    string
	Requires []Capability
	Network  Network
	Address  string // IPv4 inside Network.Subnet
	User     string // for logins by SSH; has sudo
	// AuthorizedKeys are the public keys that may log in as User, one a line.
	AuthorizedKeys []string
	Ports          []Port
	// HostKey is the private SSH host key that the machine MUST present;
	// HostPublic its public half ("type base64"). Manager fills both. They are
	// empty only when planning in check mode for a machine that does not exist.
	HostKey    []byte
	HostPublic string
}

// Disk is a separate disk that outlives the machine's root file system.
type Disk struct {
	Name string
	Path string // where it is mounted
	Size int64  // bytes; 0 means no limit; a driver that cannot limit it adds a note
}

// Network is the private network of a sandbox.
type Network struct {
	Name       string
	Subnet     string // CIDR
	Nameserver string // address in Subnet that a new machine has in /etc/resolv.conf; empty for the driver's choice, and for no change
}

// Port is a port of the machine, published on the controller's loopback.
type Port struct {
	Port     int
	HostPort int // 0 lets the driver choose one and keep it
}

// Machine is a machine that exists.
type Machine struct {
	Name     string
	Sandbox  string
	Driver   string
	ID       string // in the driver's tools
	State    Power  // Started or Stopped
	Image    string
	CPUs     float64 // 0: no limit
	Memory   int64   // bytes; 0: no limit
	DiskSize int64   // bytes; 0: no limit
	Model    string
	Network  Network
	Address  string
	Gateway  string
	User     string
	SSHHost  string // address of its SSH server for the controller
	SSHPort  int
	Ports    []Port
	Disks    []Disk
	HostKeys []PublicKey
	Notes    []string // deviations from production or from the request
}

// Difference is one difference between the current and the desired state.
type Difference struct {
	Name   string
	Before any // nil: does not exist
	After  any // nil: to be removed
}
