# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.common.process import CommandError, Result
from ansible_collections.slipway.vps.plugins.module_utils.host import packages


def test_what_is_not_fully_installed_is_missing() -> None:
    listing = "nginx ii \nlibc6:amd64 ii \nufw rc \nfail2ban iU \n"
    assert packages.not_installed(["ufw", "nginx", "libc6", "fail2ban", "gone", "ufw"], listing) == [
        "ufw",
        "fail2ban",
        "gone",
    ]


def test_dpkg_is_asked_on_this_machine() -> None:
    assert packages.missing(["dpkg", "no-such-package-anywhere"]) == ["no-such-package-anywhere"]
    assert packages.missing([]) == []


@pytest.mark.parametrize("name", ["--purge", "nginx=1", "a b", "nginx;reboot"])
def test_only_names_of_packages_get_through(name: str) -> None:
    with pytest.raises(SlipwayError, match="is not the name of a Debian package"):
        packages.missing([name])


def test_the_age_of_the_lists_is_that_of_the_newest(tmp_path: Path) -> None:
    assert packages._fetched(str(tmp_path)) == 0.0
    release = tmp_path / "deb.debian.org_debian_dists_trixie_InRelease"
    release.touch()
    then = time.time() - 500
    os.utime(release, (then, then))
    assert packages._fetched(str(tmp_path)) == pytest.approx(then, abs=1)


def test_the_reason_is_apts_own_and_without_its_noise() -> None:
    stderr = "W: noise\nE: Unable to locate package nonsense\n"
    error = CommandError("x", result=Result(("apt-get",), 100, "", stderr, 1.0))
    told = packages._told(["nonsense"], error)
    assert str(told).startswith("The packages nonsense could not be installed: Unable to locate package nonsense")
    assert error.result is not None
    assert packages._is_stale(error.result)
