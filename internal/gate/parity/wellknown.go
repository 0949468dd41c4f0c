// SPDX-License-Identifier: GPL-3.0-or-later

package parity

import (
	"path"

	"github.com/arcodange-org/sandbox/internal/lazyregexp"
)

// software is a program that many images contain under other names.
type software struct {
	names *lazyregexp.Regexp // matches the last part of its images' names, but not exporters and operators
	port  int                // its default port; 0 if other programs use it, too
}

// wellKnown is software that often runs outside of a cluster, and that charts of
// third parties often have as a dependency.
var wellKnown = [...]software{
	{
		lazyregexp.New(`^(postgres(ql)?(-(ha|repmgr|gis|[0-9].*))?|(docker-)?postgis|pgvector|pgvecto-rs|vchord-postgres|timescaledb(-ha)?|spilo(-[0-9]+)?` +
			`|citus|paradedb|orioledb|alloydbomni|patroni|stolon|crunchy-postgres(-gis)?(-ha)?|percona-(distribution-)?postgresql(-with-postgis)?[0-9.-]*)$`),
		5432,
	},
	{lazyregexp.New(`^(mysql(-(server|cluster|[0-9].*))?|mariadb(-(galera|[0-9].*))?|percona(-server|-xtradb-cluster)?)$`), 3306},
	{lazyregexp.New(`^((redis|valkey)(-(cluster|stack|stack-server|[0-9].*))?|keydb|dragonfly)$`), 6379},
	{lazyregexp.New(`^(mongo(db)?(-(community|enterprise)-server)?|percona-server-mongodb)$`), 27017},
	{lazyregexp.New(`^(gitea(-rootless)?|forgejo)$`), 0},
}

// goesBetween matches images of proxies: they serve the port of a service outside,
// but are not the service.
var goesBetween = lazyregexp.New(`proxy|bouncer|pgpool|pgcat|odyssey|supavisor|maxscale|router|gateway|tunnel|envoy|traefik|nginx|klipper-lb|socat`)

// software returns the well-known software of an entry, by its name or its image; nil if none.
func (o Outside) software() (software, bool) {
	for _, known := range wellKnown {
		if known.names.MatchString(o.Name) || known.names.MatchString(path.Base(o.Compose.Image)) {
			return known, true
		}
	}
	return software{}, false
}

// Port returns its default port; 0 if other programs use it, too.
func (o Outside) Port() int {
	known, _ := o.software()
	return known.port
}

// is returns whether an image repository contains an entry's service.
func (o Outside) is(repository string) bool {
	last := path.Base(repository)
	if last == path.Base(o.Compose.Image) || last == o.Name {
		return true
	}
	for _, meant := range o.Images {
		if SameRepository(repository, meant) {
			return true
		}
	}
	known, ok := o.software()
	return ok && known.names.MatchString(last)
}
