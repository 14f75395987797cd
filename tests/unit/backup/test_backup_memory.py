# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The memory of a backup does not depend on the database; nothing of it touches the disk. A gigabyte: tests/long."""

from __future__ import annotations

from ansible_collections.slipway.vps.plugins.module_utils.backup import catalog
from ansible_collections.slipway.vps.plugins.module_utils.backup.spec import MIB
from ansible_collections.slipway.vps.plugins.module_utils.backup.store import stores

from .memory import MB, assert_small, taken


def test_a_backup_and_its_proof_stay_small(big_shop, state_directory):
    spec = big_shop.but(part_bytes=8 * MIB)
    made = taken(spec, state_directory, big_shop.place, "backup")
    [one] = catalog.entries(stores(spec))
    # Larger than all buffers together, so that one which grows with the stream would be seen.
    assert one.manifest.stored_bytes > 35 * MB
    assert_small(made)
    assert_small(taken(spec, state_directory, big_shop.place, "verify"))
