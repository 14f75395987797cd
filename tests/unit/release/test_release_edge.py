# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Nginx says about a reload that it did not do, and which hosts it has a site for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.process import Result
from ansible_collections.slipway.vps.plugins.module_utils.release import edge, nginx

TAKEN = "2026/11/21 07:00:00 [emerg] 301#301: bind() to 127.0.0.1:8099 failed (98: Address already in use)"
GIVEN_UP = "2026/11/21 07:00:03 [emerg] 301#301: still could not bind()"


def test_nginx_gives_up_after_it_has_tried_five_times() -> None:
    assert edge.given_up([TAKEN]) == ""
    assert edge.given_up([TAKEN, TAKEN, GIVEN_UP]) == "bind() to 127.0.0.1:8099 failed (98: Address already in use)"


def test_any_other_emergency_is_final() -> None:
    line = '2026/11/21 07:00:00 [emerg] 301#301: open() "/etc/nginx/x" failed (2: No such file or directory)'
    assert edge.given_up([line]) == 'open() "/etc/nginx/x" failed (2: No such file or directory)'
    assert edge.given_up(["2026/11/21 07:00:00 [error] 301#301: *1 connect() failed"]) == ""


def test_only_what_was_written_since_counts(tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    assert edge.ErrorLog(path).complaint() == ""
    path.write_text(f"{TAKEN}\n{GIVEN_UP}\n", encoding="utf-8")
    log = edge.ErrorLog(path)
    assert log.complaint() == ""
    with path.open("a", encoding="utf-8") as handle:
        handle.write(f"{TAKEN}\n{GIVEN_UP}\n")
    assert "127.0.0.1:8099" in log.complaint()
    path.write_text("[emerg] 1#1: open() failed\n", encoding="utf-8")  # rotated meanwhile
    assert log.complaint() == "open() failed"


def test_a_host_without_a_site_is_not_asked(tmp_path: Path) -> None:
    hosts = ["api.shop.test", "shop.test"]
    assert edge.with_site(hosts, tmp_path) == hosts
    include = "include /etc/nginx/slipway/stacks/shop/hosts/shop.test[.]conf;\n"
    (tmp_path / "stack-shop.conf").write_text(include, encoding="utf-8")
    assert edge.with_site(hosts, tmp_path) == ["shop.test"]


@pytest.mark.parametrize("visitors", ["", "0 0 192.0.2.1:443 198.51.100.7:50123\n"])
def test_connections_are_closed_before_a_reload_only_if_there_are_any(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, visitors: str
) -> None:
    flag, seen = tmp_path / "closing", list[tuple[str, bool]]()

    def run(argv: Sequence[str], **_settings: Any) -> Result:
        seen.append((" ".join(argv[:3]), flag.exists()))
        return Result(tuple(argv), 0, visitors if argv[0] == "ss" else "", "", 0.0)

    monkeypatch.setattr(nginx, "CLOSING", flag)
    monkeypatch.setattr(edge, "run", run)
    monkeypatch.setattr(edge, "CLOSING_SECONDS", 0)
    monkeypatch.setattr(edge, "CHANGING_SECONDS", 0)
    edge.reload_for_others()
    assert seen == [("nginx -t", False), ("ss -Htn state", False), ("nginx -s reload", bool(visitors))]
    assert not flag.exists()
