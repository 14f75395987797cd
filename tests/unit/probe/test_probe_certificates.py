# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ..certbot.test_lineage import self_signed


@pytest.fixture
def place(tmp_path):
    """Two certificates with nine days left."""
    directory = tmp_path / "certificates"
    for name in ("shop", "tenant-shop-alpha"):
        self_signed(tmp_path / f"{name}.key", tmp_path / f"{name}.pem", f"{name}.test")
        directory.mkdir(exist_ok=True)
        (tmp_path / f"{name}.pem").rename(directory / f"{name}.pem")
    return directory


@pytest.mark.parametrize(
    ("days", "status", "said"),
    [
        ({"warn_days": 5, "fail_days": 2}, "ok", "2, the first ends in 9 days"),
        ({"warn_days": 12, "fail_days": 7}, "warn", " of 2 end within 12 days, the first in 9.0"),
        ({"warn_days": 20, "fail_days": 10}, "fail", "of 2 end within 10 days"),
    ],
)
def test_the_one_that_ends_first_decides(probe, place, days, status, said):
    result = probe(type="certificates", target=str(place), **days)
    assert result.status == status and said in result.message


def test_one_that_is_none_is_named(probe, place):
    (place / "bravo.pem").write_text("")
    result = probe(type="certificates", target=str(place))
    assert result.status == "fail" and "bravo" in result.message


def test_a_host_without_any_is_well(probe, tmp_path):
    assert probe(type="certificates", target=str(tmp_path / "none")).status == "ok"
