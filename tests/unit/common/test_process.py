# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import sys

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.process import CommandError, run


def test_output_status_and_time_are_kept():
    result = run([sys.executable, "-c", "print('out')"], timeout=20)
    assert (result.rc, result.stdout) == (0, "out\n")
    assert result.seconds > 0


def test_failure_is_a_sentence_with_the_last_words_of_the_program():
    with pytest.raises(CommandError, match="ended with status 3: no such bucket") as caught:
        run([sys.executable, "-c", "import sys; sys.stderr.write('no such bucket'); sys.exit(3)"], timeout=20)
    assert caught.value.details["rc"] == 3


def test_check_false_leaves_the_judgement_to_the_caller():
    assert run([sys.executable, "-c", "raise SystemExit(4)"], timeout=20, check=False).rc == 4


def test_a_missing_program_is_named():
    with pytest.raises(CommandError, match="no-such-program is not installed"):
        run(["no-such-program"], timeout=5)


def test_a_program_that_hangs_is_stopped():
    with pytest.raises(CommandError, match=r"did not end within 0\.2 s"):
        run([sys.executable, "-c", "import time; time.sleep(30)"], timeout=0.2)


def test_environment_and_standard_input_carry_what_must_not_be_in_argv():
    code = "import os, sys; print(os.environ['TOKEN'], sys.stdin.read(), 'PATH' in os.environ)"
    result = run([sys.executable, "-c", code], timeout=20, env={"TOKEN": "t"}, stdin="s")
    assert result.stdout == "t s True\n"
    assert "t" not in result.argv
