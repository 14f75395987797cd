# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random
import string

import pytest

from ansible_collections.slipway.vps.plugins.plugin_utils.secret_faults import (
    EMPTY,
    GUESSABLE,
    PLACEHOLDER,
    fault,
    faults,
)


@pytest.mark.parametrize("value", ["", "   ", None])
def test_nothing_is_no_secret(value: object) -> None:
    assert fault(value) == EMPTY


@pytest.mark.parametrize("value", ["CHANGE_ME", "changeme", "replace-me: hk3Vw9sQz7Lm2Xp4"])
def test_what_example_files_have_is_a_placeholder(value: str) -> None:
    assert fault(value) == PLACEHOLDER


@pytest.mark.parametrize(
    "value",
    [
        *("P@ssw0rd", "P4$$w0rd-Production-2026", "postgres"),
        *("your-secret-key-here", "replace this with your JWT secret", "<password>", "s3cr3t-t0k3n-0123456789"),
        *("12345678901234567890", "abcdefghijklmnopqrstuvwxyz", "x" * 64, "abc1abc1abc1abc1", "hunter2", "Summer2026"),
        *("ledger$pass-word", 20261122),
    ],
)
def test_what_a_stranger_tries_first_is_guessable(value: object) -> None:
    assert fault(value) == GUESSABLE


@pytest.mark.parametrize(
    ("alphabet", "length"),
    [(string.ascii_letters + string.digits, 16), ("0123456789abcdef", 24), (string.digits, 24), (string.printable, 16)],
)
def test_what_a_machine_made_is_not(alphabet: str, length: int) -> None:
    dice = random.Random(7)  # noqa: S311 - the same values each time; they protect nothing
    made = ["".join(dice.choices(alphabet, k=length)) for _number in range(300)]
    assert {fault(value) for value in made} == {""}


def test_words_of_one_s_own_are_not() -> None:
    assert fault("Seven slow otters / read the almanac") == ""
    assert fault("We exchange melons for lamps at dusk") == ""
    assert fault("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ8wq1Zr5tVdYx0u\n-----END PRIVATE KEY-----") == ""


def test_of_many_each_is_judged_and_none_is_told() -> None:
    told = faults({"A": "", "B": "letmein", "C": "hk3Vw9sQz7Lm2Xp4", "D": "CHANGE_ME"})
    assert told == {"A": EMPTY, "B": GUESSABLE, "C": "", "D": PLACEHOLDER}
