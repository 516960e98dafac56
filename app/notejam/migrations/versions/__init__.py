"""One file a revision; each only expands the schema."""
