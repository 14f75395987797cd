# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stack is taken away: first what can be made again, and the data only when its name confirms it."""

from __future__ import annotations

import json
from typing import Any


def of_the_stack(server: Any) -> dict[str, list[str]]:
    """What this host has of the stack, asked of those who know."""
    run = server.vps.run
    return {
        "containers": run("docker ps --all --filter name=^shop- --format {{.Names}}").stdout.split(),
        "networks": run("docker network ls --filter name=^shop- --format {{.Name}}").stdout.split(),
        "volumes": run("docker volume ls --filter name=^shop_ --format {{.Name}}").stdout.split(),
        "units": run("systemctl list-units --all --plain --no-legend '*@shop.*'").stdout.split(),
        "files": run(
            "find /etc/nginx /etc/slipway /etc/sudoers.d /etc/systemd/system -name '*shop*' ! -name '*.pem'"
        ).stdout.split(),
        "keys": run("grep --count 'slipway ci shop' /var/lib/slipway/deploy/.ssh/authorized_keys").stdout.split(),
    }


def test_a_dry_run_tells_what_would_go_and_takes_nothing(server: Any, objects: Any) -> None:
    before = of_the_stack(server)
    assert before["keys"] == ["1"]
    play = server.playbook("remove", "--check", "-e", "remove_data=shop")
    assert of_the_stack(server) == before
    for name in [
        *before["containers"],
        *before["networks"],
        *before["volumes"],
        "/srv/shop",
        "slipway-backup@shop.timer",
    ]:
        if not name.startswith("shop-keep-"):
            assert name in play.output, name


def test_a_name_that_is_not_the_stacks_confirms_nothing(server: Any) -> None:
    before = of_the_stack(server)
    play = server.play("remove", "-e", "remove_data=true")
    assert play.code != 0
    assert "To delete its data for good say remove_data=shop" in play.output
    assert of_the_stack(server) == before


def test_without_its_data_the_stack_is_gone_and_the_data_are_there(server: Any) -> None:
    volumes = of_the_stack(server)["volumes"]
    assert len(volumes) == 3
    server.playbook("remove")
    left = of_the_stack(server)
    assert left == {"containers": [], "networks": [], "volumes": volumes, "units": [], "files": [], "keys": ["0"]}
    assert server.vps.file("/srv/shop/releases.jsonl").exists
    assert server.vps.file("/etc/nginx/slipway/certificates/shop.pem").exists
    assert "shop: no release serves" in server.vps.run("slipway status").stdout
    assert server.vps.run("systemctl is-active nginx").stdout.strip() == "active"
    again = server.playbook("remove")
    assert again.changed == {server.name: 0}, again.changed_tasks()


def test_with_its_data_nothing_is_left_but_the_backups_elsewhere(server: Any, objects: Any) -> None:
    stored = [key for key in objects() if key.startswith(f"{server.name}/")]
    assert stored
    server.playbook("remove", *("--extra-vars", json.dumps({"remove_data": "shop", "remove_certificates": True})))
    left = of_the_stack(server)
    assert left["volumes"] == []
    assert server.vps.check_output("find /etc/nginx /etc/letsencrypt -name '*shop*'") == ""
    for path in ("/srv/shop", "/var/backups/slipway/shop", "/etc/letsencrypt/renewal/shop.conf"):
        assert not server.vps.file(path).exists
    assert [key for key in objects() if key.startswith(f"{server.name}/")] == stored
    again = server.playbook("remove", "-e", "remove_data=shop")
    assert again.changed == {server.name: 0}, again.changed_tasks()
