// SPDX-License-Identifier: GPL-3.0-or-later

package parity

import (
	"path"

	"github.com/arcodange-org/sandbox/internal/lazyregexp"
)

// software is what many images hold, under names that do not tell it by
// themselves.
type software struct {
	names *lazyregexp.Regexp // of its images, the last part alone; exporters and operators are not it
	port  int                // that it serves by default; 0 for one that anything might serve
}

// wellKnown is software that tends to run outside of a cluster, and to come
// in as a dependency of a third party's chart.
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

// goesBetween matches images that serve another's port to pass it on: an
// application's proxy to the service outside, not the service itself.
var goesBetween = lazyregexp.New(`proxy|bouncer|pgpool|pgcat|odyssey|supavisor|maxscale|router|gateway|tunnel|envoy|traefik|nginx|klipper-lb|socat`)

// software is what an entry is, by its name or its image; nothing if it is not well known.
func (o Outside) software() (software, bool) {
	for _, known := range wellKnown {
		if known.names.MatchString(o.Name) || known.names.MatchString(path.Base(o.Compose.Image)) {
			return known, true
		}
	}
	return software{}, false
}

// Port is the one that it serves by default; 0 if that tells nothing.
func (o Outside) Port() int {
	known, _ := o.software()
	return known.port
}

// is reports whether a repository of images holds what an entry is about.
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
