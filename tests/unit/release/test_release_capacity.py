# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Room on the disk and in memory, before anything starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.release import capacity, daemon

MANIFEST = {
    "Descriptor": {"platform": {"architecture": "amd64", "os": "linux"}},
    "SchemaV2Manifest": {"layers": [{"digest": "sha256:a", "size": 100}, {"digest": "sha256:b", "size": 20}]},
}
CONTAINER = daemon.Container("1", "shop-blue-api-1", "api", "running", "healthy", 0, 0, "", "", (), (), 10)


def test_the_layers_of_this_platform_count() -> None:
    assert capacity.layers(MANIFEST, "amd64") == {"sha256:a": 100, "sha256:b": 20}
    other = {
        "Descriptor": {"platform": {"architecture": "arm64"}},
        "OCIManifest": {"layers": [{"digest": "sha256:c", "size": 7}]},
    }
    attestation = {
        "Descriptor": {"platform": {"architecture": "unknown"}},
        "OCIManifest": {"layers": [{"digest": "sha256:d", "size": 9}]},
    }
    assert capacity.layers([MANIFEST, other, attestation], "arm64") == {"sha256:c": 7}


def test_images_that_do_not_fit_are_refused_with_the_numbers() -> None:
    capacity.refuse_too_big(Path("/var/lib/docker"), free=1500, needed=400, wanted=1024)
    with pytest.raises(SlipwayError, match=r"need about 500 MB .* 1024 MB have to stay free, but only 1500 MB"):
        capacity.refuse_too_big(Path("/var/lib/docker"), free=1500, needed=500, wanted=1024)


def test_a_full_disk_is_refused(tmp_path: Path) -> None:
    capacity.refuse_full_disk([tmp_path], 0)
    with pytest.raises(SlipwayError, match=rf"MB are free below {tmp_path}, 999999999 MB are asked for"):
        capacity.refuse_full_disk([tmp_path], 999999999)


def test_a_second_slot_needs_what_the_first_one_uses() -> None:
    second = replace(CONTAINER, name="shop-blue-api-2")
    web = replace(CONTAINER, name="shop-blue-web-1", service="web")
    used = {"shop-blue-api-1": 100 << 20, "shop-blue-api-2": 200 << 20, "shop-blue-web-1": 50 << 20}
    assert capacity.second_slot_mb([CONTAINER, second, web], used, {"api": 3, "web": 1, "new": 2}) == 500
    assert capacity.second_slot_mb([], {}, {"api": 3}) == 0


def test_two_slots_need_memory() -> None:
    capacity.refuse_little_memory(128, 0, 128)
    with pytest.raises(SlipwayError, match=r"Only 127 MB of memory are available: 128 MB have to stay free\."):
        capacity.refuse_little_memory(127, 0, 128)
    with pytest.raises(SlipwayError, match="the new slot needs about 300 MB beside the one that serves"):
        capacity.refuse_little_memory(400, 300, 128)
