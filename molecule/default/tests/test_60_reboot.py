# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server that restarts serves the same release again, without a person."""

from __future__ import annotations

import subprocess
import time
from typing import Any

from slipway_lab import connect


def test_the_same_release_serves_after_a_reboot(web: Any) -> None:
    before = web.ask("api.shop.test", "/version").json()
    products = web.products("alpha.shop.test")
    # PID 1 stops everything and starts it again; /run is emptied.
    subprocess.run(["docker", "restart", "slipway-lab-shop1"], check=True, capture_output=True)
    deadline = time.monotonic() + 120
    while True:
        try:
            if web.ask("api.shop.test", "/ready").status == 200:
                break
        except OSError:
            pass
        assert time.monotonic() < deadline, "The service did not come back within two minutes."
        time.sleep(1)
    assert web.ask("api.shop.test", "/version").json() == before
    assert web.products("alpha.shop.test") == products
    host = connect("shop1")
    assert host.check_output("systemctl list-units --failed --plain --no-legend") == ""
    assert "Status: active" in host.check_output("ufw status")
    assert host.service("fail2ban").is_running
