# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A suspended tenant: nobody gets in, and who is in is put out."""

from __future__ import annotations

import psycopg2
import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError

PASSWORD = "alpha-secret"
ALPHA = {"slug": "alpha", "login": True, "password": PASSWORD}
SUSPENDED = {**ALPHA, "state": "suspended"}


def connected(shop, slug="alpha"):
    return shop.server.connect(shop.database, login_user=f"{shop.prefix}{slug}", login_password=PASSWORD)


def test_sessions_end_and_come_back_only_when_resumed(shop):
    shop.converge(ALPHA, {**ALPHA, "slug": "other"})
    mine, others = connected(shop), connected(shop, "other")
    planned = shop.converge(SUSPENDED, check=True)
    with mine.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM products")
    done = shop.converge(SUSPENDED)
    assert done["tenants"] == planned["tenants"]
    assert done["tenants"][0]["actions"][-1] == f"end the sessions of role {shop.prefix}alpha"
    with pytest.raises(psycopg2.OperationalError), mine.cursor() as cursor:
        cursor.execute("SELECT 1")
    with others.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM products")
    with pytest.raises(SlipwayError, match="may not log in"):
        connected(shop)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        shop.query("SELECT * FROM tenant_alpha.products", user=shop.application)
    assert shop.converge(SUSPENDED)["changed"] is False
    shop.converge(ALPHA)
    connected(shop).close()
    others.close()


def test_a_session_that_slipped_through_is_ended_by_the_next_run(shop):
    shop.converge(ALPHA)
    session = connected(shop)
    # As a run leaves it that is killed between the two.
    shop.converge(SUSPENDED)
    shop.query(f"ALTER ROLE {shop.prefix}alpha LOGIN")
    session = connected(shop)
    shop.query(f"ALTER ROLE {shop.prefix}alpha NOLOGIN")
    assert shop.converge(SUSPENDED)["tenants"][0]["actions"] == [f"end the sessions of role {shop.prefix}alpha"]
    with pytest.raises(psycopg2.OperationalError), session.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert shop.converge(SUSPENDED)["changed"] is False
