#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Prepares the data directory on the first start, then becomes the server.
# Understands the official image's POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB
# (each also as *_FILE), POSTGRES_INITDB_ARGS, POSTGRES_HOST_AUTH_METHOD, PGDATA
# and /docker-entrypoint-initdb.d.
set -euo pipefail

# setting NAME [DEFAULT]: the value of $NAME, or of the file that $NAME_FILE names.
setting() {
	local name=$1 file="${1}_FILE"
	if [[ -n "${!name:-}" && -n "${!file:-}" ]]; then
		echo "entrypoint: both $name and $file are set; set one" >&2
		exit 1
	fi
	if [[ -n "${!file:-}" ]]; then
		cat -- "${!file}"
	else
		printf '%s' "${!name:-${2:-}}"
	fi
}

if [[ "${1:-postgres}" == -* ]]; then
	set -- postgres "$@"
fi
if [[ "${1:-postgres}" != postgres ]]; then
	exec "$@"
fi

if [[ $(id -u) == 0 ]]; then
	install -d -m 0700 -o postgres -g postgres "$PGDATA"
	install -d -m 2775 -o postgres -g postgres /var/run/postgresql
	# A volume made by somebody else's user still has to belong to the server.
	find "$PGDATA" ! -user postgres -exec chown -h postgres:postgres {} +
	exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

if [[ ! -s "$PGDATA/PG_VERSION" ]]; then
	user=$(setting POSTGRES_USER postgres)
	password=$(setting POSTGRES_PASSWORD)
	database=$(setting POSTGRES_DB "$user")
	method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
	if [[ -z "$password" && "$method" != trust ]]; then
		echo "entrypoint: no superuser password; set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE" >&2
		exit 1
	fi
	# Everything happens beside the data directory and is moved in at the end, so
	# that a kill in the middle is seen as "not initialised" and done again.
	work="$PGDATA/.initialising"
	if [[ -d "$work" ]]; then
		find "$PGDATA" -mindepth 1 -delete
	fi
	# shellcheck disable=SC2086 # several arguments in one variable, as the official image has it
	initdb --pgdata="$work" --username="$user" --pwfile=<(printf '%s\n' "${password:-unused}") \
		--auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 ${POSTGRES_INITDB_ARGS:-}
	printf '\nhost all all all %s\n' "$method" >>"$work/pg_hba.conf"
	printf "\nlisten_addresses = '*'\n" >>"$work/postgresql.conf"

	run_dir=$(mktemp -d)
	pg_ctl --pgdata="$work" --options="-c listen_addresses='' -c unix_socket_directories='$run_dir'" --wait --silent start
	stop() { pg_ctl --pgdata="$work" --mode=fast --wait --silent stop; }
	trap 'stop || true' EXIT
	export PGHOST=$run_dir PGUSER=$user PGDATABASE=postgres
	if [[ "$database" != postgres ]]; then
		createdb --maintenance-db=postgres -- "$database"
	fi
	export PGDATABASE=$database
	shopt -s nullglob
	for file in /docker-entrypoint-initdb.d/*; do
		echo "entrypoint: $file"
		case "$file" in
		*.sh)
			if [[ -x "$file" ]]; then
				"$file"
			else
				# shellcheck source=/dev/null # a script of the user's
				. "$file"
			fi
			;;
		*.sql) psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --file="$file" ;;
		*.sql.gz) gzip -dc "$file" | psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 ;;
		*) echo "entrypoint: $file is ignored: neither .sh, .sql nor .sql.gz" >&2 ;;
		esac
	done
	trap - EXIT
	stop
	rm -rf "$run_dir"
	unset PGHOST PGUSER PGDATABASE POSTGRES_PASSWORD
	# PG_VERSION last: it is what says that the directory is whole.
	find "$work" -mindepth 1 -maxdepth 1 ! -name PG_VERSION -exec mv -t "$PGDATA" {} +
	mv "$work/PG_VERSION" "$PGDATA/"
	rmdir "$work"
	sync
fi

exec "$@"
