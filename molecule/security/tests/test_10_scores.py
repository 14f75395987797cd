# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The scores of the profile strict, and a reason for each rule that fails."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import Any

import pytest
from slipway_lab import Server
from slipway_scans import Deviations, Scanners

DEVIATIONS = Path(__file__).resolve().parent.parent / "deviations"
GOALS = {"cis_level1": 94.0, "anssi_minimal": 97.0, "anssi_intermediary": 74.0}
MOST_DEVIATIONS = {"cis_level1": 20}


def judge(name: str, failed: Set[str], not_judged: Set[str] = frozenset()) -> Deviations:
    """What fails has a reason in the list; what is in the list and no longer fails is told."""
    known = Deviations.read(DEVIATIONS / f"{name}.yml")
    assert not unexplained(failed, known.rules), f"deviations/{name}.yml has no reason for it"
    assert not unexplained(not_judged, known.not_judged), f"deviations/{name}.yml has no reason for it"
    for rule in sorted({*known.rules, *known.not_judged} - failed - not_judged):
        warnings.warn(f"{rule} no longer fails: take it out of deviations/{name}.yml", stacklevel=2)
    return known


def unexplained(failed: Set[str], known: Mapping[str, str]) -> list[str]:
    return sorted(rule for rule in failed if not known.get(rule, "").strip())


def test_ssh_offers_nothing_weak(scanners: Scanners) -> None:
    offered = scanners.ssh_audit()
    assert not offered.fails
    assert not offered.warnings


@pytest.mark.parametrize("profile", sorted(GOALS))
def test_openscap(scan: Callable[[str], Any], profile: str) -> None:
    found = scan(profile)
    known = judge(profile, found.failed, found.not_judged)
    assert found.percent >= GOALS[profile], f"{len(found.failed)} rules fail"
    assert found.skipped == known.skipped, "another number of rules is left out, so the percentage means something else"
    assert len(known.rules) <= MOST_DEVIATIONS.get(profile, len(known.rules))


def test_lynis(scan: Callable[[str], Any]) -> None:
    found = scan("lynis")
    assert not found.warnings
    assert found.index >= 86, found.suggestions


def test_testssl(scan: Callable[[str], Any]) -> None:
    found = scan("testssl")
    assert found.grade == "A+", found.findings
    judge("testssl", set(found.findings))
    assert [name for name, (severity, _text) in found.findings.items() if severity == "LOW"] in ([], ["DNS_CAArecord"])


def test_an_unknown_name_is_refused(server: Server) -> None:
    assert server.web.ask(server.zone).status == 200
    with pytest.raises((ssl.SSLError, ConnectionError)):
        server.web.ask("stranger.test")


def test_what_is_not_listed_or_has_no_reason_is_found() -> None:
    assert unexplained({"known", "other", "empty"}, {"known": "because", "empty": " "}) == ["empty", "other"]
