# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.slipway.vps.plugins.filter.rollout import rollout, rollout_end


def result(number: int, previous: int | None, *phases: str, **more: Any) -> dict[str, Any]:
    told = [{"name": name, "seconds": 1, "result": "done"} for name in phases]
    return {
        "changed": True,
        "release": number,
        "release_name": f"1.{number}",
        "previous": previous,
        "phases": told,
        **more,
    }


HOSTVARS: dict[str, dict[str, Any]] = {
    "new": {"stack_name": "shop", "stack_result": result(3, 2, "preflight", "switch", "commit", "retain")},
    "first": {"stack_name": "shop", "stack_result": result(1, None, "switch", "commit")},
    "mended": {"stack_name": "shop", "stack_result": result(2, 1, "start", "edge", "stop")},
    "recovered": {"stack_name": "shop", "stack_result": result(2, 1, "recover")},
    "same": {"stack_name": "shop", "stack_result": {**result(2, 1), "changed": False}},
    "broken": {
        "stack_name": "shop",
        "stack_result": result(2, 1, "preflight", failed=True),
        "deploy_failure": "Put the release into service: it is sick.",
    },
    "waiting": {"stack_name": "shop"},
}


def test_only_what_this_run_put_into_service_is_taken_back() -> None:
    found = rollout(list(HOSTVARS), HOSTVARS)
    assert [entry["host"] for entry in found["released"]] == ["new", "first"]
    assert found["released"][0] == {"host": "new", "stack": "shop", "release": 3, "name": "1.3", "previous": 2}
    assert found["failed"] == {"broken": "Put the release into service: it is sick."}
    assert found["untouched"] == ["mended", "recovered", "same", "waiting"]


def test_a_host_that_failed_after_its_release_is_taken_back_too() -> None:
    late = {"late": {**HOSTVARS["new"], "deploy_failure": "Verify: no."}}
    found = rollout(["late"], late)
    assert [entry["host"] for entry in found["released"]] == ["late"]
    assert list(found["failed"]) == ["late"]


def test_every_host_gets_its_sentence() -> None:
    found = rollout(["new", "first", "broken", "waiting"], HOSTVARS)
    assert rollout_end(found, "new", result(2, 1, "commit")) == (
        "Release 1.3 (number 3) was taken back; release 1.2 (number 2) serves again."
    )
    skipped = {"skipped": True}
    assert rollout_end(found, "first", skipped) == "Release 1.1 (number 1) stays, because nothing served before it."
    assert rollout_end(found, "broken", skipped) == "Failed. Put the release into service: it is sick."
    assert rollout_end(found, "waiting", skipped) == "Not touched by this run, because it failed on broken."


def test_what_could_not_be_taken_back_is_said() -> None:
    found = rollout(["new", "broken"], HOSTVARS)
    refused = {"failed": True, "msg": "It would cross a contract."}
    said = rollout_end(found, "new", refused)
    assert said == "Release 1.3 (number 3) could not be taken back: It would cross a contract."
    alone = {"changed": False, "reasons": ["Release number 3 does not serve, so there is no way back from it."]}
    assert rollout_end(found, "new", alone) == (
        "Release 1.3 (number 3) was left alone: Release number 3 does not serve, so there is no way back from it."
    )


def test_one_stack_of_several_is_a_rollout_of_its_own() -> None:
    alpha, bravo = result(3, 2, "switch", "commit"), result(5, 4, "switch", "commit")
    hosts: dict[str, dict[str, Any]] = {
        "first": {"deploy_results": {"alpha": alpha, "bravo": bravo}, "stack_result": {}},
        "second": {
            "deploy_results": {"alpha": result(3, 2, "preflight", failed=True), "bravo": bravo},
            "__instances_failed": {"alpha": "Put the release into service: it is sick."},
        },
        "third": {"deploy_results": {"bravo": bravo}},
    }
    found = rollout(list(hosts), hosts, "alpha")
    assert found["failed"] == {"second": "Put the release into service: it is sick."}
    assert found["released"] == [{"host": "first", "stack": "alpha", "release": 3, "name": "1.3", "previous": 2}]
    assert found["untouched"] == ["third"]
    other = rollout(list(hosts), hosts, "bravo")
    assert other["failed"] == {}
    assert [entry["host"] for entry in other["released"]] == list(hosts)
    assert rollout(list(hosts), hosts)["failed"] == {}


def test_a_host_that_is_not_reached_fails_for_each_of_its_stacks() -> None:
    hosts: dict[str, dict[str, Any]] = {
        "first": {"deploy_results": {"alpha": result(3, 2, "switch", "commit")}},
        "away": {"deploy_failure": "Stop at a host that is not reached: no route."},
    }
    found = rollout(list(hosts), hosts, "alpha")
    assert list(found["failed"]) == ["away"]
    assert [entry["host"] for entry in found["released"]] == ["first"]
