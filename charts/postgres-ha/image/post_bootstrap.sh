#!/bin/sh
# Patroni runs this once, on the first primary right after initdb: creates the application's role and database.
# Argument: connection string of the superuser.
# Environment: APP_USER, APP_DATABASE, APP_PASSWORD_FILE (the password is in a file, so that it is neither in an
# argument nor in the environment that the server inherits).
set -eu

export APP_PASSWORD_FILE
exec psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 \
    --set=app_user="$APP_USER" --set=app_database="$APP_DATABASE" --dbname="$1" <<'SQL'
-- Keeps the password out of the server's log, also when a statement fails, and out of what the extensions keep that
-- the values may load. Where one is not loaded, its settings are mere names.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_duration_sample = -1;
SET log_transaction_sample_rate = 0;
SET log_min_error_statement = 'panic';
SET debug_print_parse = off;
SET debug_print_rewritten = off;
SET debug_print_plan = off;
SET auto_explain.log_min_duration = -1;
SET pg_stat_statements.track_utility = off;

\set app_password `cat "$APP_PASSWORD_FILE"`

SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', :'app_user', :'app_password')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'app_user')
\gexec

SELECT format('CREATE DATABASE %I OWNER %I', :'app_database', :'app_user')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'app_database')
\gexec

-- Only the owner (and the superuser) may connect, until the keeper lets in others that are declared.
REVOKE ALL ON DATABASE :"app_database" FROM PUBLIC;
SQL
