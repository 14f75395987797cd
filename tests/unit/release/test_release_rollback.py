# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a rollback leads, with which secrets, and what it does not cross."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.release import record, rollback, state
from ansible_collections.slipway.vps.plugins.module_utils.release.model import Model
from ansible_collections.slipway.vps.plugins.module_utils.release.record import Record
from ansible_collections.slipway.vps.plugins.module_utils.release.spec import Spec
from ansible_collections.slipway.vps.plugins.module_utils.release.state import Active, State, Transition

Make = Callable[..., Record]


@pytest.fixture
def make(spec: Spec, model: Model) -> Make:
    def one(number: int, follows: int | None = None, *, name: str = "", served: bool = True) -> Record:
        wanted = replace(spec, release=name or f"1.{number}")
        return replace(record.make(number, wanted, model, {}, "mark", "now", "me", follows=follows), served=served)

    return one


def serving(number: int, contracts: tuple[int, ...] = ()) -> State:
    return State("shop", active=Active(number, "blue", "mark"), contracts=contracts)


def choose(current: State, kept: list[Record], wanted: str = "", *, force: bool = False) -> int:
    return rollback.choose(current, kept, wanted, force=force).number


def test_the_release_before_is_the_one_that_was_taken_over_from(make: Make) -> None:
    kept = [make(3, 2), make(4, 3), make(5, 4), make(6, 3)]
    assert choose(serving(5), kept) == 4
    # From 5 back to 3, then 6: what served before 6 is 3, although 5 has the next lower number.
    assert choose(serving(6), kept) == 3
    # After a rollback never forward again by itself.
    assert choose(serving(4), kept) == 3


def test_without_the_one_before_it_is_the_newest_older_one_that_served(make: Make) -> None:
    kept = [make(3), make(4, served=False), make(6, 5)]
    assert choose(serving(6), kept) == 3
    with pytest.raises(SlipwayError, match="No release older than the one that serves is kept"):
        choose(serving(3), kept)


def test_a_release_is_named_by_number_or_name(make: Make) -> None:
    kept = [make(1, name="a"), make(2, name="b"), make(3, name="a"), make(4, name="c", served=False), make(5)]
    assert choose(serving(5), kept, "1") == 1
    assert choose(serving(5), kept, "a") == 3
    for unknown in ("c", "9"):
        with pytest.raises(SlipwayError, match=f"No release {unknown} that served is kept"):
            choose(serving(5), kept, unknown)
    with pytest.raises(SlipwayError, match="nothing to roll back from"):
        choose(State("shop"), kept)


def test_a_contract_is_not_crossed_without_force(make: Make) -> None:
    kept = [make(1), make(2, 1), make(3, 2)]
    with pytest.raises(SlipwayError, match=r"would cross release 1\.2 \(number 2\), which is marked as contract"):
        choose(serving(3, (2,)), kept, "1")
    assert choose(serving(3, (2,)), kept, "2") == 2
    assert choose(serving(3, (2,)), kept, "1", force=True) == 1


def test_a_contract_that_failed_or_is_no_longer_kept_guards_too(make: Make) -> None:
    """Its migration has run all the same."""
    kept = [make(1), make(3, 1)]
    for contract in (2, 4):
        with pytest.raises(SlipwayError, match=f"would cross release number {contract}"):
            choose(serving(3, (contract,)), kept)


def test_the_migration_of_a_contract_is_on_record_before_it_runs() -> None:
    moving = Transition("id", "deploy", 1, "blue", "preflight", "now", "me", "mark", contract=True)
    current = state.begin(State("shop"), moving, {})
    current = state.advance(current, "dump")
    assert current.contracts == ()
    current = state.advance(current, "migrate")
    assert current.contracts == (1,)
    assert state.revert(current).contracts == (1,)
    assert state.load("shop", state.dump(current)) == current


def test_a_rollback_runs_with_todays_values_of_the_secrets_that_the_release_knows(make: Make) -> None:
    kept = make(1)
    kept = replace(kept, spec=replace(kept.spec, secrets={"A": "old", "GONE": "old"}))
    today = {"A": "new", "LATER": "new"}
    assert rollback.secrets(kept, today, "current") == {"A": "new", "GONE": "old"}
    assert rollback.secrets(kept, today, "release") == {"A": "old", "GONE": "old"}
