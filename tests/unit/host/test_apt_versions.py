# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A version as a person writes it, and what the repositories have."""

from __future__ import annotations

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.host import apt_versions

# As `apt-cache madison` prints it.
LISTED = """\
 docker-ce | 5:28.1.0-1~debian.12~bookworm | https://download.docker.com/linux/debian bookworm/stable amd64 Packages
 docker-ce | 5:26.1.15-1~debian.12~bookworm | https://download.docker.com/linux/debian bookworm/stable amd64 Packages
 docker-ce | 5:26.1.4-1~debian.12~bookworm | https://download.docker.com/linux/debian bookworm/stable amd64 Packages
docker-ce-cli | 5:28.1.0-1~debian.12~bookworm | https://download.docker.com/linux/debian bookworm/stable amd64 Packages
docker-ce-cli | 5:26.1.4-1~debian.12~bookworm | https://download.docker.com/linux/debian bookworm/stable amd64 Packages
docker-ce-cli | 5:26.1.4-1~debian.12~bookworm | https://mirror.example.org/docker bookworm/stable amd64 Packages
"""
PACKAGES = ["docker-ce", "docker-ce-cli"]


@pytest.fixture
def available() -> dict[str, list[str]]:
    return apt_versions.parse(LISTED, PACKAGES)


def test_a_version_in_two_repositories_is_one(available: dict[str, list[str]]) -> None:
    assert available["docker-ce-cli"] == ["5:28.1.0-1~debian.12~bookworm", "5:26.1.4-1~debian.12~bookworm"]


@pytest.mark.parametrize("wanted", ["26.1.4", "26.1.4-1", "5:26.1.4-1~debian.12~bookworm", "26.1.4-1~debian.12"])
def test_a_release_is_found_in_every_package(available: dict[str, list[str]], wanted: str) -> None:
    chosen = apt_versions.choose(available, wanted, "docker_version")
    assert set(chosen.values()) == {"5:26.1.4-1~debian.12~bookworm"}


def test_of_a_series_it_is_the_newest(available: dict[str, list[str]]) -> None:
    assert apt_versions.choose(available, "26.1", "docker_version")["docker-ce"] == "5:26.1.15-1~debian.12~bookworm"


def test_the_begin_of_a_number_is_no_version(available: dict[str, list[str]]) -> None:
    assert not apt_versions.matches("5:26.1.15-1", "26.1.1")
    assert apt_versions.matches("26.1.5+dfsg1-9+b4", "26.1.5")


def test_what_is_there_is_told_when_nothing_fits(available: dict[str, list[str]]) -> None:
    with pytest.raises(SlipwayError, match=r"docker_version is 99, .* of docker-ce: they have 5:28\.1\.0-1~debian"):
        apt_versions.choose(available, "99", "docker_version")


def test_a_package_that_is_in_no_repository_is_named() -> None:
    with pytest.raises(SlipwayError, match="they do not have this package at all"):
        apt_versions.choose(apt_versions.parse("", ["docker-ce"]), "26", "docker_version")
