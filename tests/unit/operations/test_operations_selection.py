# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.operations import selection, shell
from ansible_collections.slipway.vps.plugins.module_utils.operations.selection import Choice
from ansible_collections.slipway.vps.plugins.module_utils.release.daemon import Container
from ansible_collections.slipway.vps.plugins.module_utils.release.state import Active, Slot, State

STATE = State("shop", active=Active(7, "green", "f"), slots={"blue": Slot(6), "green": Slot(7)})
NAMES = {6: "1.4.1", 7: "1.4.2"}
API = Container(
    id="c1",
    name="shop-green-api-1",
    service="api",
    status="running",
    health="healthy",
    exit_code=0,
    restarts=0,
    started_at="",
    image="",
    networks=(),
    ports=(),
    grace=10,
)
SECOND = dataclasses.replace(API, id="c2", name="shop-green-api-2", status="exited")
POSTGRES = dataclasses.replace(API, id="c3", name="shop-data-postgres-1", service="postgres")


def test_the_slot_that_serves_unless_another_is_asked_for():
    assert selection.slot_of(STATE, Choice(), NAMES) == "green"
    assert selection.slot_of(STATE, Choice(slot="blue"), NAMES) == "blue"
    assert selection.slot_of(STATE, Choice(release="1.4.1"), NAMES) == "blue"
    assert selection.slot_of(STATE, Choice(release="6"), NAMES) == "blue"


def test_a_release_without_containers_is_refused_with_those_that_have():
    with pytest.raises(SlipwayError, match=r"1\.0\.0 of shop has no containers.*1\.4\.1 \(number 6\), 1\.4\.2"):
        selection.slot_of(STATE, Choice(release="1.0.0"), NAMES)


def test_a_stack_that_never_served_says_so():
    with pytest.raises(SlipwayError, match="No release of shop serves"):
        selection.slot_of(State("shop"), Choice(), {})


def test_services_are_chosen_by_name_and_a_wrong_one_is_named():
    assert selection.only([API, SECOND, POSTGRES], (), "shop") == [API, SECOND, POSTGRES]
    assert selection.only([API, SECOND, POSTGRES], ("postgres",), "shop") == [POSTGRES]
    with pytest.raises(SlipwayError, match=r"service wep here\. Services with containers: api, postgres"):
        selection.only([API, SECOND, POSTGRES], ("wep",), "shop")


def test_labels_leave_the_project_out():
    assert [selection.label(entry, "shop") for entry in (API, POSTGRES)] == ["api-1", "postgres-1"]
    assert selection.label(dataclasses.replace(API, name="else"), "shop") == "else"


def test_exec_goes_to_the_replica_that_runs():
    assert shell.pick([API, SECOND], "api", 1) == API
    with pytest.raises(SlipwayError, match="shop-green-api-2 is exited"):
        shell.pick([API, SECOND], "api", 2)
    with pytest.raises(SlipwayError, match="no replica 3"):
        shell.pick([API, SECOND], "api", 3)


def test_exec_is_an_argument_list_with_a_terminal_only_when_there_is_one():
    assert shell.argv("c1", ["ls", "-l; reboot"], terminal=False) == [
        "docker",
        "exec",
        "--interactive",
        "c1",
        "ls",
        "-l; reboot",
    ]
    assert shell.argv("c1", [], terminal=True, user="app")[2:] == [
        "--interactive",
        "--tty",
        "--user",
        "app",
        "c1",
        "sh",
    ]
