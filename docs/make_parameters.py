"""Writes files/parameters.json of postgres-ha: what Postgres says of its settings, for the chart's rules.

python docs/make_parameters.py --query | kubectl exec -i POD -c postgres -- psql -XAtq |
python docs/make_parameters.py > charts/postgres-ha/files/parameters.json
"""

from __future__ import annotations

import json
import sys

# The target of a recovery and whom a replica follows are Patroni's to say; others are fixed in the server.
QUERY = r"""
SELECT json_object_agg(lower(name), json_strip_nulls(json_build_object(
    'type', vartype,
    'unit', unit,
    'min', CASE WHEN vartype IN ('integer', 'real') THEN min_val::float8 END,
    'max', CASE WHEN vartype IN ('integer', 'real') THEN max_val::float8 END,
    'words', enumvals)))
FROM pg_settings
WHERE context <> 'internal'
    AND name !~ '\.'
    AND name NOT IN ('primary_conninfo', 'primary_slot_name')
    AND category <> 'Write-Ahead Log / Recovery Target';
"""


def format_parameters(answer: str) -> str:
    """Return the file's text, a line for each setting, from what the query returns."""
    found = json.loads(answer)
    lines = [f"  {json.dumps(name)}: {json.dumps(found[name])}" for name in sorted(found)]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    sys.stdout.write(QUERY if sys.argv[1:] == ["--query"] else format_parameters(sys.stdin.read()))
