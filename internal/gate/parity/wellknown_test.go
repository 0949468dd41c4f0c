// SPDX-License-Identifier: GPL-3.0-or-later

package parity

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestWellKnownImagesAreWhatTheyHoldAndNothingAroundIt(t *testing.T) {
	t.Parallel()
	for image, c := range map[string]struct{ is, isNot []string }{
		"postgres": {
			[]string{
				"postgres", "docker.io/library/postgres", "bitnami/postgresql", "bitnami/postgresql-repmgr", "postgis/postgis", "pgvector/pgvector",
				"timescale/timescaledb", "timescale/timescaledb-ha", "ghcr.io/zalando/spilo-17", "registry.opensource.zalan.do/acid/spilo", "citusdata/citus",
				"ghcr.io/cloudnative-pg/postgresql", "ghcr.io/cloudnative-pg/postgis", "supabase/postgres", "percona/percona-distribution-postgresql",
				"registry.developers.crunchydata.com/crunchydata/crunchy-postgres-gis", "registry.redhat.io/rhel9/postgresql-16", "sclorg/postgresql-16-c9s",
			},
			[]string{
				"prometheuscommunity/postgres-exporter", "ghcr.io/zalando/postgres-operator", "percona/percona-postgresql-operator", "dpage/pgadmin4",
				"edoburu/pgbouncer", "bitnami/pgpool", "ghcr.io/cloudnative-pg/cloudnative-pg", "postgrest/postgrest", "mysql", "hashicorp/vault",
			},
		},
		"mariadb":     {[]string{"mysql", "bitnami/mariadb-galera", "percona/percona-server"}, []string{"prom/mysqld-exporter", "postgres", "percona/percona-postgresql-operator"}},
		"redis":       {[]string{"valkey/valkey", "redis/redis-stack-server", "bitnami/redis-cluster"}, []string{"oliver006/redis_exporter", "redis/redisinsight"}},
		"mongo":       {[]string{"bitnami/mongodb", "mongodb/mongodb-community-server"}, []string{"mongo-express", "percona/mongodb_exporter"}},
		"gitea/gitea": {[]string{"bitnami/gitea", "codeberg.org/forgejo/forgejo"}, []string{"gitea/act_runner", "postgres"}},
		"lab/unknown": {[]string{"other/unknown"}, []string{"postgres", "redis"}},
	} {
		o := Outside{Name: "entry", Compose: Compose{Image: image}}
		for _, repository := range c.is {
			assert.True(t, o.is(repository), "%s is %s", repository, image)
		}
		for _, repository := range c.isNot {
			assert.False(t, o.is(repository), "%s is not %s", repository, image)
		}
	}
	assert.True(t, Outside{Name: "postgresql", Compose: Compose{Image: "lab/database"}}.is("postgis/postgis"), "by the name of the entry")
}
