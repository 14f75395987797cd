# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Leagues on one server: each has all of its own, and what is done to one is done to no other."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from slipway_lab import ROOT, Play, Visitor
from slipway_leagues import TWO, Leagues, said

# What a stack costs that has nothing new: tasks of a run, as the recap counts those that were not skipped.
TASKS_OF_ONE = 75
# The long form adds an application of another kind as well, and goes through every stack for it.
LONG = bool(os.environ.get("SLIPWAY_LONG"))


def test_each_league_has_all_of_its_own(leagues: Leagues) -> None:
    names = {stack: leagues.server.web.ask(leagues.host(stack), "/version").json()["name"] for stack in TWO}
    assert names == {"alpha": "Alpha City", "bravo": "Bravo Bay"}
    for stack in TWO:
        certificate = leagues.server.web.certificate(leagues.host(stack))
        assert {name for _kind, name in certificate["subjectAltName"]} == {leagues.host(stack), leagues.api(stack)}
        assert leagues.database(stack) in leagues.containers(stack)
        volumes = leagues.output(f"docker volume ls --filter name=^{stack}_ --format {{{{.Name}}}}").split()
        assert volumes == [f"{stack}_postgres_data"]
        assert leagues.vps.service(f"slipway-backup@{stack}.timer").is_running
        assert leagues.vps.service(f"slipway-health@{stack}.timer").is_running
    schedules = [
        leagues.output(f"systemctl show --property TimersCalendar slipway-backup@{stack}.timer") for stack in TWO
    ]
    assert "01:23:00" in schedules[1] and "01:23:00" not in schedules[0]
    passwords = {
        leagues.output(f"docker exec {leagues.database(stack)} printenv POSTGRES_PASSWORD").strip() for stack in TWO
    }
    assert len(passwords) == 2


def test_what_one_league_stores_is_not_in_the_others_database(leagues: Leagues) -> None:
    leagues.psql("alpha", "INSERT INTO public.tenants (subdomain) VALUES ('skaters')")
    seen = [leagues.server.web.ask(leagues.api(stack), "/tenants").json()["tenants"] for stack in TWO]
    assert seen == [["skaters"], []]


def test_a_league_does_not_reach_the_database_of_another(leagues: Leagues) -> None:
    def reach(stack: str, address: str) -> int:
        code = f"import socket; socket.create_connection(('{address}', 5432), 3)"
        return int(leagues.vps.run(f'docker exec {leagues.application(stack)} python3 -c "{code}"').rc)

    for stack, other in (TWO, TWO[::-1]):
        settings = json.loads(leagues.output(f"docker inspect {leagues.database(other)}"))[0]["NetworkSettings"]
        addresses = [network["IPAddress"] for network in settings["Networks"].values() if network["IPAddress"]]
        assert addresses
        assert reach(stack, "postgres") == 0
        assert [reach(stack, address) for address in addresses] == [1] * len(addresses)
        assert reach(stack, leagues.database(other)) == 1


@pytest.mark.long
def test_a_second_run_changes_nothing(leagues: Leagues) -> None:
    both = leagues.playbook("site")
    assert both.changed == {leagues.server.name: 0}, both.changed_tasks()
    for title in ("alpha on", "bravo on", "Stacks on"):
        assert f"{title} {leagues.server.name}" in both.output


@pytest.mark.long
def test_one_more_stack_costs_few_tasks(leagues: Leagues) -> None:
    def counted(play: Play) -> int:
        found = re.search(rf"^{leagues.server.name} +: ok=(\d+)", play.output, re.MULTILINE)
        assert found
        return int(found[1])

    both, one = leagues.playbook("site"), leagues.playbook("site", "-e", "stack_instance=alpha")
    assert one.changed == {leagues.server.name: 0}, one.changed_tasks()
    assert counted(both) - counted(one) <= TASKS_OF_ONE
    assert f"bravo on {leagues.server.name}" not in one.output


