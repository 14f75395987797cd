# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A prepared Debian 12 host."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
from slipway_lab import ADDRESSES, Web, connect


@pytest.fixture(scope="module")
def host() -> Any:
    return connect("bookworm1")


@pytest.fixture(scope="module")
def site() -> Web:
    return Web(ADDRESSES["bookworm1"])


def test_it_is_debian_12(host: Any) -> None:
    assert host.system_info.distribution == "debian"
    assert host.system_info.release.startswith("12")


@pytest.mark.parametrize("unit", ["docker", "nginx", "ssh", "fail2ban"])
def test_services_run_and_start_at_boot(host: Any, unit: str) -> None:
    service = host.service(unit)
    assert service.is_running
    assert service.is_enabled


def test_compose_is_version_two(host: Any) -> None:
    assert host.check_output("docker compose version --short").lstrip("v").startswith("2.")


def test_the_agent_runs_on_python_3_11(host: Any) -> None:
    assert host.run("slipway --version").rc == 0


@pytest.mark.parametrize("name", ["bookworm.test", "www.bookworm.test"])
def test_certificate(site: Web, name: str) -> None:
    names = [value for kind, value in site.certificate(name)["subjectAltName"] if kind == "DNS"]
    assert name in names


def test_http_redirects(site: Web) -> None:
    assert site.plain("www.bookworm.test", "/x").headers["location"] == "https://www.bookworm.test/x"


def test_unknown_host_gets_nothing(site: Web) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        site.ask("stranger.test")


def test_passwords_open_nothing(host: Any) -> None:
    assert "passwordauthentication no" in host.check_output("sshd -T").lower().splitlines()


def test_the_registry_login_is_for_root_only(host: Any) -> None:
    login = host.file("/root/.docker/config.json")
    assert login.mode == 0o600
    assert "registry.lab.test:5000" in login.content_string
