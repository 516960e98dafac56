#!/bin/sh
# Patroni runs this when it has the lock, right before it promotes Postgres, and after each change of its role.
# The keeper then sees to the label of the primary's Service: it runs already, which a new interpreter would take
# half a second to do. Opened for reading too, the pipe never makes anybody wait.
if [ -p /run/postgresql/keeper ]; then
    echo role 1<> /run/postgresql/keeper
fi
exit 0
