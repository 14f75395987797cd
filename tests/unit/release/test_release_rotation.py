# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.release import rotation
from ansible_collections.slipway.vps.plugins.module_utils.release.rotation import Database

GIVEN = {"service": "postgres", "name": "shop", "user": "shop", "password": "new"}


def test_the_database_is_found_by_the_value_of_its_password():
    found = rotation.database_of(GIVEN, {"DB": "new", "OTHER": "x"}, {"DB"})
    assert found == Database("postgres", "shop", "shop", "DB")


def test_a_password_that_does_not_change_touches_no_database():
    assert rotation.database_of(GIVEN, {"DB": "new", "OTHER": "x"}, {"OTHER"}) is None
    assert rotation.database_of({}, {"DB": "new"}, {"DB"}) is None


def test_the_password_of_a_server_elsewhere_is_refused():
    given = {"host": "db.example.org", "name": "shop", "user": "shop", "password": "new"}
    with pytest.raises(SlipwayError, match=r"outside of this stack \(db\.example\.org\)"):
        rotation.database_of(given, {"DB": "new"}, {"DB"})


def test_a_secret_in_a_data_service_is_refused_and_the_service_is_named(model, changed):
    after = changed("redis", command=["redis-server", "--requirepass", "new"])
    rotation.refuse_data_services(model, model, ("postgres", "redis"))
    rotation.refuse_data_services(model, after, ("postgres",))
    with pytest.raises(SlipwayError, match="definition of the data service redis"):
        rotation.refuse_data_services(model, after, ("postgres", "redis"))


def test_only_whole_values_are_swapped():
    asked = {"secrets": {"DB": "old"}, "tenants": {"login_password": "old", "list": ["old", "older"]}, "n": 3}
    assert rotation.swapped(asked, "old", "new") == {
        "secrets": {"DB": "new"},
        "tenants": {"login_password": "new", "list": ["new", "older"]},
        "n": 3,
    }


def test_files_of_backups_and_tenants_get_the_password_that_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(rotation, "CONFIGURATION", tmp_path)
    for place, text in (("backup", '{"login_password": "old\\"er"}\n'), ("probes", '["x"]\n')):
        (tmp_path / place).mkdir()
        (tmp_path / place / "shop.json").write_text(text)
    rotation._tell_holders("shop", 'old"er', "new")
    assert (tmp_path / "backup" / "shop.json").read_text() == '{"login_password": "new"}\n'
    assert (tmp_path / "backup" / "shop.json").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "probes" / "shop.json").read_text() == '["x"]\n'
