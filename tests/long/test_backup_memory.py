# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A gigabyte that does not compress, in objects of a tenth of that: memory, disk, and every byte back."""

from __future__ import annotations

from ansible_collections.slipway.vps.plugins.module_utils.backup import catalog, restore
from ansible_collections.slipway.vps.plugins.module_utils.backup.spec import MIB
from ansible_collections.slipway.vps.plugins.module_utils.backup.store import stores
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter
from ansible_collections.slipway.vps.tests.unit.backup.conftest import database, postgres, s3, shop, state_directory
from ansible_collections.slipway.vps.tests.unit.backup.memory import MB, assert_small, taken

__all__ = ["database", "postgres", "s3", "shop", "state_directory"]

OBJECT_BYTES = 100 * MIB
# The same 16 MB again and again: too far apart for the compressor to see.
FILL = """
CREATE TABLE blobs (id bigint GENERATED ALWAYS AS IDENTITY, body bytea);
INSERT INTO blobs (body) SELECT (SELECT string_agg(uuid_send(gen_random_uuid()), NULL)
  FROM generate_series(1, 1000) WHERE i > 0) FROM generate_series(1, 1000) i;
INSERT INTO blobs (body) SELECT body FROM blobs, generate_series(1, 63) again ORDER BY again, id;
"""


def test_a_gigabyte(shop, state_directory, capsys):
    shop.query(FILL)
    digest = "SELECT count(*), sum(hashtextextended(encode(sha256(body), 'hex'), 0)::numeric) FROM blobs"
    before = shop.query(digest)
    spec = shop.but(part_bytes=8 * MIB, object_bytes=OBJECT_BYTES)
    made = taken(spec, state_directory, shop.place, "backup")
    proved = taken(spec, state_directory, shop.place, "verify")
    with capsys.disabled():
        print(f"\npeak memory: backup {made['peak_bytes'] / MB:.0f} MB, verify {proved['peak_bytes'] / MB:.0f} MB")
    assert_small(made)
    assert_small(proved)
    [one] = catalog.entries(stores(spec))
    assert one.complete and one.verified
    sizes = [stored.bytes for stored in one.manifest.of_content("database")]
    assert sum(sizes) > 1000 * MB
    assert set(sizes[:-1]) == {OBJECT_BYTES} and len(sizes) >= 10
    result = restore.run(spec, restore.Request(), Emitter.null())["restore"]
    assert shop.query(digest, result["database"]) == before
