# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A backup from the database to the bucket and back, against the real servers."""

from __future__ import annotations

import json
import subprocess

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.backup import catalog, engine, record, restore, verify
from ansible_collections.slipway.vps.plugins.module_utils.backup.store import stores
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter

from .conftest import BUCKET, ROWS


def back_up(spec):
    return engine.run(spec, Emitter.null())


def listed(spec):
    return catalog.entries(stores(spec))


def restored(spec, **request):
    return restore.run(spec, restore.Request.from_dict(request), Emitter.null())["restore"]


def test_a_backup_is_objects_with_a_manifest_that_describes_them(shop, s3):
    made = back_up(shop.spec)["backup"]
    keys = s3.keys(shop.prefix)
    place = f"{shop.prefix}{made['id']}/"
    assert sorted(keys) == [place + "database.dump.zst", place + "globals.sql.zst", place + "manifest.json"]
    assert made["tables"] == {"public.orders": ROWS, "tenant_alpha.Odd Name": 10}
    assert made["confirmed"] == {"s3": "checksum"}
    assert made["properties"]["owner"] == "postgres"
    assert made["server_version"].split(".")[0] == made["client_version"].split(".")[0]
    [one] = listed(shop.spec)
    assert one.complete and not one.verified
    assert record.last(shop.spec)["success"]["id"] == made["id"]
    assert s3.uploads(shop.prefix) == []


def test_public_tools_alone_restore_it(shop, s3, postgres, tmp_path):
    """The independent oracle: the object, zstd and plain pg_restore."""
    made = back_up(shop.spec)["backup"]
    key = f"{shop.prefix}{made['id']}/database.dump.zst"
    (tmp_path / "dump.zst").write_bytes(s3.client().get_object(Bucket=BUCKET, Key=key)["Body"].read())
    subprocess.run(["zstd", "-dq", str(tmp_path / "dump.zst"), "-o", str(tmp_path / "dump")], check=True)
    fresh = postgres.new_database(f"oracle_{shop.name}")
    environment = {"PGPASSWORD": shop.spec.postgres.password, "PGHOST": "127.0.0.1", "PGUSER": "postgres"}
    subprocess.run(
        [str(postgres.bin / "pg_restore"), "-p", str(postgres.port), "-d", fresh, str(tmp_path / "dump")],
        check=True,
        env=environment,
    )
    total = "SELECT count(*), sum(hashtext(note)::bigint) FROM orders"
    assert shop.query(total, fresh) == shop.query(total)


def test_verify_reads_all_of_it_and_marks_it(shop):
    made = back_up(shop.spec)["backup"]
    assert verify.verify(shop.spec, "latest", Emitter.null())["id"] == made["id"]
    [one] = listed(shop.spec)
    assert one.verified


def test_a_local_copy_holds_the_same_bytes(shop, s3, tmp_path):
    spec = shop.but(local_directory=str(tmp_path / "copies"))
    made = back_up(spec)["backup"]
    [one] = listed(spec)
    assert one.copies == {"s3": True, "local": True}
    local = tmp_path / "copies" / "postgres" / made["id"] / "database.dump.zst"
    remote = s3.client().get_object(Bucket=BUCKET, Key=f"{shop.prefix}{made['id']}/{local.name}")["Body"].read()
    assert local.read_bytes() == remote
    assert local.stat().st_mode & 0o777 == 0o600


def test_a_stream_is_cut_into_objects(big_shop, s3):
    spec = big_shop.but(object_bytes=6_000_000, part_bytes=5 * 1024 * 1024, local_directory=str(big_shop.place / "c"))
    made = back_up(spec)["backup"]
    names = [one["name"] for one in made["objects"] if one["content"] == "database"]
    assert names[:2] == ["database.dump.zst", "database.dump.zst.0001"] and len(names) > 4
    assert sum(one["bytes"] for one in made["objects"]) == made["stored_bytes"]
    [one] = listed(spec)
    assert one.copies == {"s3": True, "local": True}
    verify.verify(spec, made["id"], Emitter.null())


def test_an_encrypted_backup_needs_its_key(shop, tmp_path):
    key = tmp_path / "key.txt"
    subprocess.run(["age-keygen", "-o", str(key)], check=True, capture_output=True)
    recipient = next(line.split()[-1] for line in key.read_text().splitlines() if "public key" in line)
    spec = shop.but(recipients=(recipient,))
    made = back_up(spec)["backup"]
    assert [one["name"] for one in made["objects"]] == ["database.dump.zst.age", "globals.sql.zst.age"]
    with pytest.raises(SlipwayError, match="no key to read it"):
        verify.verify(spec, "latest", Emitter.null())
    with pytest.raises(SlipwayError, match="no key to read it"):
        restored(spec)
    other = tmp_path / "other.txt"
    subprocess.run(["age-keygen", "-o", str(other)], check=True, capture_output=True)
    with pytest.raises(SlipwayError, match="does not belong to this backup"):
        restored(spec, identity_file=str(other))
    assert restored(spec, identity_file=str(key))["rows"] == ROWS + 10


def test_restore_beside_leaves_the_live_database_alone(shop):
    back_up(shop.spec)
    shop.query("DELETE FROM orders WHERE id > 5")
    result = restored(shop.spec)
    assert shop.query("SELECT count(*) FROM orders") == [(5,)]
    assert shop.query("SELECT count(*) FROM orders", result["database"]) == [(ROWS,)]
    [one] = listed(shop.spec)
    assert one.restored


