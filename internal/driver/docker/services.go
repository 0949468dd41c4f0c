// SPDX-License-Identifier: GPL-3.0-or-later

package docker

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"

	"github.com/arcodange-org/sandbox/internal/dockercli"
	"github.com/arcodange-org/sandbox/internal/driver"
)

// A container beside the machines serves names and time, since no machine
// reaches a server outside. It is not a machine of the sandbox, so that root on
// a machine cannot change its answers, and so that a playbook may install a name
// server on every machine.

const labelServices = "org.arcodange.sandbox.services"

// Services is what the container serves.
type Services struct {
	Network string
	Address string
	Image   string                  // of the recipe services
	Names   map[string][]netip.Addr // every other name does not exist
	Time    []string                // further names of the container, for NTP clients
}

// servicesScript runs both servers; where one ends, the container does, and the engine starts it again.
// Its arguments are those of dnsmasq.
const servicesScript = `exec 2>&1; chronyd -x -U -n "local stratum 10" allow "cmdport 0" "bindcmdaddress /" "pidfile /" & ` +
	`dnsmasq "$@" & wait -n; exit 1`

// arguments are those of the container's program.
func (s Services) arguments() []string {
	args := []string{
		"-c", servicesScript, "services",
		"--keep-in-foreground", "--log-facility=-", "--pid-file=", "--conf-file=/dev/null",
		"--no-resolv", "--no-hosts", "--log-queries",
		"--address=/#/", // no answer but those that follow
	}
	for _, name := range slices.Sorted(maps.Keys(s.Names)) {
		args = append(args, record(name, s.Names[name]...))
	}
	for _, name := range slices.Sorted(slices.Values(s.Time)) {
		args = append(args, "--host-record="+name+","+s.Address)
	}
	return args
}

func record(name string, addresses ...netip.Addr) string {
	option := "--host-record=" + name
	for _, address := range addresses {
		option += "," + address.Unmap().String()
	}
	return option
}

// servicesContainer is what Services looks at.
type servicesContainer struct {
	Name  string
	Args  []string
	State struct{ Running bool }

	Config struct {
		Image  string
		Labels map[string]string
	}
	NetworkSettings struct {
		Networks map[string]struct {
			IPAMConfig *struct{ IPv4Address string }
		}
	}
}

func servicesName(sandbox string) string { return sandbox + "-services" }

// Services returns what differs between the container and what is wanted;
// nothing if all is as wanted. It returns driver.ErrNotOwned for a container of
// another owner.
func (d Driver) Services(ctx context.Context, sandbox string, want Services) ([]driver.Difference, error) {
	name := servicesName(sandbox)
	found, err := dockercli.Inspect[servicesContainer](ctx, d.Engine, "container", name)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return []driver.Difference{{Name: "state", Before: string(driver.Absent), After: string(driver.Started)}, {Name: "names", After: records(want.arguments())}}, nil
	}
	c := found[0]
	if err := ownedServices(sandbox, c.Config.Labels); err != nil {
		return nil, err
	}
	var differences []driver.Difference
	differ := func(what string, before, after any) {
		differences = append(differences, driver.Difference{Name: what, Before: before, After: after})
	}
	if !c.State.Running {
		differ("state", string(driver.Stopped), string(driver.Started))
	}
	if c.Config.Image != want.Image {
		differ("image", c.Config.Image, want.Image)
	}
	address := ""
	if attached := c.NetworkSettings.Networks[want.Network]; attached.IPAMConfig != nil {
		address = attached.IPAMConfig.IPv4Address
	}
	if address != want.Address {
		differ("address", address, want.Address)
	}
	if !slices.Equal(c.Args, want.arguments()) {
		differ("names", records(c.Args), records(want.arguments()))
	}
	return differences, nil
}

// records returns the arguments with names; all arguments if the others differ from those of Services.
func records(args []string) []string {
	rest := Services{}.arguments()
	if len(args) >= len(rest) && slices.Equal(args[:len(rest)], rest) {
		return args[len(rest):]
	}
	return args
}

func ownedServices(sandbox string, labels map[string]string) error {
	name := servicesName(sandbox)
	if err := owned("container", name, sandbox, labels); err != nil {
		return err
	}
	if labels[labelServices] == "" {
		return fmt.Errorf("container %s is a machine: a machine cannot be called services", name)
	}
	return nil
}

