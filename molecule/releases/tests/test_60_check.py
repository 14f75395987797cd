# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A dry run tells exactly what a run then does; a run without anything to do does nothing, and soon."""

from __future__ import annotations

import difflib
import json
import re
from typing import Any

import pytest
from slipway_lab import Play, Server
from slipway_shop import Shop

SECRET = {"before": "a-secret-that-nobody-sees-1", "after": "a-secret-that-nobody-sees-2"}
STATE = "find /srv/shop /etc/nginx/slipway -type f -exec sha256sum {} + ; docker ps --all --no-trunc --quiet"
ROLE_SECONDS = 5


@pytest.fixture(scope="module")
def shop(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    made = Shop(server, tmp_path_factory.mktemp("check"))
    made.environment("api", GREETING="${GREETING}", TOKEN="${TOKEN}", OTHER_TOKEN="${OTHER_TOKEN}")
    made.set(
        stack_env={**made.variables["stack_env"], "GREETING": "hello"},
        stack_secrets={**made.variables["stack_secrets"], "TOKEN": SECRET["before"], "OTHER_TOKEN": "it stays"},
        stack_files=[{"dest": "greeting.txt", "content": "hello\n"}],
    )
    made.deploy("1.0.1")
    return made


def started(shop: Shop) -> dict[str, str]:
    """Every container of the stack, with the moment at which it started."""
    return {one["Id"]: one["State"]["StartedAt"] for one in shop.containers(everything=True)}


@pytest.mark.long
def test_a_run_with_nothing_to_do_starts_nothing(shop: Shop, server: Server) -> None:
    before = started(shop)
    play = shop.deploy("1.0.1")
    assert play.changed == {server.name: 0}, play.changed_tasks()
    assert started(shop) == before


@pytest.mark.long
def test_a_run_with_nothing_to_do_is_quick(shop: Shop) -> None:
    """What else the machine does must not decide: the quickest of three."""
    attempts = []
    for _attempt in range(3):
        found = re.search(r"^ *stack +([0-9.]+) s$", shop.deploy("1.0.1").output, re.MULTILINE)
        assert found, "the summary has no line for role stack"
        attempts.append(float(found.group(1)))
    assert min(attempts) < ROLE_SECONDS, attempts


@pytest.fixture(scope="module")
def change(shop: Shop) -> None:
    """A bit of everything: release, environment, one of two secrets, a file, a route."""
    shop.set(
        stack_env={**shop.variables["stack_env"], "GREETING": "good bye", "NEW_NAME": "new"},
        stack_secrets={**shop.variables["stack_secrets"], "TOKEN": SECRET["after"]},
        stack_files=[{"dest": "greeting.txt", "content": "good bye\n"}],
        stack_release="1.1.0",
    )
    api = next(route for route in shop.variables["stack_routes"] if route["name"] == "api")
    api["max_body_size"] = "21m"


@pytest.fixture(scope="module")
def announced(shop: Shop, server: Server, change: None) -> dict[str, dict[str, str]]:
    """What a dry run shows, by the name of each difference; it touches nothing."""
    before = server.vps.check_output(STATE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANSIBLE_STDOUT_CALLBACK", "ansible.posix.json")
        play = shop.play("deploy", "--check", "--diff")
    assert play.code == 0, play.output[-6000:]
    assert server.vps.check_output(STATE) == before
    assert not any(secret in play.output for secret in SECRET.values())
    return {entry["before_header"]: entry for entry in differences(play, server)}


def differences(play: Play, server: Server) -> list[dict[str, str]]:
    said = json.loads(play.output[play.output.index("{") :])
    tasks = [task for one in said["plays"] for task in one["tasks"]]
    (release,) = [task for task in tasks if task["task"]["name"].endswith("Put the release into service")]
    return list(release["hosts"][server.name]["diff"])


def lines(entry: dict[str, str]) -> tuple[set[str], set[str]]:
    """Those that go and those that come."""
    compared = list(difflib.ndiff(entry["before"].splitlines(), entry["after"].splitlines()))
    return {line[2:] for line in compared if line[0] == "-"}, {line[2:] for line in compared if line[0] == "+"}


def test_what_was_announced_is_what_changes(shop: Shop, server: Server, announced: dict[str, Any]) -> None:
    nginx = "find /etc/nginx/slipway/stacks/shop -type f -exec sha256sum {} +"
    before = set(server.vps.check_output(nginx).splitlines())
    play = shop.deploy("1.1.0")
    assert not any(secret in play.output for secret in SECRET.values())
    newest = shop.history()[0]
    place = f"/srv/shop/releases/{newest['release']}"

    gone, come = lines(announced["release of shop"])
    told = {
        kind: {line.split()[1].rstrip(":"): line for line in come if line.split()[0] == kind}
        for kind in ("image", "env", "secret", "file", "route")
    }
    images = json.loads(server.vps.file(f"{place}/images.json").content_string)
    assert told["image"] == {name: f"image {name}: {images[name]}" for name in ("api", "web", "dashboard")}
    assert told["env"] == {"GREETING": "env GREETING: good bye", "NEW_NAME": "env NEW_NAME: new"}
    assert "env GREETING: hello" in gone
    names = {line.split("=", 1)[0] for line in server.vps.file(f"{place}/env").content_string.splitlines()}
    assert {"GREETING", "NEW_NAME", "TOKEN", "OTHER_TOKEN"} <= names
    # Of two secrets one changed; of that nothing is told but that it did.
    assert list(told["secret"]) == ["TOKEN"]
    assert re.fullmatch(r"secret TOKEN: \(fingerprint [0-9a-f]{12}\)", told["secret"]["TOKEN"])
    checksum = server.vps.check_output("sha1sum /srv/shop/files/greeting.txt").split()[0]
    assert told["file"] == {"greeting.txt": f"file greeting.txt: {checksum}"}
    assert list(told["route"]) == ["api"] and "max_body_size=21m" in told["route"]["api"]
    assert f"slot: {newest['slot']}" in come

    written = {name: entry["after"] for name, entry in announced.items() if name != "release of shop"}
    override = f"override.{newest['slot']}.json"
    assert written.pop(override) == server.vps.file(f"{place}/{override}").content_string
    after = set(server.vps.check_output(nginx).splitlines())
    assert set(written) == {line.split()[1] for line in after - before}
    for path, content in written.items():
        assert server.vps.file(path).content_string == content
