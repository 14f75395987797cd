# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that Nginx serves: kept with each release, placed by slot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.release import record, static
from ansible_collections.slipway.vps.plugins.module_utils.release.model import Model
from ansible_collections.slipway.vps.plugins.module_utils.release.paths import StackPaths
from ansible_collections.slipway.vps.plugins.module_utils.release.record import Record
from ansible_collections.slipway.vps.plugins.module_utils.release.spec import parse


@pytest.fixture
def paths(tmp_path: Path) -> StackPaths:
    return StackPaths("shop", stacks=tmp_path)


def release(request: dict[str, Any], number: int, **route: str) -> Record:
    request = {**request, "data_services": [], "routes": [{"name": "site", "root": "web", **route}]}
    return record.make(number, parse(request), Model({}), {}, "mark", "now", "me")


def build(paths: StackPaths, index: str, **scripts: str) -> None:
    """A page and its scripts, by their names."""
    files = {"index.html": index, **{f"assets/{name}.js": text for name, text in scripts.items()}}
    for name, text in files.items():
        path = paths.files / "web" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_each_slot_has_the_files_of_its_release(paths: StackPaths, request_: dict) -> None:
    first, second = release(request_, 1), release(request_, 2)
    build(paths, "one", old="old")
    static.keep(paths, first)
    static.place(paths, first, "blue")
    build(paths, "two")
    (paths.files / "web" / "assets" / "old.js").unlink()
    static.keep(paths, second)
    static.place(paths, second, "green")
    blue, green = (paths.static / slot / "site" for slot in ("blue", "green"))
    assert [(place / "index.html").read_text() for place in (blue, green)] == ["one", "two"]
    assert (blue / "assets" / "old.js").exists() and not (green / "assets" / "old.js").exists()
    # A rollback has what its release was made with.
    static.place(paths, first, "green")
    assert (green / "index.html").read_text() == "one"


def test_nginx_may_read_what_nobody_else_could(paths: StackPaths, request_: dict) -> None:
    build(paths, "one", a="a")
    (paths.files / "web" / "index.html").chmod(0o600)
    (paths.files / "web" / "assets").chmod(0o700)
    made = release(request_, 1)
    static.keep(paths, made)
    static.place(paths, made, "blue")
    modes = {path.name: path.stat().st_mode & 0o777 for path in (paths.static / "blue").rglob("*")}
    assert modes == {"site": 0o755, "assets": 0o755, "index.html": 0o644, "a.js": 0o644}


def test_a_link_leads_nowhere(paths: StackPaths, request_: dict) -> None:
    build(paths, "one")
    (paths.files / "web" / "passwords").symlink_to("/etc/passwd")
    made = release(request_, 1)
    static.keep(paths, made)
    static.place(paths, made, "blue")
    assert [path.name for path in (paths.static / "blue" / "site").iterdir()] == ["index.html"]


def test_a_folder_without_a_page_is_refused(paths: StackPaths, request_: dict) -> None:
    with pytest.raises(SlipwayError, match=r"where no index\.html is.*dest: web"):
        static.keep(paths, release(request_, 1))


def test_a_rotation_keeps_what_serves(paths: StackPaths, request_: dict) -> None:
    build(paths, "one")
    static.keep(paths, release(request_, 1))
    build(paths, "not released yet")
    again = release(request_, 2)
    static.keep(paths, again, 1)
    static.place(paths, again, "green")
    assert (paths.static / "green" / "site" / "index.html").read_text() == "one"


def test_what_is_gone_is_found_and_mended(paths: StackPaths, request_: dict) -> None:
    build(paths, "one")
    made = release(request_, 1, path="/app")
    static.keep(paths, made)
    assert static.missing(paths, made, "blue") == [paths.static / "blue" / "site" / "app"]
    static.mend(paths, made, "blue")
    assert static.missing(paths, made, "blue") == []


@pytest.mark.parametrize(
    ("route", "sentence"),
    [
        ({"root": "../etc"}, "outside the project directory"),
        ({"root": "/etc"}, "outside the project directory"),
        ({"root": "web", "service": "api"}, "both root and service"),
        ({"root": "web", "rate_limit": "1r/s"}, "both root and rate_limit"),
        ({"root": "web", "fallback": "../x"}, "not a file of its folder"),
        ({"root": "web", "speed": 3}, "unknown key 'speed'"),
        ({"service": "api", "port": 1, "fallback": "index.html"}, "unknown key 'fallback'"),
        ({"service": "api", "port": 1, "internal_paths": "/metrics"}, "are no list"),
        ({"service": "api", "port": 1, "path": "/a", "internal_paths": ["/b"]}, "not below /a"),
    ],
)
def test_what_cannot_be_is_refused(request_: dict, route: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SlipwayError, match=sentence):
        parse({**request_, "routes": [route]})


def test_a_release_without_any_is_the_same_as_before(request_: dict) -> None:
    """Else whoever takes a newer version of this collection would get a new release that changes nothing."""
    public = parse(request_).public()
    assert "static" not in public and "internal_paths" not in public["routes"][0]


def test_what_is_stored_is_read_again(request_: dict) -> None:
    routes = [{"name": "site", "root": "web", "fallback": "index.html"}]
    routes += [{"name": "api", "path": "/api", "service": "api", "port": 1, "internal_paths": ["/api/metrics"]}]
    spec = parse({**request_, "routes": routes})
    assert parse({**spec.public(), "compose": "services: {}", "secrets": spec.secrets}) == spec
