# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One wildcard certificate for all subdomains, proved to a real name server; 500 more tenants ask for nothing."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from slipway_lab import LAB, ROOT, Play

pytestmark = pytest.mark.long

ZONE = "shop1.wild.test"
DEMO = yaml.safe_load((ROOT / "inventories/demo/group_vars/vps/tenants.yml").read_text(encoding="utf-8"))[
    "tenants_list"
]
MANY = [{"slug": f"many{number}"} for number in range(500)]
GONE = [{**tenant, "state": "absent", "force": True, "export": False} for tenant in MANY]
CREDENTIALS = "/etc/letsencrypt/slipway-dns-credentials"
LIVE = "/etc/letsencrypt/live"


@pytest.fixture(scope="module")
def secret() -> str:
    return (LAB / "zone_secret").read_text(encoding="ascii")


@pytest.fixture(scope="module")
def converge(playbook: Any, secret: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Play]]:
    """Runs the role with a zone that the lab's name server has; at the end the demo is as it was."""
    path: Path = tmp_path_factory.mktemp("variables") / "variables.json"
    dns = {
        "tenants_domain": ZONE,
        "tenants_wildcard": True,
        "letsencrypt_dns_plugin": "rfc2136",
        "letsencrypt_dns_propagation": 1,
        "letsencrypt_dns_credentials": (
            "dns_rfc2136_server = 10.77.0.8\ndns_rfc2136_name = slipway\ndns_rfc2136_algorithm = HMAC-SHA256\n"
            f"dns_rfc2136_secret = {secret}\n"
        ),
    }

    def run(tenants: list[dict[str, Any]], *arguments: str, **variables: Any) -> Play:
        path.write_text(json.dumps({"tenants_list": tenants, **variables}), encoding="utf-8")
        path.chmod(0o600)
        play: Play = playbook("molecule/drift/tenants.yml", "--extra-vars", f"@{path}", *arguments)
        return play

    yield lambda tenants, *arguments: run(tenants, *arguments, **dns)
    run([*DEMO, *GONE])


@pytest.fixture(scope="module")
def first(converge: Callable[..., Play]) -> Play:
    return converge(DEMO, "-vvv", "--diff")


def names(web: Any, host: str) -> list[str]:
    return [value for kind, value in web.certificate(host)["subjectAltName"] if kind == "DNS"]


def serial(vps: Any) -> str:
    return str(vps.check_output(f"openssl x509 -noout -serial -in {LIVE}/wildcard-shop/cert.pem"))


def tasks(play: Play) -> list[str]:
    return re.findall(r"^TASK \[(.*?)\]", play.output, re.MULTILINE)


def test_all_subdomains_share_it_and_a_custom_domain_has_its_own(web: Any, first: Play) -> None:
    assert names(web, f"alpha.{ZONE}") == names(web, f"bravo.{ZONE}") == [f"*.{ZONE}"]
    assert names(web, "bravo-books.test") == ["bravo-books.test"]


def test_single_certificates_that_nobody_needs_any_more_are_gone(vps: Any, first: Play) -> None:
    # A tenant of another scenario, which nobody lists, keeps its own.
    kept = vps.check_output(f"ls {LIVE}").split()
    assert {f"tenant-shop-{tenant['slug']}" for tenant in DEMO}.isdisjoint(kept)


def test_the_key_to_the_zone_is_roots_alone_and_shown_nowhere(vps: Any, first: Play, secret: str) -> None:
    assert vps.check_output(f"stat --format '%a %U' {CREDENTIALS}") == "600 root"
    assert secret in vps.check_output(f"cat {CREDENTIALS}")
    assert secret not in first.output
    # what certbot itself noted is root's too
    assert vps.run("grep --recursive --files-with-matches -- %s /var/log/letsencrypt", secret).stdout == ""


def test_it_is_renewed_as_it_was_obtained(vps: Any, first: Play) -> None:
    before = serial(vps)
    environment = "REQUESTS_CA_BUNDLE=/etc/letsencrypt/slipway-acme-ca.pem"
    vps.check_output(
        f"{environment} certbot renew --quiet --force-renewal --no-random-sleep-on-renew --cert-name wildcard-shop"
    )
    assert serial(vps) != before


@pytest.mark.long
def test_five_hundred_more_are_the_same_tasks_one_reload_and_no_certificate(
    vps: Any, web: Any, first: Play, converge: Callable[..., Play]
) -> None:
    again = converge(DEMO)
    assert again.changed == {"shop1": 0}, again.changed_tasks()
    before, started = serial(vps), int(time.time())
    play = converge([*DEMO, *MANY])
    assert tasks(play) == tasks(again)
    reloads = vps.check_output(f"journalctl --unit nginx.service --since @{started} --output cat").count(
        "Reloaded nginx"
    )
    assert reloads == 1
    assert serial(vps) == before
    assert names(web, f"many499.{ZONE}") == [f"*.{ZONE}"]
    # and they load fast
    started_test = time.monotonic()
    vps.check_output("nginx -t -q")
    assert time.monotonic() - started_test < 2
