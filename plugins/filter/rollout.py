# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

FAILURE = "deploy_failure"
RESULT = "stack_result"
# The same by the name of the stack, where a host has several.
FAILURES = "__instances_failed"
RESULTS = "deploy_results"
# The phase with which a release is the one that serves; a repair or a run without anything to do has none.
LAST_PHASE = "commit"


def rollout(hosts: Sequence[str], hostvars: Mapping[str, Any], instance: str = "") -> dict[str, Any]:
    """Which hosts failed, on which ones this run put a release into service, and which it left as they were.

    With the name of one stack of several it is about that one; a host that failed as a whole failed for each.
    """
    failed = {host: said for host in hosts if (said := _failure(hostvars[host], instance))}
    released = [found for host in hosts if (found := _released(host, hostvars[host], instance))]
    known = {*failed, *(entry["host"] for entry in released)}
    return {"failed": failed, "released": released, "untouched": [host for host in hosts if host not in known]}


def _failure(variables: Mapping[str, Any], instance: str) -> str:
    if FAILURE in variables:
        return str(variables[FAILURE])
    return str(variables[FAILURES].get(instance, "")) if instance and FAILURES in variables else ""


def _result(variables: Mapping[str, Any], instance: str) -> Mapping[str, Any]:
    if not instance:
        return variables[RESULT] if RESULT in variables else {}  # noqa: SIM401 (a host's variables are no dictionary)
    return variables[RESULTS].get(instance, {}) if RESULTS in variables else {}


def _released(host: str, variables: Mapping[str, Any], instance: str) -> dict[str, Any] | None:
    result = _result(variables, instance)
    phases = {phase["name"]: phase["result"] for phase in result.get("phases") or []}
    if result.get("failed") or phases.get(LAST_PHASE) != "done":
        return None
    return {
        "host": host,
        "stack": instance or str(variables["stack_name"]),
        "release": result["release"],
        "name": result["release_name"],
        "previous": result["previous"],
    }


def rollout_end(found: Mapping[str, Any], host: str, result: Mapping[str, Any]) -> str:
    """A sentence for the host: why it failed, what was taken back, or that nobody touched it."""
    ends = [_taken_back(entry, result) for entry in found["released"] if entry["host"] == host]
    if host in found["failed"]:
        ends.append(f"Failed. {found['failed'][host]}")
    others = ", ".join(name for name in found["failed"] if name != host)
    return " ".join(ends or [f"Not touched by this run, because it failed on {others}."])


def _taken_back(entry: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    what = f"Release {entry['name']} (number {entry['release']})"
    if result.get("skipped"):
        return f"{what} stays, because nothing served before it."
    if result.get("failed") or result.get("unreachable"):
        return f"{what} could not be taken back: {result.get('msg', 'the host is not reached')}"
    if not result.get("changed"):
        return f"{what} was left alone: {' '.join(result.get('reasons') or [])}".rstrip(" :")
    return f"{what} was taken back; release {result['release_name']} (number {result['release']}) serves again."


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"rollout": rollout, "rollout_end": rollout_end}
