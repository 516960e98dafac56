"""Gives a member whose replication slot has lost its log a new slot.

`max_slot_wal_keep_size` bounds what a slot may hold, so that a member that is away cannot fill the primary's
volume. A slot that reaches the bound is void for good: the member can be copied anew and follow over it, but
it holds no log for that member any more (seen with PostgreSQL 17; Patroni makes slots that are missing only).
"""

import re
from typing import Any

LOST = """
    SELECT slot_name FROM pg_replication_slots
    WHERE slot_type = 'physical' AND NOT active AND wal_status = 'lost' AND slot_name ~ %s
"""


def renew_lost_slots(connection: Any, scope: str) -> list[str]:
    """Replace the members' void slots that are not in use; return their names.

    Raises psycopg.Error, also where a member or Patroni is quicker: the next look sees what there is then.
    """
    with connection.cursor() as cursor:
        # As Patroni names them. Slots of others are left alone: whoever uses one must know of the gap.
        cursor.execute(LOST, (f"^{re.escape(scope.replace('-', '_'))}_[0-9]+$",))
        names = [str(name) for (name,) in cursor.fetchall()]
        for name in names:
            cursor.execute("SELECT pg_drop_replication_slot(%s)", (name,))
            cursor.execute("SELECT pg_create_physical_replication_slot(%s, true)", (name,))
    return names
