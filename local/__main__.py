"""Lets `python -m local` run the command line."""

from local.cli import main

main()
