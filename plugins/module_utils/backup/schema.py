# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a database is made of, as digests: equal before a dump and after its restore, or something did not come back.

Only what both sides tell in the same words goes in. The text of expressions (checks, defaults, views) does not: the
server writes it anew, and differently, after every restore.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# sha256() is built in since then.
OLDEST_SERVER = 110000

OWN = """
own AS (
  SELECT n.oid, n.nspname FROM pg_namespace n WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
),
rel AS (
  SELECT c.*, s.nspname, quote_ident(s.nspname) || '.' || quote_ident(c.relname) AS name
  FROM pg_class c JOIN own s ON s.oid = c.relnamespace
  WHERE c.relpersistence <> 't' AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    AND NOT EXISTS (
      SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
)
"""

# What people call it -> one text for each object of that sort.
OBJECTS = {
    "schemas": "SELECT quote_ident(nspname) FROM own",
    "relations": """
        SELECT concat_ws('|', name, relkind, relpersistence, pg_get_userbyid(relowner), relrowsecurity,
                         relforcerowsecurity) FROM rel""",
    "columns": """
        SELECT concat_ws('|', r.name, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.atthasdef,
                         a.attidentity,
                         row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum))
        FROM rel r JOIN pg_attribute a ON a.attrelid = r.oid
        WHERE a.attnum > 0 AND NOT a.attisdropped AND r.relkind <> 'S'""",
    "constraints": """
        SELECT concat_ws('|', r.name, c.conname, c.contype, c.convalidated, c.condeferrable, c.condeferred,
                         c.confrelid::regclass, c.confupdtype, c.confdeltype)
        FROM pg_constraint c JOIN rel r ON r.oid = c.conrelid WHERE c.contype IN ('c', 'f', 'p', 'u', 'x')""",
    "indexes": """
        SELECT concat_ws('|', r.name, i.relname, x.indisunique, x.indisprimary, x.indnatts, m.amname,
                         x.indpred IS NOT NULL)
        FROM pg_index x JOIN rel r ON r.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
        JOIN pg_am m ON m.oid = i.relam WHERE x.indisready AND (x.indisvalid OR r.relkind = 'p')""",
    "triggers": """
        SELECT concat_ws('|', r.name, t.tgname, t.tgtype, t.tgenabled)
        FROM pg_trigger t JOIN rel r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal""",
    "policies": """
        SELECT concat_ws('|', r.name, p.polname, p.polcmd, p.polpermissive)
        FROM pg_policy p JOIN rel r ON r.oid = p.polrelid""",
    "functions": """
        SELECT concat_ws('|', quote_ident(s.nspname), p.proname, pg_get_function_identity_arguments(p.oid),
                         p.prokind, pg_get_userbyid(p.proowner), p.prosecdef, p.provolatile,
                         encode(sha256(convert_to(coalesce(p.prosrc, ''), 'UTF8')), 'hex'))
        FROM pg_proc p JOIN own s ON s.oid = p.pronamespace
        WHERE NOT EXISTS (
          SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')""",
    "types": """
        SELECT concat_ws('|', quote_ident(s.nspname), t.typname, t.typtype,
                         (SELECT string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder) FROM pg_enum e
                          WHERE e.enumtypid = t.oid))
        FROM pg_type t JOIN own s ON s.oid = t.typnamespace
        WHERE t.typtype IN ('d', 'e', 'r') AND NOT EXISTS (
          SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e')""",
    "grants": """
        SELECT concat_ws('|', r.name, CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END,
                         a.privilege_type, a.is_grantable)
        FROM rel r, aclexplode(coalesce(r.relacl,
          acldefault(CASE r.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", r.relowner))) a""",
    "large objects": "SELECT count(*)::text FROM pg_largeobject_metadata",
}

DIGEST = """
WITH {own}, object(line) AS ({objects})
SELECT encode(sha256(convert_to(coalesce(string_agg(line, chr(10) ORDER BY line COLLATE "C"), ''), 'UTF8')), 'hex')
FROM object
"""


def digests(cursor: Any, server_number: int) -> dict[str, str]:
    """One digest for each sort of object, so that a difference has a name; none from a server that is too old."""
    if server_number < OLDEST_SERVER:
        return {}
    # Names come with their schema then, wherever the session would look for them.
    cursor.execute("SELECT set_config('search_path', '', false)")
    found = {}
    for name, objects in OBJECTS.items():
        cursor.execute(DIGEST.format(own=OWN, objects=objects))
        found[name] = str(cursor.fetchone()[0])
    return found


def differences(wanted: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """The sorts of object that are not as the manifest says; one that only one side knows is not compared."""
    return [name for name in wanted if name in found and found[name] != wanted[name]]
