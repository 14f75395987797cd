# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of the host for containers whose users are others there."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.release import remapping
from ansible_collections.slipway.vps.plugins.module_utils.release.model import Model

FIRST = 1000000


class Engine:
    """As `docker info` describes it."""

    def __init__(self, **about: Any) -> None:
        self.about = about

    @property
    def client(self) -> Engine:
        return self

    def info(self) -> dict[str, Any]:
        return self.about


def test_the_engine_says_who_root_is() -> None:
    options = ["name=seccomp,profile=builtin", "name=userns"]
    remapped = Engine(DockerRootDir="/var/lib/docker/1000000.1000000", SecurityOptions=options)
    plain = Engine(DockerRootDir="/srv/2024.10", SecurityOptions=options[:1])
    assert remapping.first_id(remapped) == FIRST  # type: ignore[arg-type]
    assert remapping.first_id(plain) is None  # type: ignore[arg-type]
    assert remapping.first_id(Engine()) is None  # type: ignore[arg-type]


def model(path: Path, how: str, **more: str) -> Model:
    if how == "volumes":
        return Model(
            {"services": {"api": {"volumes": [{"type": "bind", "source": str(path), "target": "/x"}], **more}}}
        )
    return Model({"services": {"api": {how: [{"source": "one"}], **more}}, how: {"one": {"file": str(path)}}})


@pytest.mark.parametrize("how", ["volumes", "secrets", "configs"])
def test_a_file_for_root_alone_is_refused_with_the_owner_that_it_needs(tmp_path: Path, how: str) -> None:
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    remapping.refuse(model(secret, how), None)
    remapping.refuse(model(secret, how, userns_mode="host"), FIRST)
    with pytest.raises(SlipwayError, match=r"The service api is given .*/secret \(owner \d+, mode 0600\)") as refused:
        remapping.refuse(model(secret, how), FIRST)
    assert 'owner: "1000000" in stack_files' in refused.value.hint
    secret.chmod(0o644)
    remapping.refuse(model(secret, how), FIRST)


def test_what_is_not_there_is_left_to_compose(tmp_path: Path) -> None:
    remapping.refuse(model(tmp_path / "missing", "volumes"), FIRST)


FILE, FOLDER, SOCKET = stat.S_IFREG, stat.S_IFDIR, stat.S_IFSOCK


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "expected"),
    [
        (FILE | 0o600, FIRST, 0, True),
        (FILE | 0o640, 0, FIRST + 65535, True),
        (FILE | 0o600, FIRST + 65536, 0, False),
        (FOLDER | 0o755, 0, 0, True),
        (FOLDER | 0o755, 10001, 10001, False),
        (FOLDER | 0o700, FIRST + 10001, 0, True),
        (FOLDER | 0o754, 0, 0, False),
        (SOCKET | 0o660, 0, 999, False),
        (SOCKET | 0o666, 0, 0, True),
    ],
)
def test_who_may_use_what(mode: int, uid: int, gid: int, expected: bool) -> None:
    assert remapping.usable(os.stat_result((mode, 0, 0, 1, uid, gid, 0, 0, 0, 0)), FIRST) is expected
