"""Pure decisions: no I/O, no clock, only the standard library and semver."""
