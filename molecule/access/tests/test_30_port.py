# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Another SSH port: the run goes on over it, and so does the next one, whatever the inventory says."""

from __future__ import annotations

from pathlib import Path

import pytest
from slipway_access import NEW, Ways, inventory, listening
from slipway_lab import ROOT


def allowed(ways: Ways) -> str:
    return str(ways.console.check_output("iptables -S ufw-user-input"))


def test_a_run_changes_the_port_and_goes_on_over_it(ways: Ways, tmp_path: Path) -> None:
    # A playbook of two plays: the second one logs in anew.
    two = tmp_path / "two.yml"
    two.write_text(
        f"- import_playbook: {ROOT}/playbooks/harden.yml\n"
        "- hosts: all\n  tasks: [{debug: {var: ansible_facts.env.SSH_CONNECTION}, tags: [always]}]\n",
        encoding="utf-8",
    )
    play = ways.hardened(name=str(two), hardening_ssh_port=NEW)
    assert f"{ways.server.address} {NEW}" in play.output
    assert listening(ways) == {NEW}
    assert ways.open(NEW)
    assert not ways.open(22)
    assert "--dport 22 " not in allowed(ways)
    assert f"--dport {NEW} " in allowed(ways)
    assert not ways.armed()

    # The inventory still names the old port, which is closed, and then the new one.
    for port, told in ((22, True), (NEW, False)):
        again = ways.hardened(*inventory(ways, tmp_path, port), hardening_ssh_port=NEW)
        assert again.changed == {ways.server.name: 0}, again.changed_tasks()
        assert ("Set ansible_port to 2222 in the inventory" in " ".join(again.output.split())) is told

    # And back.
    ways.hardened(*inventory(ways, tmp_path, NEW), hardening_ssh_port=22)
    assert listening(ways) == {22}
    assert ways.open(22)


@pytest.mark.long
def test_a_port_of_the_command_line_is_not_mistaken_for_the_new_one(ways: Ways) -> None:
    """It wins over everything, so the login that should prove the new port would come in by the old one."""
    before = ways.rules()
    play = ways.harden("--extra-vars", "ansible_port=22", hardening_ssh_port=NEW)
    assert play.code != 0
    assert "must not be set with -e when the port changes" in " ".join(play.output.split())
    assert ways.opens_within(30)
    assert ways.settled()
    assert ways.rules() == before


@pytest.mark.long
def test_when_no_port_is_open_it_says_which_were_tried(ways: Ways, tmp_path: Path) -> None:
    play = ways.harden(*inventory(ways, tmp_path, 2201), hardening_ssh_port=2202)
    assert play.code != 0
    said = " ".join(play.output.split())
    assert "lets this play in neither by port 2201 (ansible_port) nor by port 2202 (hardening_ssh_port)" in said
