"""Promotes Helm chart versions, pinned by digest, through stages."""

__version__ = "0.1.0"
