#!/bin/sh
# Prepares the data directory and becomes Patroni. Argument: folder of Patroni's configuration files.
set -eu

umask 0077

# A volume mounted with an fsGroup comes up group-writable, and Postgres refuses such a data directory.
# The directory is one below the mount, so its mode is ours to set.
if [ -d "$PGDATA" ]; then
    chmod 0700 "$PGDATA"
fi

# pg_basebackup gives its manifest the final name when all is on the disk: without it, any file may have holes after a
# crash of the node. Without its control file, Postgres cannot start on the data, and Patroni copies them anew.
control="$PGDATA/global/pg_control"
if [ -e "$PGDATA/backup_manifest.tmp" ] && [ ! -e "$PGDATA/postmaster.opts" ] && [ -e "$control" ]; then
    echo "entrypoint: $PGDATA was cut short before it was on the disk, so nothing starts on it" >&2
    mv "$control" "$control.unfinished"
fi

# Versions of this chart before 0.2 had no TLS. While such a member leads, replication cannot insist on it.
if pgha leader-is-plain; then
    echo 'entrypoint: the primary has no TLS yet, so this start does not insist on it' >&2
    export PATRONI_REPLICATION_SSLMODE=prefer PATRONI_REWIND_SSLMODE=prefer
fi

# Patroni acts as init when it is process 1: it forwards SIGTERM and collects orphans.
exec pgha patroni "$@"
