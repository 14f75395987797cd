# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a running project can be taken over, and what is refused; folders that are copied twice."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.release import adoption
from ansible_collections.slipway.vps.plugins.module_utils.release.adoption import Mount, Old
from ansible_collections.slipway.vps.plugins.module_utils.release.daemon import SERVICE
from ansible_collections.slipway.vps.plugins.module_utils.release.mirror import forget, mirror
from ansible_collections.slipway.vps.plugins.module_utils.release.model import Model
from ansible_collections.slipway.vps.plugins.module_utils.release.paths import StackPaths
from ansible_collections.slipway.vps.plugins.module_utils.release.state import Active, State

FILES = "/srv/shop/files"


def container(service: str, *mounts: Mount, **more: Any) -> Old:
    known = {"ports": (), "directory": "/opt/shop", "running": True, **more}
    return Old(
        id=service, name=f"old-{service}-1", service=service, image="i", policy={}, grace=10, mounts=mounts, **known
    )


def match(model: Model, *containers: Old, without: tuple[str, ...] = ()) -> tuple[Any, Any, list[str]]:
    volumes, folders, problems = adoption.match(model, containers, "old", FILES, without)
    return volumes, folders, [sentence for sentence, _hint in problems]


DATABASE = Mount("volume", "old_pg", "/var/lib/postgresql/data")


def test_volumes_are_found_by_their_place_whatever_their_name(model: Model) -> None:
    volumes, folders, problems = match(
        model, container("postgres", DATABASE), container("api", Mount("volume", "old_up", "/srv/app/uploads/"))
    )
    assert (volumes, folders, problems) == ({"postgres_data": "old_pg", "uploads": "old_up"}, {}, [])


def test_a_folder_of_the_project_is_copied_to_the_stack(
    model: Model, changed: Callable[..., Model], tmp_path: Path
) -> None:
    folder = tmp_path / "uploads"
    folder.mkdir()
    mounts = [{"type": "bind", "source": f"{FILES}/uploads", "target": "/srv/app/uploads"}]
    entry = container("api", Mount("bind", str(folder), "/srv/app/uploads"), directory=str(tmp_path))
    assert match(changed("api", volumes=mounts), entry) == ({}, {f"{FILES}/uploads": str(folder)}, [])
    stays = [{**mounts[0], "source": str(folder)}]
    assert match(changed("api", volumes=stays), entry) == ({}, {}, [])
    elsewhere = replace(entry, directory="/opt/other")
    assert "is not below the project's own directory" in match(changed("api", volumes=mounts), elsewhere)[2][0]


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (container("proxy"), "has the service proxy, which the new Compose file has not"),
        (container("postgres", Mount("volume", "x", "/backups")), "where the new Compose file has nothing"),
        (container("web", ports=(443, 8443)), "publishes port 443, which Nginx needs"),
    ],
)
def test_what_cannot_be_taken_over_is_refused_with_a_sentence(model: Model, entry: Old, sentence: str) -> None:
    problems = match(model, entry)[2]
    assert len(problems) == 1 and sentence in problems[0]


def test_a_service_that_ends_with_the_project_is_named(model: Model) -> None:
    assert match(model, container("proxy", ports=(8080,)), without=("proxy",))[2] == []


def test_one_new_volume_is_never_two_old_ones(model: Model, changed: Callable[..., Model]) -> None:
    mounts = [{"type": "volume", "source": "uploads", "target": "/srv/app/uploads"}]
    both = changed("web", volumes=mounts)
    problems = match(
        both,
        container("api", Mount("volume", "a", "/srv/app/uploads")),
        container("web", Mount("volume", "b", "/srv/app/uploads")),
    )[2]
    assert "one volume uploads where the project has two, a and b" in problems[0]


def test_an_external_volume_has_to_be_the_same(model: Model) -> None:
    external = Model({**model.data, "volumes": {**model.volumes, "uploads": {"external": True, "name": "shared"}}})
    assert match(external, container("api", Mount("volume", "shared", "/srv/app/uploads")))[2] == []
    assert (
        "the external volume shared"
        in match(external, container("api", Mount("volume", "x", "/srv/app/uploads")))[2][0]
    )


def test_a_project_that_is_not_there_is_named() -> None:
    nothing = SimpleNamespace(client=SimpleNamespace(api=SimpleNamespace(containers=lambda **_filters: [])))
    with pytest.raises(SlipwayError, match="There is no Compose project oldshop on this host"):
        adoption.announced(nothing, "oldshop")


def test_what_the_engine_says_of_a_container_is_read() -> None:
    found = adoption.old(
        {
            "Id": "1",
            "Name": "/old-api-1",
            "Image": "sha256:1",
            "State": {"Running": True},
            "Config": {"Labels": {SERVICE: "api", adoption.WORKING_DIRECTORY: "/opt/old"}, "StopTimeout": 30},
            "HostConfig": {
                "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
                "PortBindings": {"8080/tcp": [{"HostIp": "", "HostPort": "80"}]},
            },
            "Mounts": [
                {"Type": "volume", "Name": "old_up", "Source": "/var/lib/docker/x", "Destination": "/srv/up"},
                {"Type": "bind", "Source": "/opt/old/conf", "Destination": "/conf"},
            ],
        }
    )
    assert (found.name, found.service, found.ports, found.grace) == ("old-api-1", "api", (80,), 30)
    assert found.mounts == (Mount("volume", "old_up", "/srv/up"), Mount("bind", "/opt/old/conf", "/conf"))
    assert found.policy["Name"] == "always" and found.directory == "/opt/old"


def test_a_first_release_that_is_given_up_leaves_no_names_of_volumes_behind(tmp_path: Path) -> None:
    host: Any = SimpleNamespace(paths=StackPaths("shop", stacks=tmp_path))
    pinned = State("shop", volumes={"uploads": "old_uploads"})
    assert adoption.give_back(host, pinned).volumes == {}
    serving = replace(pinned, active=Active(1, "blue", "mark"))
    assert adoption.give_back(host, serving) == serving


def test_a_folder_is_mirrored_with_modes_and_links_and_a_second_pass_follows_changes(tmp_path: Path) -> None:
    source, target = tmp_path / "old", tmp_path / "new"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "a.txt").write_text("one", encoding="utf-8")
    (source / "b.txt").write_text("gone soon", encoding="utf-8")
    (source / "b.txt").chmod(0o640)
    (source / "link").symlink_to("b.txt")
    target.mkdir()
    (target / "ours.txt").write_text("stays", encoding="utf-8")
    first = mirror(source, target)
    assert first == {"deep", "deep/a.txt", "b.txt", "link"}
    assert (target / "b.txt").stat().st_mode & 0o777 == 0o640
    assert os.readlink(target / "link") == "b.txt"
    inode = (target / "deep" / "a.txt").stat().st_ino
    (source / "b.txt").unlink()
    (source / "link").unlink()
    (source / "deep" / "c.txt").write_text("new", encoding="utf-8")
    forget(target, first - mirror(source, target))
    assert sorted(path.name for path in target.rglob("*")) == ["a.txt", "c.txt", "deep", "ours.txt"]
    assert (target / "deep" / "a.txt").stat().st_ino == inode  # unchanged: not copied again
