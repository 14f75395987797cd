# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ten managed things are damaged by hand; one run of site.yml reports and repairs exactly those."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest
from slipway_lab import Play

TIMERS = "systemctl list-unit-files --no-legend --plain 'slipway-backup*.timer'"


def psql(statement: str) -> str:
    call = "docker exec shop-data-postgres-1 psql --username shop --dbname shop --no-align --tuples-only"
    return f'{call} --command "{statement}"'


@dataclass(frozen=True)
class Damage:
    """Something that an administrator did by hand: how, what tells it apart, and the task that has to notice."""

    name: str
    command: str
    sight: str
    task: str


DAMAGES = [
    Damage(
        "mode of a file",
        "chmod 0666 /etc/nginx/nginx.conf",
        "stat --format %a /etc/nginx/nginx.conf",
        r"nginx : .*base configuration",
    ),
    Damage(
        "kernel setting",
        "sed -i '/^net.ipv4.conf.all.send_redirects/d' /etc/sysctl.d/60-slipway.conf",
        "sha256sum /etc/sysctl.d/60-slipway.conf",
        r"hardening : .*control groups",
    ),
    Damage(
        "firewall rule",
        "ufw delete allow 443/tcp",
        "ufw show added | sort",
        r"hardening : .*(firewall|way back|Close|Keep the change)",
    ),
    Damage(
        "grant in the database",
        psql("REVOKE USAGE ON SCHEMA tenant_bravo FROM shop; GRANT USAGE ON SCHEMA tenant_bravo TO PUBLIC"),
        psql("SELECT item FROM pg_namespace, unnest(nspacl) item WHERE nspname = 'tenant_bravo' ORDER BY item::text"),
        r"tenants : |stack : .*[Rr]elease",
    ),
    Damage(
        "timer of the backup",
        f"systemctl disable --now $({TIMERS} | head -1 | cut -d' ' -f1)",
        f"{TIMERS}; systemctl is-active 'slipway-backup*.timer'",
        r"backup : ",
    ),
    Damage(
        "virtual host",
        "sed -i 's/listen 443 ssl/listen 8443 ssl/' /etc/nginx/slipway/sites/tenants-shop.conf",
        "cat /etc/nginx/slipway/sites/*.conf | sha256sum",
        r"nginx : .*sites",
    ),
    Damage(
        "renewal of certificates",
        "systemctl disable --now certbot.timer",
        "systemctl is-enabled certbot.timer; systemctl is-active certbot.timer",
        r"letsencrypt : .*renewal",
    ),
    Damage(
        "journal's limits",
        "sed -i 's/^SystemMaxUse=.*/SystemMaxUse=1K/' /etc/systemd/journald.conf",
        "cat /etc/systemd/journald.conf",
        r"hardening : .*control groups",
    ),
    Damage(
        "service that bans addresses",
        "systemctl disable --now fail2ban",
        "systemctl is-enabled fail2ban; systemctl is-active fail2ban",
        r"hardening : Ban addresses",
    ),
    Damage(
        "file of the agent",
        "printf '\\n# by hand\\n' >> /usr/lib/slipway/slipway/common/version.py",
        "sha256sum /usr/lib/slipway/slipway/common/version.py",
        r"agent : .*agent itself",
    ),
]


def seen(vps: Any) -> dict[str, str]:
    return {damage.name: str(vps.run(damage.sight).stdout) for damage in DAMAGES}


@pytest.fixture(scope="module")
def healthy(vps: Any) -> dict[str, str]:
    """As site.yml has just left it."""
    return seen(vps)


@pytest.fixture(scope="module")
def repair(vps: Any, playbook: Any, healthy: dict[str, str]) -> Play:
    for damage in DAMAGES:
        vps.check_output(damage.command)
    damaged = seen(vps)
    assert [name for name, sight in damaged.items() if sight == healthy[name]] == [], "A damage that changed nothing"
    play: Play = playbook("site")
    return play


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name.replace(" ", "_"))
def test_it_is_reported_and_repaired(vps: Any, healthy: dict[str, str], repair: Play, damage: Damage) -> None:
    reported = [task for task in repair.changed_tasks() if re.search(damage.task, task)]
    assert reported, repair.changed_tasks()
    assert vps.run(damage.sight).stdout == healthy[damage.name]


def test_nothing_else_was_touched(repair: Play) -> None:
    expected = "|".join(damage.task for damage in DAMAGES)
    assert [task for task in repair.changed_tasks() if not re.search(expected, task)] == []


@pytest.mark.long
def test_then_there_is_nothing_left_to_do(repair: Play, playbook: Any) -> None:
    assert repair.changed["shop1"] > 0
    play = playbook("site")
    assert play.changed == {"shop1": 0}, play.changed_tasks()


def test_the_service_answers_as_before(web: Any) -> None:
    assert web.ask("api.shop.test", "/ready").status == 200
