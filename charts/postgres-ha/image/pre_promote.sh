#!/bin/sh
# Patroni runs this when it has the lock, right before it promotes Postgres: moves the role label at the same time,
# in the background, since the Service takes a moment to follow it. Never keeps Postgres from being promoted.
pgha on-role-change on_role_change primary "$PATRONI_SCOPE" > /proc/1/fd/2 2>&1 &
exit 0