// StartServices makes the container anew. Where that cannot be, the one that runs stays.
func (d Driver) StartServices(ctx context.Context, sandbox string, want Services) error {
	return d.locked(ctx, "start the services of sandbox "+sandbox, func() error {
		if err := d.checkServices(ctx, sandbox, want); err != nil {
			return err
		}
		if err := d.removeServices(ctx, sandbox); err != nil {
			return err
		}
		_, err := d.Engine.Do(ctx, append([]string{
			"run", "--detach", "--name=" + servicesName(sandbox),
			"--label=" + LabelSandbox + "=" + sandbox, "--label=" + labelServices + "=true",
			"--network=" + want.Network, "--ip=" + want.Address,
			"--restart=unless-stopped", "--stop-signal=SIGKILL", // it keeps nothing
			"--cap-drop=ALL", "--read-only", "--security-opt=no-new-privileges", "--sysctl=net.ipv4.ip_unprivileged_port_start=0",
			"--log-driver=json-file", "--log-opt=max-size=1m", "--log-opt=max-file=2", "--pull=never", want.Image,
		}, want.arguments()...)...)
		return err
	})
}

// checkServices returns why the container could not be made.
func (d Driver) checkServices(ctx context.Context, sandbox string, want Services) error {
	if _, err := d.HasServices(ctx, sandbox); err != nil {
		return err
	}
	found, err := dockercli.Inspect[network](ctx, d.Engine, "network", want.Network)
	if err != nil {
		return err
	}
	if len(found) == 0 || found[0].Name != want.Network {
		return fmt.Errorf("network %s: %w; make the machines first", want.Network, driver.ErrNotFound)
	}
	address, err := netip.ParseAddr(want.Address)
	if err != nil {
		return fmt.Errorf("%w: address %q", driver.ErrInvalid, want.Address)
	}
	if prefix, err := netip.ParsePrefix(found[0].subnet()); err == nil && !prefix.Contains(address) {
		return fmt.Errorf("%w: %s is not in %s", driver.ErrAddressOutside, address, prefix)
	}
	if holder := found[0].holder(want.Address); holder != "" && holder != servicesName(sandbox) {
		return fmt.Errorf("%w: %s is container %s's: choose another", driver.ErrAddressTaken, address, holder)
	}
	return nil
}

// HasServices reports whether the container exists.
func (d Driver) HasServices(ctx context.Context, sandbox string) (bool, error) {
	found, err := dockercli.Inspect[servicesContainer](ctx, d.Engine, "container", servicesName(sandbox))
	if err != nil || len(found) == 0 {
		return false, err
	}
	return true, ownedServices(sandbox, found[0].Config.Labels)
}

// RemoveServices removes the container.
func (d Driver) RemoveServices(ctx context.Context, sandbox string) error {
	return d.locked(ctx, "remove the services of sandbox "+sandbox, func() error { return d.removeServices(ctx, sandbox) })
}

func (d Driver) removeServices(ctx context.Context, sandbox string) error {
	return d.removeHelper(ctx, sandbox, servicesName(sandbox))
}

// removeHelper removes a container of the sandbox that is not a machine.
func (d Driver) removeHelper(ctx context.Context, sandbox, name string) error {
	found, err := dockercli.Inspect[container](ctx, d.Engine, "container", name)
	if err != nil || len(found) == 0 {
		return err
	}
	if err := owned("container", name, sandbox, found[0].Config.Labels); err != nil {
		return err
	}
	if machine := found[0].Config.Labels[LabelMachine]; machine != "" {
		return fmt.Errorf("container %s is a machine: a machine cannot be called %s", name, machine)
	}
	_, err = d.Engine.Do(ctx, "container", "rm", "--force", name)
	if errors.Is(err, dockercli.ErrNotFound) {
		return nil
	}
	return err
}

var dnsmasqLine = regexp.MustCompile(`^dnsmasq\[\d+\]: (query\[(\w+)\]|config) (\S+) (is NXDOMAIN$|from )`)

// NamesNotFound counts the queries for addresses of names that are not served, by
// name, since the container was made; those of a long time ago may be gone from
// its log.
func (d Driver) NamesNotFound(ctx context.Context, sandbox string) (map[string]int, error) {
	out, err := d.Engine.Do(ctx, "container", "logs", servicesName(sandbox))
	if err != nil {
		return nil, fmt.Errorf("read the log of the name server of sandbox %s: %w", sandbox, err)
	}
	return namesNotFound(out), nil
}

func namesNotFound(log []byte) map[string]int {
	counts, asked := map[string]int{}, map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(log)); lines.Scan(); {
		match := dnsmasqLine.FindStringSubmatch(lines.Text())
		if match == nil {
			continue
		}
		name := match[3]
		if kind := match[2]; kind != "" {
			asked[name] = kind
		} else if asked[name] == "A" || asked[name] == "AAAA" { // not CoreDNS's query that finds a loop
			counts[name]++
		}
	}
	return counts
}
