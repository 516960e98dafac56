"""The local cluster, its registry, and what is built for them: `python -m local --help`."""
