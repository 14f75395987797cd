# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Failures of statements: the same one-sentence form as failures of connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..common.errors import SlipwayError

if TYPE_CHECKING:
    import psycopg2

# SQLSTATE -> what to do next. The server's own sentence says what happened.
HINTS = {
    "42501": "Give login_user the missing right: it needs CREATEROLE and CREATE on the database.",
    "55P03": "Another session holds the table. Run again when it is quieter, or raise lock_timeout.",
    "57014": "The statement took longer than statement_timeout allows.",
    "40P01": "Two sessions waited for each other. Run again.",
    "53100": "The server's disk is full. Free some space first.",
    "53300": "All connections of the server are taken. Close idle clients, or raise max_connections.",
    "42P04": "Another session created it at the same moment. Run again.",
    "57P01": "The server was stopped while the statement ran. Run again when it is up.",
}


def sentence(error: psycopg2.Error) -> SlipwayError:
    """What the server said about a statement, without the statement (which may carry a password)."""
    code = error.pgcode or ""
    primary = (error.diag.message_primary if error.diag else None) or str(error).strip().splitlines()[0]
    primary = primary.rstrip(".")
    return SlipwayError(
        f"PostgreSQL refused a statement: {primary}.",
        hint=HINTS.get(code, ""),
        details={"sqlstate": code},
    )