def test_restore_in_place_brings_a_dropped_table_back_and_keeps_the_old_database(shop):
    shop.query(f"ALTER DATABASE {shop.name} SET search_path = tenant_alpha, public")
    shop.query(f"REVOKE CONNECT ON DATABASE {shop.name} FROM PUBLIC")
    back_up(shop.spec)
    shop.query("DROP TABLE public.orders")
    open_session = shop.server.connect(shop.name)
    flag = shop.place / "maintenance"
    result = restored(shop.spec, target="in_place", maintenance_file=str(flag))
    assert shop.query("SELECT count(*) FROM public.orders") == [(ROWS,)]
    assert shop.query("SELECT to_regclass('public.orders')", result["before"]) == [(None,)]
    assert shop.query("SHOW search_path") == [("tenant_alpha, public",)]
    acl = shop.query("SELECT datacl::text FROM pg_database WHERE datname = current_database()")[0][0]
    assert "=T/postgres" in acl and "=Tc/" not in acl
    assert not flag.exists()
    assert open_session.closed or not _alive(open_session)


def _alive(connection):
    try:
        connection.cursor().execute("SELECT 1")
    except Exception:
        return False
    return True


def test_restoring_one_schema_in_place_leaves_the_others_as_they_are(shop):
    back_up(shop.spec)
    shop.query('DELETE FROM tenant_alpha."Odd Name"')
    shop.query("DELETE FROM orders WHERE id > 5")
    result = restored(shop.spec, target="in_place", schemas=["tenant_alpha"])
    assert shop.query('SELECT count(*) FROM tenant_alpha."Odd Name"') == [(10,)]
    assert shop.query("SELECT count(*) FROM orders") == [(5,)]
    left = f'SELECT count(*) FROM "{result["before"]}"."Odd Name"'  # noqa: S608 - a name that the engine made
    assert shop.query(left) == [(0,)]


def test_schemas_and_tables_come_back_together(shop):
    back_up(shop.spec)
    shop.query("DROP TABLE orders")
    shop.query("DROP SCHEMA tenant_alpha CASCADE")
    restored(shop.spec, target="in_place", schemas=["tenant_alpha"], tables=["public.orders"])
    assert shop.query('SELECT (SELECT count(*) FROM tenant_alpha."Odd Name"), count(*) FROM orders') == [(10, ROWS)]


def test_restoring_one_table_in_place_brings_its_index_and_sequence(shop):
    shop.query("CREATE INDEX orders_note ON orders (note)")
    back_up(shop.spec)
    shop.query("DROP TABLE orders")
    restored(shop.spec, target="in_place", tables=["public.orders"])
    assert shop.query("INSERT INTO orders (note) VALUES ('next') RETURNING id") == [(ROWS + 1,)]
    assert shop.query("SELECT count(*) FROM pg_indexes WHERE tablename = 'orders'") == [(2,)]
    databases = [name for (name,) in shop.query("SELECT datname FROM pg_database")]
    assert not [name for name in databases if name.startswith(f"{shop.name}_restored")]


def test_a_table_that_others_depend_on_is_not_replaced_alone(shop):
    shop.query("CREATE TABLE lines (order_id int REFERENCES orders)")
    back_up(shop.spec)
    with pytest.raises(SlipwayError, match=r"public\.lines depend on it"):
        restored(shop.spec, target="in_place", tables=["public.orders"])
    assert shop.query("SELECT count(*) FROM orders") == [(ROWS,)]


def test_missing_roles_come_back_with_a_restore(shop):
    role = f"owner_{shop.name}"
    shop.query(f"CREATE ROLE {role}")
    shop.query(f"ALTER TABLE orders OWNER TO {role}")
    back_up(shop.spec)
    shop.query(f"ALTER TABLE orders OWNER TO postgres; DROP ROLE {role}")
    assert restored(shop.spec)["roles_created"] == [role]


def test_what_the_backup_does_not_hold_is_refused_before_anything_is_made(shop):
    back_up(shop.spec)
    with pytest.raises(SlipwayError, match=r"does not contain public\.nothing"):
        restored(shop.spec, tables=["public.nothing"])
    with pytest.raises(SlipwayError, match="has no backup"):
        restored(shop.spec, id="20200101T000000Z-abcdef")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"database_bytes": 10**15}, r"needs 1100000\.5 GB at /.*/data, \d+\.\d GB are free"),
        ({"server_version": "99.1"}, r"is of PostgreSQL 99\.1, the server here is .*, which is older"),
    ],
)
def test_no_room_and_an_older_server_are_found_before_anything_is_made(shop, s3, change, said):
    made = back_up(shop.spec)["backup"]
    key = f"{shop.prefix}{made['id']}/manifest.json"
    s3.client().put_object(Bucket=BUCKET, Key=key, Body=json.dumps({**made, **change}).encode())
    databases = shop.query("SELECT datname FROM pg_database")
    for target in ("beside", "in_place"):
        with pytest.raises(SlipwayError, match=said):
            restored(shop.spec, target=target)
    assert shop.query("SELECT datname FROM pg_database") == databases
