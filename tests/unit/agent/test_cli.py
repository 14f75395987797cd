# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import argparse
import os
import subprocess
import sys

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.agent import cli


def commands(parser):
    (group,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return set(group.choices)


@pytest.mark.parametrize("domain", cli.ALL, ids=lambda domain: domain.__name__)
def test_a_domain_s_commands_are_those_that_it_is_read_for(domain):
    mapped = {name for name, found in cli.COMMANDS.items() if found is domain}
    assert commands(cli.parser([domain])) - set(cli.OWN) == mapped


def test_help_knows_all_of_them():
    assert commands(cli.parser()) == set(cli.COMMANDS) | {"jobs", "follow", "job"}


@pytest.mark.parametrize("words", [[], ["--help"], ["nonsense"]])
def test_who_asks_for_none_of_them_is_told_all(words, capsys):
    with pytest.raises(SystemExit):
        cli.main(words)
    shown = capsys.readouterr()
    assert "COMMAND" in shown.out + shown.err
    assert not words or all(name in shown.out + shown.err for name in cli.COMMANDS)


def test_a_command_reads_no_other_domain():
    package = cli.__name__.rpartition(".agent.")[0]
    code = (
        f"import sys; from {package}.agent import cli; cli.parser([cli.COMMANDS['certificates']]);"
        f"print(*(name for name in sys.modules if name.startswith('{package}.')))"
    )
    found = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    answer = subprocess.run([sys.executable, "-c", code], env=found, capture_output=True, text=True, check=True)
    read = {name.removeprefix(f"{package}.").split(".")[0] for name in answer.stdout.split()}
    assert "certbot" in read
    assert not read & {"backup", "tenancy", "recover", "release"}
