#!/bin/sh
# Prepares the data directory and becomes Patroni. Argument: Patroni's configuration file.
set -eu

umask 0077

# A volume mounted with an fsGroup comes up group-writable, and Postgres refuses such a data directory.
# The directory is one below the mount, so its mode is ours to set.
if [ -d "$PGDATA" ]; then
    chmod 0700 "$PGDATA"
fi

# Patroni acts as init when it is process 1: it forwards SIGTERM and collects orphans.
exec patroni "$@"
