# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts that only compute: commands, configuration, manifest, roles, names."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.backup import (
    database,
    filters,
    manifest,
    parameters,
    restore,
    roles,
    spec,
)
from ansible_collections.slipway.vps.plugins.module_utils.backup.manifest import Dumped, Manifest, StoredObject
from ansible_collections.slipway.vps.plugins.module_utils.backup.snapshot import (
    Facts,
    locks_needed,
    refuse_without_locks,
)
from ansible_collections.slipway.vps.plugins.module_utils.backup.source import (
    Client,
    Selection,
    client_for,
    first_version,
)
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.postgres.options import PostgresOptions

INSIDE = PostgresOptions(container="shop-data-postgres-1", user="shop", password="geheim", database="shop")
OUTSIDE = PostgresOptions(
    host="db.example.org", user="shop", password="geheim", database="shop", ssl_mode="verify-full"
)
S3 = {"bucket": "backups", "endpoint": "https://s3.example.org", "access_key": "a", "secret_key": "b"}
CONFIG = {"stack": "shop", "database": {"login_db": "shop"}, "s3": S3}


def test_a_dump_inside_the_container_has_no_secret_and_no_name_in_its_words():
    command = Client(INSIDE).dump("00000003-0000001B-1", 170012)
    assert command.argv[:3] == ("docker", "exec", "-i")
    assert "shop-data-postgres-1" in command.argv and "--snapshot=00000003-0000001B-1" in command.argv
    assert "--compress=0" in command.argv
    assert "geheim" not in " ".join(command.argv)
    assert command.env["PGPASSWORD"] == "geheim"
    assert command.env["PGOPTIONS"] == "-c enable_mergejoin=off -c work_mem=64MB -c jit=off"
    # docker takes a variable's value from its own environment when only the name is given.
    assert command.argv[command.argv.index("PGPASSWORD") - 1] == "-e"
    assert "PGHOST" not in command.env
    assert command.program == "pg_dump"


def test_a_local_client_is_told_the_server_by_its_environment():
    command = Client(OUTSIDE, directory="/usr/lib/postgresql/17/bin").dump("x", 100023)
    assert command.argv[0] == "/usr/lib/postgresql/17/bin/pg_dump"
    assert (command.env["PGHOST"], command.env["PGSSLMODE"]) == ("db.example.org", "verify-full")
    # A server before 11 refuses what it does not know.
    assert "jit" not in command.env["PGOPTIONS"]


def test_password_hashes_are_dumped_only_into_an_encrypted_backup():
    assert "--no-role-passwords" in Client(INSIDE).globals(passwords=False).argv
    assert "--no-role-passwords" not in Client(INSIDE).globals(passwords=True).argv


def test_chosen_names_are_taken_literally():
    chosen = Selection(schemas=("tenant_*",), tables=('public.Odd"Name',))
    assert chosen.arguments() == [['--schema="tenant_*"'], ['--table="public"."Odd""Name"']]
    assert chosen.describe() == 'schema tenant_*, table public.Odd"Name'


@pytest.mark.parametrize("table", ["orders", "a.b.c", ".x", "x."])
def test_a_table_needs_its_schema(table):
    with pytest.raises(SlipwayError, match=r"Write it like public\.orders"):
        restore.Request.from_dict({"tables": [table]})


def test_an_external_server_newer_than_every_client_is_refused():
    with pytest.raises(SlipwayError, match="PostgreSQL 99"):
        client_for(OUTSIDE, 990001, "", "test")


def test_versions_are_read_from_what_programs_print():
    assert first_version("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)") == "15.18"
    with pytest.raises(SlipwayError):
        first_version("nothing")


