#!/usr/bin/python3
"""Starts pgha from the folder where the image keeps it."""

import sys

# Patroni starts Postgres from a fresh interpreter, which loads this file again under another name.
if __name__ == "__main__":
    sys.path.insert(0, "/usr/lib/postgres-ha")

    from pgha.cli import main

    sys.exit(main(sys.argv[1:]))
