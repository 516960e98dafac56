"""Writes files/parameters.json of postgres-ha: what Postgres says of its settings, for the chart's rules.

python docs/make_parameters.py --query | kubectl exec -i POD -c postgres -- psql -XAtq |
python docs/make_parameters.py > charts/postgres-ha/files/parameters.json
"""

from __future__ import annotations

import json
import sys

# Settings of a recovery, and those that the server itself fixes, are not read from `postgresql.parameters`.
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
    AND name NOT IN ('recovery_min_apply_delay', 'primary_conninfo', 'primary_slot_name')
    AND category NOT IN ('Write-Ahead Log / Recovery Target', 'Write-Ahead Log / Archive Recovery');
"""


def format_parameters(answer: str) -> str:
    """Return the file's text, a line for each setting, from what the query returns."""
    found = json.loads(answer)
    lines = [f"  {json.dumps(name)}: {json.dumps(found[name])}" for name in sorted(found)]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    sys.stdout.write(QUERY if sys.argv[1:] == ["--query"] else format_parameters(sys.stdin.read()))
