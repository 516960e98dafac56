#!/bin/sh
# Makes the database on the first start, and becomes the server. Environment: APP_PASSWORD.
set -eu
export PATH="/opt/pgserver/pginstall/bin:$PATH" PGDATA=/pgdata/16

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --username=postgres
    echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
    printf "CREATE ROLE notejam LOGIN PASSWORD '%s';\nCREATE DATABASE notejam OWNER notejam;\n" "$APP_PASSWORD" > /tmp/first.sql
    postgres --single postgres < /tmp/first.sql
    # This build has no ICU. The app only needs the name to be there.
    echo "CREATE COLLATION pg_catalog.\"und-x-icu\" (provider = libc, locale = 'C.UTF-8')" |
        postgres --single -O notejam
fi
exec postgres -c listen_addresses='*' -c unix_socket_directories=/run/postgresql
