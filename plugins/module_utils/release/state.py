# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state of a stack and its transitions, as values: nothing in here touches the host.

A release is a transition through PHASES. Each phase is recorded before it acts, so that whoever comes next (the next
run, the boot unit) knows what may have happened and decides with `recovery` whether to finish or to revert.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from .paths import other

PHASES = (
    "preflight",
    "pull",
    "write",
    "data",
    "prepare",
    "dump",
    "migrate",
    "tenants",
    "start",
    "probe",
    "edge",
    "switch",
    "observe",
    "exclusive",
    "drain",
    "stop",
    "commit",
)
IDLE = "idle"
NONE, REVERT, FINISH = "none", "revert", "finish"
NOTHING = 0
# From here on the idle slot holds containers of the new release.
TOUCHES_SLOT = PHASES.index("prepare")
# From here on the flag may point to the new release.
MAY_SERVE = PHASES.index("switch")
# From here on the new release has proved itself under traffic: it is finished, not reverted.
PROVED = PHASES.index("drain")


@dataclass(frozen=True)
class Active:
    """The release that serves."""

    release: int
    slot: str
    fingerprint: str


@dataclass(frozen=True)
class Slot:
    """What the containers of a slot belong to, and the host ports that its routes lead to.

    The ports stay when the containers go: Nginx's text must not change because a release was given up.
    """

    release: int
    upstreams: Mapping[str, list[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Transition:
    """A release on its way."""

    id: str
    kind: str  # deploy | rollback
    release: int
    slot: str
    phase: str
    started: str
    by: str
    fingerprint: str
    upstreams: Mapping[str, list[int]] = field(default_factory=dict)
    contract: bool = False  # its migration removes something that older releases need

    name: str = ""

    @property
    def label(self) -> str:
        """How people read it."""
        return f"release {self.name} (number {self.release})"

    @property
    def reached(self) -> int:
        return PHASES.index(self.phase)


@dataclass(frozen=True)
class State:
    """Everything that must outlive a crash."""

    stack: str
    active: Active | None = None
    slots: Mapping[str, Slot] = field(default_factory=dict)
    next_release: int = 1
    ports: Mapping[str, Mapping[str, list[int]]] = field(default_factory=dict)
    data_images: Mapping[str, str] = field(default_factory=dict)
    data_definitions: Mapping[str, str] = field(default_factory=dict)
    contracts: tuple[int, ...] = ()  # releases marked as contract whose migration has begun, whatever became of them
    # Named volumes of the Compose file that have another name on this host: taken over, or made by an upgrade.
    volumes: Mapping[str, str] = field(default_factory=dict)
    transition: Transition | None = None

    @property
    def phase(self) -> str:
        return self.transition.phase if self.transition else IDLE

    @property
    def idle_slot(self) -> str:
        return other(self.active.slot) if self.active else "blue"


def load(stack: str, data: Mapping[str, Any] | None) -> State:
    """The state from what is stored."""
    if not data:
        return State(stack)
    return State(
        stack=stack,
        active=Active(**data["active"]) if data.get("active") else None,
        slots={name: Slot(**slot) for name, slot in data.get("slots", {}).items()},
        next_release=data.get("next_release", 1),
        ports=data.get("ports", {}),
        data_images=data.get("data_images", {}),
        data_definitions=data.get("data_definitions", {}),
        contracts=tuple(data.get("contracts", ())),
        volumes=data.get("volumes", {}),
        transition=Transition(**data["transition"]) if data.get("transition") else None,
    )


def dump(state: State) -> dict[str, Any]:
    """The state as it is stored; `phase` is there for people and for `slipway status`."""
    return {**asdict(state), "phase": state.phase, "version": 1}


def begin(
    state: State,
    transition: Transition,
    ports: Mapping[str, Mapping[str, list[int]]],
    spare: Mapping[str, list[int]] | None = None,
) -> State:
    """A release starts in the idle slot. `spare` are the ports of the other slot, for as long as it has none."""
    if state.transition is not None:
        raise ValueError("a transition is on record already")
    if state.active is not None and transition.slot == state.active.slot:
        raise ValueError("a release never starts in the slot that serves")
    return replace(
        state,
        transition=transition,
        next_release=max(state.next_release, transition.release + 1),
        ports=ports,
        slots={other(transition.slot): Slot(NOTHING, spare or {}), **state.slots},
    )


def advance(state: State, phase: str) -> State:
    """The next phase is about to act. From `prepare` on the idle slot no longer holds what it held."""
    transition = moving(state)
    if PHASES.index(phase) < transition.reached:
        raise ValueError(f"phase {phase} comes before {transition.phase}")
    held = state.slots.get(transition.slot)
    emptied = PHASES.index(phase) >= TOUCHES_SLOT and held is not None and held.release != transition.release
    slots = _without(state, transition.slot) if emptied else state.slots
    contracts = state.contracts
    if transition.contract and phase == "migrate" and transition.release not in contracts:
        contracts = (*contracts, transition.release)
    return replace(state, transition=replace(transition, phase=phase), slots=slots, contracts=contracts)


def commit(state: State) -> State:
    """The new release is the one that serves."""
    transition = moving(state)
    return replace(
        state,
        active=Active(transition.release, transition.slot, transition.fingerprint),
        slots={**state.slots, transition.slot: Slot(transition.release, transition.upstreams)},
        transition=None,
    )


def revert(state: State) -> State:
    """The new release is gone; what served before serves."""
    transition = moving(state)
    slots = _without(state, transition.slot) if transition.reached >= TOUCHES_SLOT else state.slots
    return replace(state, slots=slots, transition=None)


def _without(state: State, slot: str) -> dict[str, Slot]:
    """The slot's containers are gone."""
    emptied = {slot: replace(state.slots[slot], release=NOTHING)} if slot in state.slots else {}
    return {**state.slots, **emptied}


def removed(state: State) -> State:
    """The stack was taken away. Ports and numbers stay, and so does what its data were made from."""
    slots = {name: replace(slot, release=NOTHING) for name, slot in state.slots.items()}
    return replace(state, active=None, transition=None, slots=slots)


def with_data(state: State, images: Mapping[str, str], definitions: Mapping[str, str]) -> State:
    """Data services were created from these images and definitions."""
    return replace(
        state,
        data_images={**state.data_images, **images},
        data_definitions={**state.data_definitions, **definitions},
    )


def recovery(state: State, new_is_healthy: bool) -> str:
    """What to do about a transition that was cut off: nothing, REVERT or FINISH.

    A release that had not proved itself under traffic is reverted while there is something to go back to. On a first
    release there is nothing, so it is kept if it is healthy.
    """
    if state.transition is None:
        return NONE
    reached = state.transition.reached
    if reached >= PROVED:
        return FINISH
    if reached >= MAY_SERVE and state.active is None and new_is_healthy:
        return FINISH
    return REVERT


def serving_slot(state: State) -> str | None:
    """The slot that the flag has to name in this state, as far as it is decided."""
    if state.transition and state.transition.reached >= PROVED:
        return state.transition.slot
    return state.active.slot if state.active else None


def upstreams(state: State) -> dict[str, Mapping[str, list[int]]]:
    """The ports that each slot's routes lead to, the release on its way included."""
    found = {name: slot.upstreams for name, slot in state.slots.items()}
    if state.transition:
        found[state.transition.slot] = state.transition.upstreams
    return found


def moving(state: State) -> Transition:
    if state.transition is None:
        raise ValueError("no transition is on record")
    return state.transition
