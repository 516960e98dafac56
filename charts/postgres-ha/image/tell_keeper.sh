#!/bin/sh
# Patroni runs this after each change of its role. The keeper then sees to the label of the primary's Service, unless it
# did already when Patroni got the lock. Opened for reading too, the pipe never makes anybody wait.
if [ -p /run/postgresql/keeper ]; then
    echo role 1<> /run/postgresql/keeper
fi
exit 0
