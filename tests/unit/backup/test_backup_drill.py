# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The proof by restore, in throw-away servers: what is good is called so, what is not never is."""

from __future__ import annotations

import json
import subprocess
import uuid
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.agent import cli
from ansible_collections.slipway.vps.plugins.module_utils.backup import (
    catalog,
    drill,
    drill_result,
    drill_server,
    engine,
    manifest,
    record,
    restore,
    spec,
)
from ansible_collections.slipway.vps.plugins.module_utils.backup.drill_options import DrillOptions, Query
from ansible_collections.slipway.vps.plugins.module_utils.backup.store import stores
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter
from ansible_collections.slipway.vps.plugins.module_utils.common.files import read_json, write_json

from .conftest import BUCKET, ROWS
from .wal_server import docker, images

LOOK = {
    "orders are there": ("SELECT count(*) > 3000 FROM orders", True),
    "highest price": ('SELECT max(price) FROM tenant_alpha."Odd Name"', 10),
}


@pytest.fixture(autouse=True)
def places(state_directory, monkeypatch):
    run = Path("/run") / f"slipway-test-{uuid.uuid4().hex[:6]}"
    monkeypatch.setattr(drill, "STATE_DIRECTORY", state_directory)
    monkeypatch.setattr(drill, "DIRECTORY", state_directory.parent / "drill")
    monkeypatch.setattr(drill_server, "RUN_DIRECTORY", run)
    yield run
    assert not list(run.glob("*")), "a drill left its socket"
    run.rmdir() if run.exists() else None