def test_another_league_and_another_application_touch_none_of_those_that_are_there(leagues: Leagues) -> None:
    before = {stack: leagues.containers(stack) for stack in TWO}
    wiki = {
        "stack_name": "wiki",
        "instance_title": "The Wiki",
        "stack_domain": leagues.host("wiki"),
        "stack_compose_file": str(ROOT / "molecule/derbyops/wiki/compose.yml"),
        "stack_routes": [{"name": "page", "service": "page", "port": 3000, "health": "/health"}],
        "stack_secrets": {},
        "stack_replicas": {},
        "stack_data_services": [],
        "stack_migrate": {},
        "stack_database": {},
    }
    leagues.stacks += [{"stack_name": "charlie", "instance_title": "Charlie Hills"}, *([wiki] if LONG else [])]
    with ExitStack() as stack:
        visitors = [stack.enter_context(Visitor(leagues.server.web, leagues.api(name), "/tenants")) for name in TWO]
        leagues.playbook("site", *([] if LONG else ["-e", "stack_instance=charlie"]))
    assert {name: leagues.containers(name) for name in TWO} == before
    assert [visitor.bad for visitor in visitors] == [[], []]
    assert all(visitor.asked > 100 for visitor in visitors)
    assert leagues.server.web.ask(leagues.host("charlie"), "/version").json()["name"] == "Charlie Hills"
    if LONG:
        assert leagues.server.web.ask(leagues.host("wiki"), "/version").json()["name"] == "The Wiki"


def test_a_backup_of_one_is_below_its_own_prefix(leagues: Leagues, objects: Callable[[], list[str]]) -> None:
    before = set(objects())
    play = leagues.playbook("backup", "-e", "stack_instance=bravo")
    # Other hosts have the same bucket.
    new = {key for key in set(objects()) - before if key.startswith("vps6/")}
    assert new and all(key.startswith("vps6/bravo/postgres/") for key in new)
    assert "Backups of bravo (postgres)" in play.output and "Backups of alpha" not in play.output


def test_one_that_fails_holds_up_none_of_the_others(leagues: Leagues) -> None:
    broken = [
        {**stack, "stack_release": "1.0.1"}
        | ({"stack_compose_file": "/nothing/compose.yml"} if stack["stack_name"] == "alpha" else {})
        for stack in leagues.stacks[:2]
    ]
    play = leagues.play("deploy", stacks=broken)
    assert play.code != 0
    assert "alpha: Failed. Preflight | Refuse to go on without the Compose file" in said(play)
    serving = [leagues.server.web.ask(leagues.host(name), "/version").json()["release"] for name in TWO]
    assert serving == ["1.0.0", "1.0.1"]


def test_what_is_not_meant_for_all_wants_a_name(leagues: Leagues) -> None:
    names = ", ".join(stack["stack_name"] for stack in leagues.stacks)
    for name in ("remove", "rollback"):
        play = leagues.play(name)
        assert play.code != 0
        assert f"Say which: -e stack_instance=NAME, with one of {names}." in said(play)
    leagues.playbook("rollback", "-e", "stack_instance=bravo")
    assert leagues.server.web.ask(leagues.host("bravo"), "/version").json()["release"] == "1.0.0"


def test_one_is_taken_away_with_its_data_and_the_others_stay(leagues: Leagues) -> None:
    kept = [*TWO, *(["wiki"] if LONG else [])]
    before = {name: leagues.containers(name) for name in kept}
    leagues.playbook("remove", "-e", "stack_instance=charlie", "-e", "remove_data=charlie")
    assert leagues.containers("charlie") == {}
    assert leagues.output("docker volume ls --filter name=^charlie_ --format {{.Name}}") == ""
    assert {name: leagues.containers(name) for name in kept} == before
    assert leagues.psql("alpha", "SELECT count(*) FROM public.tenants") == "1"


@pytest.mark.long
def test_a_stack_that_is_in_no_entry_any_more_is_named(leagues: Leagues) -> None:
    leagues.stacks = leagues.stacks[:2]
    play = leagues.playbook("health", "-e", "health_fail_on=never")
    assert "The stack wiki is on this host and in no entry of stack_instances. Nothing was done to it." in said(play)
    assert "-e stack_name=wiki" in said(play)
    assert leagues.containers("wiki")
    leagues.playbook("remove", "-e", "stack_name=wiki", "-e", "remove_data=wiki")
    assert leagues.containers("wiki") == {}
