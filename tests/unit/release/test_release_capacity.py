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


class Registry:
    """Tells the layers of images, and an Engine that has none of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, layers: dict[str, dict[str, int]], free: int) -> None:
        self.client = self
        self.asked: list[str] = []
        self._layers = layers
        monkeypatch.setattr(capacity, "layers_of", self._layers_of)
        monkeypatch.setattr(capacity, "free_mb", lambda _place: free)
        monkeypatch.setattr(capacity.images, "is_local", lambda _daemon, name: name in ("app@old", "db@here"))

    def version(self) -> dict[str, str]:
        return {"Arch": "amd64"}

    def info(self) -> dict[str, str]:
        return {}

    def _layers_of(self, names: list[str], _platform: str) -> dict[str, int]:
        self.asked += sorted(names)
        return {digest: size for name in names for digest, size in self._layers[name].items()}


def test_layers_that_are_on_the_host_need_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    base, top = {"sha256:base": 300 << 20}, {"sha256:top": 10 << 20}
    layers = {"app@new": {**base, **top}, "app@old": base}
    little = Registry(monkeypatch, layers, free=1100)
    capacity.refuse_little_disk(little, ["app@new", "db@here"], ["app@old"], 1024)  # type: ignore[arg-type]
    assert little.asked == ["app@new", "app@old"]
    enough = Registry(monkeypatch, layers, free=9000)
    capacity.refuse_little_disk(enough, ["app@new"], ["app@old"], 1024)  # type: ignore[arg-type]
    assert enough.asked == ["app@new"]
    little = Registry(monkeypatch, layers, free=1100)
    with pytest.raises(SlipwayError, match="need about 1240 MB"):
        capacity.refuse_little_disk(little, ["app@new"], [], 1024)  # type: ignore[arg-type]


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
