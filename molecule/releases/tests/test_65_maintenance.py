# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The maintenance page: for visitors, not for probes; through a release, and through a reboot."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from slipway_lab import Server
from slipway_registry import move_tag
from slipway_shop import Shop

IMAGE = "shop/maintenance:moving"
PAGE = "<p>The shop moves house; it is back at noon.</p>\n"


@pytest.fixture(scope="module")
def shop(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    directory: Path = tmp_path_factory.mktemp("maintenance")
    made = Shop(server, directory)
    made.compose["services"]["web"]["image"] = f"${{REGISTRY}}/{IMAGE}"
    (directory / "page.html").write_text(PAGE, encoding="utf-8")
    made.set(stack_maintenance_page=str(directory / "page.html"))
    move_tag("shop/app:1.1.0", IMAGE)
    return made


def health(server: Server) -> set[int]:
    """How the health paths answer, whatever visitors get."""
    return {server.web.ask(server.zone, "/health").status, server.web.ask(f"api.{server.zone}", "/ready").status}


def assert_closed(server: Server, page: str = "") -> None:
    for host, path in ((server.zone, "/"), (f"api.{server.zone}", "/version"), (f"alpha.{server.zone}", "/products")):
        answer = server.web.ask(host, path)
        assert answer.status == 503, (host, path)
        assert int(answer.headers["retry-after"]) > 0
        assert page in answer.text
    assert health(server) == {200}


def test_visitors_see_the_page_and_probes_do_not(shop: Shop, server: Server) -> None:
    assert server.web.ask(server.zone).status == 200
    assert server.playbook("maintenance", "-e", "maintenance=on").changed == {server.name: 1}
    assert_closed(server)
    assert server.playbook("maintenance", "-e", "maintenance=on").changed == {server.name: 0}


def test_a_release_is_made_behind_the_page_and_brings_a_page_of_its_own(shop: Shop, server: Server) -> None:
    shop.deploy("1.1.0")
    assert_closed(server, PAGE)
    assert shop.history()[0]["result"] == "succeeded"


@pytest.mark.long
def test_page_and_digest_are_the_same_after_a_reboot(shop: Shop, server: Server) -> None:
    (before,) = shop.containers("web")
    # Whoever owns the registry may move a tag at any time; what was released stays what runs.
    moved = move_tag("shop/app:1.2.0-crash", IMAGE)
    assert moved not in before["Config"]["Image"]
    subprocess.run(["docker", "restart", f"slipway-lab-{server.name}"], check=True, capture_output=True)
    deadline = time.monotonic() + 120
    while True:
        try:
            if health(server) == {200}:
                break
        except OSError:
            # Nginx is not up yet.
            pass
        assert time.monotonic() < deadline, "The service did not come back within two minutes."
        time.sleep(1)
    assert_closed(server, PAGE)
    server.vps.check_output("systemctl is-active --quiet slipway-stack@shop || systemctl start slipway-stack@shop")
    (after,) = shop.containers("web")
    assert after["Config"]["Image"] == before["Config"]["Image"]


def test_the_end_of_maintenance(shop: Shop, server: Server) -> None:
    assert server.playbook("maintenance", "-e", "maintenance=off").changed == {server.name: 1}
    assert server.web.ask(server.zone).status == 200
    assert server.web.ask(f"api.{server.zone}", "/version").json()["release"] == "1.1.0"


def test_an_unclear_wish_is_refused(server: Server) -> None:
    play = server.play("maintenance", "-e", "maintenance=perhaps")
    assert play.code != 0
    assert "-e maintenance=on or -e maintenance=off" in play.output
