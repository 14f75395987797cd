# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The bare script: one connection, one transaction and one round trip a tenant, nothing for those that are there."""

from __future__ import annotations

import json
import sys

import psycopg2


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as given:
        job = json.load(given)
    connection = psycopg2.connect(**job["place"])
    for slug, statements in job["tenants"].items():
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT to_regnamespace(%s) IS NOT NULL", (f"tenant_{slug}",))
            if not cursor.fetchone()[0]:
                cursor.execute(statements)
    connection.close()


if __name__ == "__main__":
    main()
