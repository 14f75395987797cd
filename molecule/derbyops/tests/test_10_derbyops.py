# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the section of DerbyOps in docs/systems.md says, as the league's people and their visitors see it."""

from __future__ import annotations

import json

from slipway_leagues import TWO, Leagues

SETTINGS = ("DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD", "API_SECRET", "GIN_MODE")


def services(leagues: Leagues, stack: str) -> set[str]:
    return {one["Config"]["Labels"]["com.docker.compose.service"] for one in leagues.server.containers(stack)}


def test_an_api_an_admin_panel_and_a_postgresql_for_each_league(leagues: Leagues) -> None:
    for stack in TWO:
        assert services(leagues, stack) == {"api", "admin", "postgres"}
        assert leagues.server.web.ask(leagues.api(stack), "/ready").json()["checks"]["database"] == "ok"
        panel = leagues.server.web.ask(leagues.host(stack), "/")
        assert panel.status == 200 and panel.headers["content-type"].startswith("text/html")
        assert leagues.psql(stack, "SELECT count(*) FROM public.plans") == "2"


def test_settings_and_secrets_come_from_an_environment_that_only_root_can_read(leagues: Leagues) -> None:
    [first, *_more] = leagues.server.containers("alpha", "api")
    given = dict(entry.split("=", 1) for entry in first["Config"]["Env"])
    assert all(given[name] for name in SETTINGS)
    number = leagues.server.history("alpha")[0]["release"]
    files = leagues.output(f"stat --format '%a %U' /srv/alpha/releases /srv/alpha/releases/{number}/*").splitlines()
    assert set(files) == {"700 root", "600 root"}
    assert given["API_SECRET"] not in leagues.output("ps -eo args")


def test_https_is_enforced(leagues: Leagues) -> None:
    for stack in TWO:
        answer = leagues.server.web.plain(leagues.host(stack), "/scores?week=3")
        assert answer.status == 301
        assert answer.headers["location"] == f"https://{leagues.host(stack)}/scores?week=3"
        secure = leagues.server.web.ask(leagues.host(stack), "/")
        assert "max-age=" in secure.headers["strict-transport-security"]
    assert leagues.vps.service("certbot.timer").is_enabled


def test_a_subdomain_or_a_domain_of_its_own(leagues: Leagues) -> None:
    assert leagues.host("alpha") == "alpha.vps6.wild.test"
    assert not leagues.host("bravo").startswith("bravo.")
    for stack, title in (("alpha", "Alpha City"), ("bravo", "Bravo Bay")):
        assert leagues.server.web.ask(leagues.host(stack), "/version").json()["name"] == title


def test_several_instances_of_the_api_share_the_visitors(leagues: Leagues) -> None:
    for stack in TWO:
        seen = {leagues.server.web.ask(leagues.api(stack), "/version").json()["instance"] for _time in range(20)}
        assert len(seen) == 2


def test_the_backups_of_a_league_are_on_timers_of_its_own(leagues: Leagues) -> None:
    for stack in TWO:
        listed = json.loads(leagues.output(f"slipway backup list {stack} --json"))
        assert listed
        shown = leagues.output(f"systemctl list-timers --all --no-legend --plain 'slipway-*@{stack}.timer'")
        assert f"slipway-backup@{stack}.timer" in shown and f"slipway-drill@{stack}.timer" in shown
