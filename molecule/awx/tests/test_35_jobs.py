# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The other job templates: what their surveys leave blank is left to the playbook, and each hands its result on."""

from __future__ import annotations

from typing import Any

import pytest


def test_deploy_releases_what_the_survey_names(server: Any) -> None:
    job = server.job("deploy", {"stack_release": "1.1.0"})
    release = job.artifacts["release"][server.name]
    assert (release["name"], release["changed"]) == ("1.1.0", True)
    for url in job.artifacts["urls"][server.name]:
        assert server.web.ask(url.removeprefix("https://")).status < 500
    assert server.web.ask(f"api.{server.zone}", "/version").json()["release"] == "1.1.0"


@pytest.mark.long
def test_a_second_job_changes_nothing(server: Any) -> None:
    job = server.job("deploy", {"stack_release": "1.1.0"})
    assert job.changed == {server.name: 0}, job.changed_tasks()
    assert job.artifacts["release"][server.name]["changed"] is False


def test_rollback_left_blank_is_to_the_release_before(server: Any) -> None:
    job = server.job("rollback")
    assert job.artifacts["release"][server.name]["name"] == "1.0.1"
    assert server.web.ask(f"api.{server.zone}", "/version").json()["release"] == "1.0.1"


def test_what_serves_can_be_promoted(server: Any) -> None:
    told = server.job("promote").artifacts
    assert told["stack_release"] == "1.0.1"
    assert all("@sha256:" in image for image in told["stack_digests"]["1.0.1"].values())


def test_the_check_list_is_shown(server: Any) -> None:
    assert "check list after release" in server.job("checklist", {"checklist_moment": "after"}).output


def test_a_slice_needs_no_host_but_its_own(server: Any) -> None:
    job = server.job("health", hosts=[server.name], limit="")
    assert {*job.changed} == {server.name}
    assert job.artifacts["health"][server.name]["inside"]["fail"] == 0


def test_the_backup_is_handed_on_restored_and_proved(server: Any) -> None:
    made = server.job("backup").artifacts["backup"][server.name]["id"]
    restored = server.job("restore", {"restore_id": made}).artifacts["restore"][server.name]
    assert restored["id"] == made
    listed = server.vps.check_output("docker exec shop-data-postgres-1 psql -U shop -d shop -lqtA")
    assert f"\n{restored['database']}|" in f"\n{listed}"
    proved = server.job("restore_drill", {"drill_id": made}).artifacts["restore_drill"][server.name]
    assert proved["backup"] == made


def test_restoring_in_place_wants_the_name_of_the_stack(server: Any) -> None:
    job = server.awx.launch("restore", {"restore_target": "in_place"}, limit=server.name)
    assert job.code != 0
    assert "Say that you mean it with -e restore_confirm=shop." in " ".join(job.output.split())


def test_maintenance_is_on_and_off_again(server: Any) -> None:
    server.job("maintenance", {"maintenance": "on"})
    assert server.web.ask(server.zone).status == 503
    server.job("maintenance", {"maintenance": "off"})
    assert server.web.ask(server.zone).status == 200


def test_tenants_and_data_services_have_nothing_to_do(server: Any) -> None:
    for name in ("tenants", "data_services"):
        job = server.job(name)
        assert job.changed == {server.name: 0}, job.changed_tasks()


def test_a_tenant_is_exported(server: Any) -> None:
    told = server.job("tenant", {"tenant_export": "alpha"}).artifacts["tenant"][server.name]
    assert told["places"]


def test_a_dry_run_of_the_hardening_has_nothing_to_do(server: Any) -> None:
    job = server.job("harden", {}, "--check", "--diff")
    assert job.changed == {server.name: 0}, job.changed_tasks()


def test_a_server_that_lives_is_not_recovered(server: Any) -> None:
    job = server.awx.launch("recover", {}, "--check", limit=server.name)
    assert job.code != 0
    assert "This host has a stack shop already" in " ".join(job.output.split())


@pytest.mark.long
@pytest.mark.parametrize("name", ["site", "harden"])
def test_a_second_run_of_the_whole_changes_nothing(server: Any, name: str) -> None:
    job = server.job(name, more={"stack_release": "1.0.1"} if name == "site" else {})
    assert job.changed == {server.name: 0}, job.changed_tasks()
