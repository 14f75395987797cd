# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state machine, driven through every crash point."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.slipway.vps.plugins.module_utils.release import state
from ansible_collections.slipway.vps.plugins.module_utils.release.state import PHASES, State, Transition


def transition(current: State, number: int | None = None) -> Transition:
    release = number or current.next_release
    return Transition(
        id=f"id-{release}",
        kind="deploy" if number is None else "rollback",
        release=release,
        slot=current.idle_slot,
        phase=PHASES[0],
        started="2026-11-21T00:00:00Z",
        by="a test",
        fingerprint=f"mark-{release}",
        upstreams={"web": [18000 + release]},
    )


def begin(current: State) -> State:
    return state.begin(current, transition(current), {})


def reach(current: State, phase: str) -> State:
    for name in PHASES[: PHASES.index(phase) + 1]:
        current = state.advance(current, name)
    return current


def released(current: State) -> State:
    return state.commit(reach(begin(current), "commit"))


def test_releases_alternate_between_the_slots() -> None:
    first = released(State("shop"))
    second = released(first)
    assert (first.active.release, first.active.slot) == (1, "blue")
    assert (second.active.release, second.active.slot) == (2, "green")
    assert {name: slot.release for name, slot in second.slots.items()} == {"blue": 1, "green": 2}
    assert second.phase == "idle"


def test_a_release_that_did_not_touch_the_slot_leaves_it() -> None:
    current = released(released(State("shop")))
    assert state.revert(reach(begin(current), "data")).slots == current.slots
    emptied = state.revert(reach(begin(current), "prepare")).slots
    assert {name: slot.release for name, slot in emptied.items()} == {"blue": state.NOTHING, "green": 2}


def test_a_release_that_was_given_up_changes_no_port_in_nginx() -> None:
    current = released(released(State("shop")))
    for phase in PHASES:
        assert state.upstreams(state.revert(reach(begin(current), phase))) == state.upstreams(current)


def test_the_slot_that_was_never_filled_has_its_ports_already() -> None:
    first = State("shop")
    first = state.begin(first, transition(first), {}, spare={"web": [18005]})
    assert state.upstreams(first) == {"blue": {"web": [18001]}, "green": {"web": [18005]}}


def test_going_back_to_the_release_in_the_other_slot_keeps_it_there() -> None:
    current = released(released(State("shop")))
    back = state.begin(current, transition(current, number=1), {})
    assert reach(back, "start").slots["blue"].release == 1
    done = state.commit(reach(back, "commit"))
    assert (done.active.release, done.active.slot, done.next_release) == (1, "blue", 3)


def test_nonsense_is_refused() -> None:
    current = released(State("shop"))
    with pytest.raises(ValueError, match="on record already"):
        begin(begin(current))
    with pytest.raises(ValueError, match="slot that serves"):
        state.begin(current, replace(transition(current), slot="blue"), {})
    with pytest.raises(ValueError, match="comes before"):
        state.advance(reach(begin(current), "probe"), "write")
    with pytest.raises(ValueError, match="no transition"):
        state.commit(current)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("healthy", [True, False])
def test_what_is_done_about_a_crash(phase: str, healthy: bool) -> None:
    later = reach(begin(released(State("shop"))), phase)
    first = reach(begin(State("shop")), phase)
    proved = PHASES.index(phase) >= PHASES.index("drain")
    assert state.recovery(later, healthy) == ("finish" if proved else "revert")
    may_serve = PHASES.index(phase) >= PHASES.index("switch")
    assert state.recovery(first, healthy) == ("finish" if proved or (may_serve and healthy) else "revert")


@given(
    st.lists(
        st.tuples(st.sampled_from([*PHASES, "done"]), st.booleans(), st.booleans()),
        max_size=12,
    )
)
def test_any_history_of_crashes_leaves_one_release_serving(history: list[tuple[str, bool, bool]]) -> None:
    """Releases and rollbacks, each cut off somewhere or not, then recovered: never two, never a lost one."""
    current = State("shop")
    served: list[int] = []
    for crash, healthy, back in history:
        before = current
        wish = served[0] if back and served and current.active and served[0] != current.active.release else None
        current = state.begin(current, transition(current, wish), {})
        wanted = current.transition.release
        current = stored(reach(current, crash if crash != "done" else "commit"))
        assert state.serving_slot(current) is not None or before.active is None
        decision = "finish" if crash == "done" else state.recovery(current, healthy)
        current = stored(state.commit(current) if decision == "finish" else state.revert(current))
        if decision == "finish":
            served.append(wanted)
            assert current.active.release == wanted
        else:
            assert current.active == before.active
        assert current.transition is None
        assert current.next_release > max([0, *served])
        assert set(current.slots) <= {"blue", "green"}
        if current.active:
            assert current.slots[current.active.slot].release == current.active.release


def stored(current: State) -> State:
    """As it comes back from the disk."""
    return state.load(current.stack, json.loads(json.dumps(state.dump(current))))
