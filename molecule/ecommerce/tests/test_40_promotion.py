# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Staging to production: what was tried is what runs, by digest, wherever the tag has gone meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from slipway_lab import Visitor
from slipway_registry import move_tag
from slipway_system import System

# A tag of this test alone: other servers release from the same registry at the same time.
CANDIDATE = "2.0.0-candidate"
APPLICATION = ("api", "web", "dashboard")


@pytest.fixture(scope="module")
def staging(server: System) -> System:
    return System("vps7", "ecommerce", "shop-staging", "staging")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that the promotion writes."""
    return tmp_path_factory.mktemp("promotion") / "release.yml"


def running(server: System, stack: str) -> dict[str, str]:
    """The image that each service of the application runs."""
    return {service: one["Image"] for service in APPLICATION for one in server.containers(stack, service)}


def pooled(tenants: Any) -> set[str]:
    """The processes of PostgreSQL that answered the pooler just now. One that was cut off stays there for hours."""
    return set(
        tenants.sql(
            "SELECT pid FROM pg_stat_activity WHERE usename = 'shop' AND client_addr IS NOT NULL "
            "AND application_name NOT LIKE 'slipway%' AND state_change > now() - interval '2 s'"
        )
    )


def test_production_runs_what_staging_ran_although_the_tag_has_moved(
    server: System, staging: System, tenants: Any, release: Path
) -> None:
    for service in APPLICATION:
        move_tag(f"ecommerce/{service}:1.0.1", f"ecommerce/{service}:{CANDIDATE}")
    staging.playbook("deploy", "-e", f"stack_release={CANDIDATE}")
    assert server.web.ask("api.staging.vps7.wild.test", "/version").json()["release"] == "1.0.1"
    told = staging.playbook("promote", "-e", f"promote_to={release}")
    assert "Commit it, then deploy with that inventory." in told.output
    promoted: dict[str, Any] = yaml.safe_load(release.read_text())
    assert promoted["stack_release"] == CANDIDATE
    assert staging.playbook("promote", "-e", f"promote_to={release}").changed == {staging.name: 0}

    for service in APPLICATION:
        move_tag(f"ecommerce/{service}:1.0.0", f"ecommerce/{service}:{CANDIDATE}")
    with Visitor(server.web, tenants.host("alpha")) as visitor:
        server.vps.check_output("sleep 1")
        before = pooled(tenants)
        server.playbook("deploy", "-e", f"@{release}")
        after = pooled(tenants)
    assert visitor.asked > 50
    assert visitor.bad == []
    # The release came into a slot that held another one before, whose networks the pooler was on.
    assert before & after, (before, after)
    assert server.web.ask(f"api.{server.zone}", "/version").json()["release"] == "1.0.1"
    there, here = staging.history("shop-staging")[0]["images"], server.history("shop")[0]["images"]
    assert there == promoted["stack_digests"][CANDIDATE]
    assert {service: here[service] for service in (*APPLICATION, "migrate")} == {
        service: there[service] for service in (*APPLICATION, "migrate")
    }
    assert running(server, "shop") == running(staging, "shop-staging")


@pytest.mark.long
def test_again_it_changes_nothing_and_another_release_is_refused(server: System, release: Path) -> None:
    again = server.playbook("deploy", "-e", f"@{release}")
    assert again.changed == {server.name: 0}, again.changed_tasks()
    refused = server.play("deploy", "-e", f"@{release}", "-e", "stack_release=1.0.0")
    assert refused.code != 0
    assert f"stack_digests has no digests of release 1.0.0, only of {CANDIDATE}" in " ".join(refused.output.split())


def test_staging_goes_and_production_stays(server: System, staging: System) -> None:
    staging.playbook("remove", "-e", "remove_data=shop-staging")
    assert server.containers("shop-staging") == []
    assert server.web.ask(f"api.{server.zone}", "/ready").status == 200
