"""What the members of postgres-ha need beside Patroni: commands for people, and what runs by itself."""
