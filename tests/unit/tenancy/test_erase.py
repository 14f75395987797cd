# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Erasing a tenant, and the certificate of what was there."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.backup import engine as backup_engine
from ansible_collections.slipway.vps.plugins.module_utils.backup import spec as backup_spec
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter
from ansible_collections.slipway.vps.plugins.module_utils.tenancy import erasure, imports, rename

from .conftest import killed_at
from .test_export import ODD, fill


@pytest.fixture
def filled(host, monkeypatch, tmp_path):
    monkeypatch.setattr(erasure, "DIRECTORY", tmp_path / "erasures")
    fill(host.shop)
    return host


def erase(host, name="alpha", **more):
    request = host.request(name, **{"confirm": name, "operator": "ann", "reason": "ticket 7", **more})
    return erasure.run(request, Emitter.null())


def is_alive(host):
    rows = host.shop.query("SELECT name FROM tenant_alpha.products", user=host.shop.application)
    return len(rows) == 500


def traces(host):
    """Where the tenant is found in the database, but for the audit table."""
    asked = (
        "SELECT count(*) FROM pg_namespace WHERE nspname LIKE '%alpha%'",
        "SELECT count(*) FROM slipway.tenants WHERE slug = 'alpha'",
        "SELECT count(*) FROM slipway.tenant_migrations WHERE slug = 'alpha'",
        "SELECT count(*) FROM public.tenants WHERE subdomain = 'alpha'",
    )
    left = sum(host.shop.query(one)[0][0] for one in asked)
    return left + host.shop.query("SELECT rolname FROM pg_roles").count((f"{host.shop.prefix}alpha",))


def test_check_mode_tells_what_would_go_and_nobody_erases_by_mistake(filled):
    planned = erasure.plan(filled.request("alpha"))["erasure"]
    assert planned["rows"] == 502
    assert "drop schema tenant_alpha with all it holds" in planned["deleted"]
    with pytest.raises(SlipwayError, match="--confirm alpha"):
        erase(filled, confirm="bravo")
    with pytest.raises(SlipwayError, match="There is no tenant gamma"):
        erase(filled, "gamma")
    assert is_alive(filled)
    assert not erasure.DIRECTORY.exists()


def test_what_was_there_is_certified_and_can_be_brought_back_from_its_export(filled):
    assert traces(filled) > 0
    result = erase(filled)
    certificate = result["erasure"]
    assert traces(filled) == 0
    assert filled.shop.query("SELECT count(*) FROM tenant_bravo.products") == [(1,)]

    content = certificate["schemas"]["tenant_alpha"]
    assert content["tables"] == {"products": 500, ODD: 2}
    assert (certificate["rows"], certificate["tables"]) == (502, 2)
    assert certificate["erased_by"] == {"operator": "ann", "database_user": "postgres"}
    assert certificate["export"]["verified"] is certificate["export"]["equals_what_was_erased"] is True
    assert certificate["backups"][-1]["kept"]["s3"]["until"] == "until somebody removes it"
    assert certificate["backups_searched"] is False
    assert certificate["sha256"] == erasure.digest(certificate)

    path = erasure.DIRECTORY / filled.stack / f"alpha-{certificate['id']}.json"
    assert str(path) == result["path"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text()) == certificate
    (audit,) = filled.shop.query(
        "SELECT actions -> -1 -> 'certificate' FROM slipway.tenant_events WHERE slug = 'alpha' ORDER BY id DESC LIMIT 1"
    )
    assert audit[0] == certificate

    again = erase(filled)
    assert (again["changed"], again["erasure"]) == (False, certificate)
    imports.run(filled.request("alpha"), Emitter.null())
    assert filled.shop.query("SELECT count(*) FROM tenant_alpha.products") == [(500,)]


def test_a_file_that_a_killed_run_did_not_write_is_written_by_the_next(filled):
    result = erase(filled, export=False)
    assert result["erasure"]["export"] is None
    os.unlink(result["path"])
    assert erasure.plan(filled.request("alpha"))["changed"] is True
    again = erase(filled)
    assert again["changed"] is True
    with open(again["path"]) as written:
        assert json.load(written) == result["erasure"]
    assert erase(filled)["changed"] is False


def test_what_a_killed_export_left_goes_as_well(filled, s3):
    identity = "20260101T000000Z-abcdef"
    partial = filled.place / "copies/tenant/alpha" / f".{identity}.partial"
    partial.mkdir(parents=True)
    (partial / "tenant.dump.zst").write_bytes(b"half of it")
    key = f"test/{filled.stack}/tenant/alpha/{identity}/tenant.dump.zst"
    s3.client().put_object(Bucket="backups", Key=key, Body=b"half of it")
    erase(filled, export=False)
    assert not partial.exists()
    assert s3.keys(f"test/{filled.stack}/") == []


def test_backups_that_still_hold_it_are_named_with_their_time(filled):
    """The configured backups of the stack, and exports under the slug that it had before."""
    host = filled
    (host.place / "configuration").mkdir()
    (host.place / "configuration" / f"{host.stack}.json").write_text(json.dumps(host.destination))
    spec = backup_spec.load(host.stack)
    before = backup_engine.run(replace(spec, keep_local=spec.keep_s3), Emitter.null())["backup"]
    rename.run({**host.shop.server.params(host.shop.database), "name": "alpha", "new_name": "beta"})
    certificate = erase(host, "beta")["erasure"]
    assert certificate["former_slugs"] == ["alpha"]
    assert certificate["backups_searched"] is True
    by_kind = {one["kind"]: one for one in certificate["backups"]}
    # The dump was made while the schema had its old name; it holds the tenant all the same.
    assert by_kind["postgres"]["id"] == before["id"]
    assert by_kind["postgres"]["kept"]["s3"]["until"] > before["snapshot_time"]
    assert by_kind["postgres"]["kept"]["local"]["policy"] == {"days": 7}


def test_a_bucket_that_does_not_answer_stops_it_before_anything_has_gone(filled):
    request = filled.request("alpha", confirm="alpha")
    request["spec"] = {**request["spec"], "s3": {**request["spec"]["s3"], "endpoint": "https://127.0.0.1:9"}}
    with pytest.raises(SlipwayError):
        erasure.run(request, Emitter.null())
    assert is_alive(filled)


@pytest.mark.slow
@pytest.mark.parametrize(
    "events",
    [
        *[1, 8, 16, 20, 23],
        *(pytest.param(number, marks=pytest.mark.long) for number in (2, 4, 5, 6, 10, 12, 14, 18, 19, 21, 22)),
    ],
)
def test_a_killed_erase_is_finished_by_the_next_run(filled, events):
    request = filled.request("alpha", confirm="alpha")
    told = killed_at("erasure", request, events, filled.place, erasure.DIRECTORY)
    assert told[0]["phase"] == "preflight"
    result = erase(filled)
    assert traces(filled) == 0
    assert result["erasure"]["rows"] == 502
    with open(result["path"]) as written:
        assert json.load(written) == result["erasure"]
    assert erase(filled)["changed"] is False
    count = "SELECT count(*) FROM slipway.tenant_events WHERE actions -> -1 ? 'certificate'"
    assert filled.shop.query(count) == [(1,)]