@pytest.fixture
def drilled(shop):
    """The shop, on a server of a major version that there is an image of."""
    image = images().get(int(shop.query("SHOW server_version_num")[0][0]) // 10000)
    if image is None:
        pytest.skip("no image of this server's major version is on this machine (make lab)")
    shop.spec = shop.but(drill=asked(image, LOOK))
    yield shop
    assert leftovers(shop.spec) == ""


def asked(image, queries, **more):
    return DrillOptions(image=image, queries=tuple(Query(name, *rest) for name, rest in queries.items()), **more)


def leftovers(wanted):
    return docker("ps", "--all", "--quiet", "--filter", f"label={drill_server.LABEL}={wanted.stack}/{wanted.kind}")


def back_up(wanted):
    return engine.run(wanted, Emitter.null())["backup"]


def run(wanted, identity="latest"):
    return drill.run(wanted, identity, Emitter.null())["drill"]


def entry(wanted):
    return catalog.entries(stores(wanted))[-1].as_dict(manifest.parse_moment("2026-01-01T00:00:00Z"))


def note(wanted):
    return read_json(wanted.state_directory / drill_result.NOTE)


def documents(shop, s3):
    keys = [key for key in s3.keys(shop.prefix) if "/drill-" in key]
    return [json.loads(s3.client().get_object(Bucket=BUCKET, Key=key)["Body"].read()) for key in sorted(keys)]


def test_a_good_drill_is_recorded_beside_the_backup_and_on_the_host(drilled, s3):
    made = back_up(drilled.spec)
    assert entry(drilled.spec)["restored"] is None
    found = run(drilled.spec)
    assert (found["result"], found["backup"], found["rows"]) == ("good", made["id"], ROWS + 10)
    assert found["compared"] == ["rows", "extensions", "schema"]
    assert [one["result"] for one in found["queries"]] == ["good", "good"]
    assert 0 < found["restore_seconds"] < found["seconds"]
    assert found["server_version"].split(".")[0] == made["server_version"].split(".")[0]
    assert documents(drilled, s3) == [found]
    listed = entry(drilled.spec)
    assert listed["restored"] == found["time"] and listed["drill"]["seconds"] == found["seconds"]
    assert note(drilled.spec) == {"last": found, "good": found}
    # A second one is a document of its own.
    again = run(drilled.spec)
    assert [one["id"] for one in documents(drilled, s3)] == [found["id"], again["id"]]


@pytest.mark.long
def test_everything_that_a_database_may_have_comes_back_equal(drilled):
    """Also what a digest of the server's own words would call different."""
    role = f"drill_{drilled.name}"
    drilled.query(f"CREATE ROLE {role} NOLOGIN")
    for statement in (
        "CREATE TYPE mood AS ENUM ('good', 'bad')",
        "CREATE DOMAIN positive AS int CHECK (VALUE > 0)",
        "CREATE TABLE odd (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, gone int, s varchar(9) "
        "CHECK (s IN ('a', 'b')), m mood, p positive, twice int GENERATED ALWAYS AS (id * 2) STORED, j jsonb)",
        "ALTER TABLE odd DROP COLUMN gone",
        "ALTER TABLE odd ADD CONSTRAINT later CHECK (id > 0) NOT VALID",
        "INSERT INTO odd (s, m, p) VALUES ('a', 'good', 1), ('b', 'bad', 2)",
        "CREATE UNIQUE INDEX odd_some ON odd (lower(s), id) INCLUDE (m) WHERE id > 1",
        "CREATE VIEW seen AS SELECT * FROM odd WHERE s IN ('a', 'b')",
        "CREATE MATERIALIZED VIEW counted AS SELECT s, count(*) FROM odd GROUP BY s",
        "CREATE TABLE parted (at date, note text) PARTITION BY RANGE (at)",
        "CREATE TABLE parted_one PARTITION OF parted FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
        "CREATE INDEX ON parted (at)",
        "CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE TRIGGER touch BEFORE UPDATE ON odd FOR EACH ROW EXECUTE FUNCTION touched()",
        "CREATE TRIGGER touch AFTER INSERT ON parted FOR EACH ROW EXECUTE FUNCTION touched()",
        "ALTER TABLE odd ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY mine ON odd FOR SELECT TO {role} USING (s = 'a')",
        f"GRANT SELECT, INSERT ON odd TO {role}; GRANT USAGE ON SEQUENCE odd_id_seq TO {role}",
        f"ALTER TABLE parted OWNER TO {role}",
        "CREATE EXTENSION pg_trgm",
        "CREATE INDEX ON odd USING gin (s gin_trgm_ops)",
        "SELECT lo_from_bytea(0, 'large')",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
        "CREATE TABLE for_all ()",
    ):
        drilled.query(statement)
    try:
        back_up(drilled.spec)
        assert run(drilled.spec)["result"] == "good"
    finally:
        drilled.query(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_what_does_not_equal_its_manifest_is_no_restored_backup(drilled, s3):
    """The manifest says something else than the dump holds, as after a dump that lost something."""
    made = back_up(drilled.spec)
    made["tables"]["public.orders"] = 3
    made["details"]["schema"]["triggers"] = "0"
    made["extensions"]["hstore"] = "1.8"
    key = f"{drilled.prefix}{made['id']}/manifest.json"
    s3.client().put_object(Bucket=BUCKET, Key=key, Body=json.dumps(made).encode())
    said = (
        "public.orders has 4000 instead of 3; extension hstore is missing instead of 1.8; "
        "the triggers are not those of the manifest"
    )
    with pytest.raises(SlipwayError, match=said):
        run(drilled.spec)
    [document] = documents(drilled, s3)
    assert document["result"] == "failed" and said in document["reason"]
    listed = entry(drilled.spec)
    assert listed["restored"] is None and listed["drill"]["result"] == "failed"
    assert note(drilled.spec)["good"] is None and said in note(drilled.spec)["last"]["reason"]


def test_check_queries_are_all_told_and_may_not_write_or_take_long(drilled):
    back_up(drilled.spec)
    queries = {
        "wrong": ("SELECT count(*) FROM orders", ROWS + 1),
        "writes": ("DELETE FROM orders RETURNING 1", 1),
        "slow": ("SELECT pg_sleep(30) IS NULL", False),
        "rows": ("SELECT id FROM orders", 1),
        "right": ("SELECT 'true'::text", "true"),
    }
    wanted = drilled.but(drill=asked(drilled.spec.drill.image, queries, query_seconds=1))
    with pytest.raises(SlipwayError, match=r"wrong: 4000 instead of 4001; writes: .*read-only transaction; slow: "):
        run(wanted)
    assert [one["result"] for one in note(wanted)["last"]["queries"]] == ["failed"] * 4 + ["good"]


@pytest.mark.long
def test_a_damaged_object_fails_the_drill_and_an_earlier_good_one_stays_known(drilled, s3):
    made = back_up(drilled.spec)
    good = run(drilled.spec)
    key = f"{drilled.prefix}{made['id']}/database.dump.zst"
    body = bytearray(s3.client().get_object(Bucket=BUCKET, Key=key)["Body"].read())
    body[len(body) // 2] ^= 0xFF
    s3.client().put_object(Bucket=BUCKET, Key=key, Body=bytes(body))
    with pytest.raises(SlipwayError):
        run(drilled.spec)
    assert note(drilled.spec)["good"] == good and note(drilled.spec)["last"]["result"] == "failed"
    listed = entry(drilled.spec)
    assert (listed["restored"], listed["drill"]["result"]) == (good["time"], "failed")
    known = record.last(drilled.spec)
    assert (known["restored"]["time"], list(known["failing"])) == (good["time"], ["drill"])
    back_up(drilled.spec)
    assert "drill" in record.last(drilled.spec)["failing"], "only a good drill makes a bad one good"
    assert run(drilled.spec)["result"] == "good" and "failing" not in record.last(drilled.spec)


def test_what_is_wrong_is_found_before_a_server_is_started(drilled, tmp_path):
    key = tmp_path / "key.txt"
    subprocess.run(["age-keygen", "-o", str(key)], check=True, capture_output=True)
    recipient = next(line.split()[-1] for line in key.read_text().splitlines() if "public key" in line)
    encrypted = drilled.but(recipients=(recipient,))
    back_up(encrypted)
    with pytest.raises(SlipwayError, match="no key to read it"):
        run(encrypted)
    assert run(replace(encrypted, identity_file=str(key)))["result"] == "good"
    with pytest.raises(SlipwayError, match="has no backup '20200101T000000Z-abcdef'"):
        run(drilled.spec, "20200101T000000Z-abcdef")
    assert note(drilled.spec)["last"]["backup"] == ""
    with pytest.raises(SlipwayError, match="There is no drill for a backup of kind base"):
        run(replace(drilled.spec, kind="base"))


def test_another_major_version_and_a_full_disk_are_told(drilled, monkeypatch):
    made = back_up(drilled.spec)
    mine = made["server_version"].split(".")[0]
    other = next((image for number, image in images().items() if str(number) != mine), None)
    if other is None:
        pytest.skip("one image of the database only is on this machine")
    with pytest.raises(SlipwayError, match=f"has PostgreSQL .*, the backup is of {mine}"):
        run(drilled.but(drill=asked(other, {})))
    monkeypatch.setattr(drill_server, "LOG_BYTES", 10**15)
    with pytest.raises(SlipwayError, match=r"The drill needs 100000\d\.\d GB at .*, \d+\.\d GB are free"):
        run(drilled.spec)


@pytest.mark.long
def test_a_credential_that_may_not_write_makes_no_good_drill(drilled, s3):
    back_up(drilled.spec)
    reader = s3.options(access_key="readerkey", secret_key="readersecretreader")
    with pytest.raises(SlipwayError, match="refuses"):
        run(drilled.but(s3=reader))
    assert note(drilled.spec)["good"] is None
    assert "cannot be recorded beside the backup" in note(drilled.spec)["last"]["reason"]


def test_the_server_is_alone_and_limited_and_what_a_killed_drill_left_goes(drilled, monkeypatch):
    back_up(drilled.spec)
    mark = f"{drill_server.LABEL}={drilled.spec.stack}/postgres"
    image = drilled.spec.drill.image
    docker("run", "--detach", "--label", mark, "--network=none", "--entrypoint=sleep", image, "1000")
    (drill_server.RUN_DIRECTORY / drilled.spec.stack).mkdir(parents=True)
    drill_result.begun(drilled.spec, drill_result.Drill.begin(drilled.spec, datetime.now(timezone.utc)))
    drill.clean_up(drilled.spec)
    assert leftovers(drilled.spec) == "" and "was killed" in note(drilled.spec)["last"]["reason"]
    seen = {}

    def look(_queries, _seconds, document, _options):
        [about] = json.loads(docker("inspect", f"slipway-drill-{drilled.spec.stack}-{document.id.lower()}"))
        seen.update(about)

    monkeypatch.setattr(drill.drill_postgres, "_ask", look)
    run(drilled.spec)
    host = seen["HostConfig"]
    assert (host["NetworkMode"], host["PortBindings"], host["Memory"]) == ("none", None, 1024**3)
    assert list(seen["NetworkSettings"]["Networks"]) == ["none"]
    assert host["CapDrop"] == ["ALL"] and host["PidsLimit"] == drill_server.MOST_PROCESSES
    assert drill_server.RUN_DIRECTORY.stat().st_mode & 0o777 == 0o700
    assert host["Binds"] == [f"{drill_server.RUN_DIRECTORY}/{drilled.spec.stack}:{drill_server.SOCKET}:rw"]


@pytest.mark.long
def test_redis_is_loaded_and_its_keys_are_counted(redis, monkeypatch):
    module = "ansible_collections.slipway.vps.plugins.module_utils.backup"
    monkeypatch.setattr(f"{module}.restore_redis.STATE_DIRECTORY", spec.STATE_DIRECTORY)
    back_up(redis.spec)
    found = run(redis.spec)
    assert (found["result"], found["compared"]) == ("good", ["keys"])
    assert found["rows"] == sum(int(redis.server.cli("-n", number, "dbsize")) for number in map(str, range(16)))
    listed = entry(redis.spec)
    assert listed["restored"] == found["time"]
    assert leftovers(redis.spec) == ""


@pytest.mark.long
def test_the_command_drills_every_kind_and_one_that_fails_stops_no_other(
    drilled, stacks, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(spec, "CONFIG_DIRECTORY", tmp_path / "config")
    stack = drilled.spec.stack
    (stacks / stack / "files").mkdir(parents=True)
    (stacks / stack / "files" / "upload").write_text("of a user")
    options = drilled.spec.s3
    configuration = {
        "stack": stack,
        "database": drilled.server.params(drilled.name),
        "client_directory": drilled.spec.client_directory,
        "s3": {name: getattr(options, name) for name in ("endpoint", "bucket", "access_key", "secret_key", "ca_file")},
        "kinds": {"files": {"without_services": []}},
        "drill": {"image": drilled.spec.drill.image, "queries": [{"name": "one", "query": "SELECT 1", "expected": 1}]},
    }

    def slipway(*words):
        write_json(tmp_path / "config" / f"{stack}.json", configuration)
        return cli.main(["backup", words[0], stack, *words[1:]])

    (tmp_path / "config").mkdir()
    assert slipway("run") == 0 and slipway("run", "--kind", "files") == 0
    assert slipway("drill", "--kind", "all") == 0
    told = capsys.readouterr().out
    assert f"2 tables with {ROWS + 10} rows, 1 check queries" in told and "stored bytes; the restore took" in told
    configuration["drill"]["queries"][0]["expected"] = 2
    assert slipway("drill", "--kind", "all") == 1
    found = capsys.readouterr()
    assert "postgres: A check query says no: one: 1 instead of 2." in found.err and "stored bytes" in found.out
    configuration["drill"]["kinds"] = ["files"]
    assert slipway("drill", "--kind", "all") == 0
    assert slipway("drill", "--kind", "all", "--clean") == 0
    configuration["drill"]["queries"] = [{"name": "without a statement"}]
    assert slipway("drill") == 1
    assert "The check query without a statement has not a name and a query." in capsys.readouterr().err


def test_files_are_unpacked_and_removed_again(files, state):
    (files.uploads / "photo").write_text("good")
    for kept in (files, state):
        back_up(kept.spec)
        found = run(kept.spec)
        assert (found["result"], found["compared"]) == ("good", ["checksums"])
        assert entry(kept.spec)["restored"] == found["time"]
    assert not list(drill.DIRECTORY.rglob("photo"))
    with pytest.raises(SlipwayError, match="no key to read it"):
        run(replace(state.spec, identity_file=""))


@pytest.fixture
def served(stack, tmp_path, state_directory):
    """A database as a Compose stack has it, with a superuser of its own and a library that its start names."""
    name = stack.spec.stack
    stack.database.remove()
    stack.database.start("-c", "shared_preload_libraries=pg_stat_statements")
    stack.database.query("CREATE EXTENSION pg_stat_statements")
    stack.database.query("CREATE ROLE reader NOLOGIN; CREATE ROLE member LOGIN PASSWORD 'x' IN ROLE reader")
    stack.database.query("CREATE TABLE orders AS SELECT i AS id FROM generate_series(1, 500) i")
    stack.database.query("GRANT SELECT ON orders TO reader")
    return replace(stack.spec, kind="postgres", settings={}, s3=replace(stack.spec.s3, prefix=f"test-{name}"))


@pytest.mark.long
def test_a_container_is_drilled_in_its_own_image_with_its_roles_and_libraries(served):
    made = back_up(served)
    assert made["details"]["superuser"] == "shop" and made["details"]["preload"] == "pg_stat_statements"
    questions = {
        "the library is there": ("SELECT count(*) > 0 FROM pg_stat_statements", True),
        "roles are what they were": ("SELECT pg_has_role('member', 'reader', 'member')", True),
        "no network": ("SELECT current_setting('listen_addresses')", ""),
    }
    found = run(replace(served, drill=asked("", questions)))
    assert (found["result"], found["rows"], found["image"]) == ("good", 500, made["details"]["image"])
    assert leftovers(served) == ""


@pytest.mark.long
def test_a_full_disk_below_a_container_is_found_before_anything_is_made(served, s3):
    made = back_up(served)
    key = f"{served.s3.prefix}/{served.stack}/postgres/{made['id']}/manifest.json"
    made["database_bytes"] = 10**15
    s3.client().put_object(Bucket=BUCKET, Key=key, Body=json.dumps(made).encode())
    with pytest.raises(SlipwayError, match=r"needs 1100000\.5 GB at /.*/_data, \d+\.\d GB are free"):
        restore.run(served, restore.Request.from_dict({}), Emitter.null())
