# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Host ports: allocated once for each endpoint and slot, outside the ephemeral range, and kept."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from ..common.errors import SlipwayError
from .paths import SLOTS

FIRST = 18000
LAST = 19999

Blocks = Mapping[str, Mapping[str, list[int]]]


def allocate(
    current: Blocks, wanted: Mapping[str, int], slot: str, taken: Collection[int]
) -> dict[str, dict[str, list[int]]]:
    """Blocks of ports for every endpoint in both slots.

    `slot` is the one about to be filled: its block is replaced if it has another size than wanted or is taken by
    someone else. The other slot serves, so its blocks stay as they are. `taken` are ports of other stacks and of
    other programs.
    """
    blocks = {endpoint: {name: list(ports) for name, ports in both.items()} for endpoint, both in current.items()}
    for endpoint, count in sorted(wanted.items()):
        both = blocks.setdefault(endpoint, {})
        for name in SLOTS:
            usable = name != slot or (len(both.get(name, [])) == count and not set(taken) & set(both[name]))
            if name in both and usable:
                continue
            used = set(taken) | in_use(blocks)
            both[name] = _free_block(count, used)
    return blocks


def in_use(blocks: Blocks) -> set[int]:
    """Every port of these blocks."""
    return {port for both in blocks.values() for ports in both.values() for port in ports}


def _free_block(count: int, used: set[int]) -> list[int]:
    for first in range(FIRST, LAST + 2 - count):
        block = list(range(first, first + count))
        if not used & set(block):
            return block
    raise SlipwayError(
        f"No {count} free ports in a row are left between {FIRST} and {LAST}.",
        hint="Remove a stack that is no longer used, or lower stack_replicas.",
    )


def published(ports: Iterable[int]) -> str:
    """The block as Compose wants it: `18000` or `18000-18002`."""
    ordered = sorted(ports)
    return str(ordered[0]) if len(ordered) == 1 else f"{ordered[0]}-{ordered[-1]}"