def test_a_configuration_has_defaults():
    read = spec.from_dict(CONFIG)
    assert (read.keep_s3.days, read.keep_local.days, read.level) == (30, 7, 3)
    assert read.destinations() == ["s3://backups/slipway at https://s3.example.org"]
    assert "secret_key" not in repr(read)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"stack": "../etc"}, "stack name"),
        ({"stack": "a/b"}, "stack name"),
        ({"s3": None}, "has no destination"),
        ({"database": {"login_db": "host=evil"}}, "cannot be backed up"),
        ({"database": {"login_db": "-x"}}, "cannot be backed up"),
        ({"compression": {"level": 99}}, "not between 1 and 19"),
        ({"part_bytes": 1000}, "An S3 part has at least"),
        ({"object_bytes": 10**12}, "at most 100 GB"),
        ({"encryption": {"recipients": ["--output=/etc/passwd"]}}, "not an age public key"),
        ({"version": 9}, "has version 9"),
        ({"s3": {**S3, "bucket": "Not/One"}}, "bucket name"),
        ({"s3": {**S3, "endpoint": "s3.example.org"}}, "is not an address"),
        ({"s3": {**S3, "secret_key": ""}}, "only one is set"),
        ({"s3": {**S3, "prefix": "/x/"}}, "prefix"),
        ({"s3": {**S3, "colour": "red"}}, "unknown names: colour"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused_in_a_sentence(change, sentence):
    with pytest.raises(SlipwayError, match=sentence):
        spec.from_dict({**CONFIG, **change})


def test_an_installed_configuration_is_found_or_named(tmp_path, monkeypatch):
    monkeypatch.setattr(spec, "CONFIG_DIRECTORY", tmp_path)
    (tmp_path / "shop.json").write_text(json.dumps(CONFIG))
    (tmp_path / "bad.json").write_text("{")
    assert spec.load("shop").stack == "shop"
    with pytest.raises(SlipwayError, match="there are: bad, shop"):
        spec.load("other")
    with pytest.raises(SlipwayError, match="is damaged"):
        spec.load("bad")


def test_a_module_without_a_destination_means_the_installed_configuration():
    assert parameters.request({"stack": "shop"}) == {"stack": "shop"}
    asked = parameters.request({"stack": "shop", "s3_bucket": "backups", "login_db": "shop", "lock_wait": 1.0})
    assert parameters.specification(asked).s3.bucket == "backups"


def a_manifest(**more):
    facts = {
        "id": "20261121T041135Z-abcdef",
        "stack": "shop",
        "database": "shop",
        "snapshot_time": "2026-11-21T04:11:35Z",
        "finished": "2026-11-21T04:12:00Z",
        "seconds": 25.0,
        "server_version": "15.18",
        "client_version": "15.18",
        "wal_lsn": "0/1",
        "database_bytes": 10,
        "dump_bytes": 5,
        "stored_bytes": 3,
        "objects": [StoredObject("database.dump.zst", "database", 3, "s"), StoredObject("g", "globals", 1, "g")],
        "contents": {"database": Dumped(5, "d"), "globals": Dumped(1, "g")},
        "compression": "zstd -3",
        "encryption": "none",
    }
    return Manifest(**{**facts, **more})


def test_a_manifest_survives_its_own_text():
    made = a_manifest(tables={"public.orders": 4})
    assert manifest.parse(made.to_bytes(), "here") == made
    assert made.total_bytes() == 4
    assert [one.name for one in made.of_content("globals")] == ["g"]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is damaged"),
        (b"[]", "is damaged"),
        (b'{"format": "other"}', "is damaged"),
        (a_manifest(version=2).to_bytes(), "has version 2, this agent reads up to 1"),
    ],
)
def test_a_manifest_that_is_none_is_named(data, sentence):
    with pytest.raises(SlipwayError, match=sentence):
        manifest.parse(data, "here")


def test_ids_sort_by_time_and_are_recognised():
    early = manifest.new_id(datetime(2026, 1, 2, tzinfo=timezone.utc))
    late = manifest.new_id(datetime(2026, 11, 2, tzinfo=timezone.utc))
    assert early < late and manifest.is_id(early)
    assert not manifest.is_id("../../etc") and not manifest.is_id("20261121T041135Z-abcdef/x")


GLOBALS = """
CREATE ROLE shop;
ALTER ROLE shop WITH NOSUPERUSER LOGIN;
CREATE ROLE "Odd ""Name";
ALTER ROLE "Odd ""Name" WITH NOLOGIN;
CREATE ROLE other;
GRANT shop TO other GRANTED BY postgres;
GRANT app TO postgres;
DROP DATABASE shop;
"""


def test_only_the_statements_of_missing_roles_are_taken():
    assert roles.statements_for(GLOBALS, ["shop"]).splitlines() == [
        "CREATE ROLE shop;",
        "ALTER ROLE shop WITH NOSUPERUSER LOGIN;",
        "GRANT shop TO other GRANTED BY postgres;",
    ]
    assert len(roles.statements_for(GLOBALS, ['Odd "Name']).splitlines()) == 2
    assert roles.statements_for(GLOBALS, []) == ""


def test_names_beside_fit_postgresql():
    name = database.name_beside("x" * 63, "before", "20261121T041135Z-abcdef")
    assert len(name) == 63 and name.endswith("_before_20261121t041135z_abcdef")
    umlauts = database.name_beside("ü" * 31, "before", "20261121T041135Z-abcdef")
    assert len(umlauts.encode()) <= 63


def test_differences_are_told_by_table():
    assert restore.differences({"a.b": 1, "a.c": 2}, {"a.b": 1, "a.c": 2}) == []
    found = restore.differences({"a.b": 1, "a.c": 2}, {"a.b": 3, "a.d": 1})
    assert found[0] == "a.b has 3 instead of 1" and len(found) == 3


def facts(tables, locks, transactions):
    return Facts(
        150018, "15.18", "x", "0/1", "", 0, locks, transactions, [("s", str(n)) for n in range(tables)], {}, [], {}
    )


def test_the_lock_budget_is_computed_with_the_number_to_set():
    refuse_without_locks(facts(6400, 64, 100))
    with pytest.raises(SlipwayError, match="max_locks_per_transaction to at least 256"):
        refuse_without_locks(facts(20_000, 64, 100))
    assert locks_needed(facts(20_000, 64, 100)) * 100 >= 20_000


def test_filters_are_undone_in_the_other_order(tmp_path):
    key = tmp_path / "key"
    key.write_text("x")
    chain = [filters.Zstd(), filters.Age(("age1x",), str(key))]
    assert filters.suffix(chain) == ".zst.age"
    assert [command.argv[0] for command in filters.forth(chain)] == ["zstd", "age"]
    assert [command.argv[0] for command in filters.back(chain)] == ["age", "zstd"]


@pytest.mark.parametrize(
    "bad", [{"target": "sideways"}, {"target": "in_place", "database": "x"}, {"database": "dbname=x"}]
)
def test_a_restore_that_makes_no_sense_is_refused(bad):
    with pytest.raises(SlipwayError):
        restore.Request.from_dict(bad)


def test_the_maintenance_flag_of_somebody_else_stays(tmp_path):
    flag = tmp_path / "maintenance"
    with restore.maintenance(str(flag)):
        assert flag.exists()
    assert not flag.exists()
    flag.touch()
    with restore.maintenance(str(flag)):
        pass
    assert flag.exists()
