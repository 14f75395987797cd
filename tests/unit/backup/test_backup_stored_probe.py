# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The probe that asks the bucket, against a real S3 server with backups that the engine made."""

from __future__ import annotations

import json
import socket

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.backup import engine, spec
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter
from ansible_collections.slipway.vps.plugins.module_utils.probe import engine as probes


@pytest.fixture
def ask(files, tmp_path, monkeypatch):
    """Probe the stack as its configuration on the host describes it."""
    monkeypatch.setattr(spec, "CONFIG_DIRECTORY", tmp_path / "config")
    (tmp_path / "config").mkdir()

    def run(options=None, **changes):
        s3 = {**files.spec.s3.as_dict(), **changes}
        local = {} if s3["bucket"] else {"local_directory": str(tmp_path / "copies")}
        known = {
            **local,
            "stack": files.stack,
            "kinds": {"files": files.spec.settings},
            "s3": s3 if s3["bucket"] else {},
        }
        (tmp_path / "config" / f"{files.stack}.json").write_text(json.dumps(known))
        probe = {"type": "backup_stored", "target": files.stack, "kind": "files", "timeout": 15, **(options or {})}
        return probes.check(probes.Request([probe])).probes[0]

    return run


def back_up(files):
    return engine.run(files.spec, Emitter.null())["backup"]


def test_a_whole_backup_an_old_one_and_none(files, ask):
    none = ask()
    assert (none.status, none.message) == ("fail", "the bucket holds no backup")
    assert none.hint == f"slipway backup run {files.stack} --kind files"
    made = back_up(files)
    good = ask()
    assert (good.status, good.observed["id"]) == ("ok", made["id"])
    assert good.observed["bytes"] == sum(one["bytes"] for one in made["objects"])
    assert ask({"warn_hours": 0.00001, "fail_hours": 1}).status == "warn"
    assert ask({"fail_hours": 0.00001}).status == "fail"


def test_an_object_that_somebody_deleted_is_missed(files, ask):
    # Within one second their names do not tell which came first.
    first, second = sorted((back_up(files), back_up(files)), key=lambda made: made["id"])
    key = f"{files.prefix}{second['id']}/{second['objects'][0]['name']}"
    files.s3.client().delete_object(Bucket=files.spec.s3.bucket, Key=key)
    partly = ask()
    assert (partly.status, partly.observed["id"], partly.observed["damaged"]) == ("warn", first["id"], [second["id"]])
    assert partly.message.endswith(f"but of {second['id']} objects are missing or have another size")
    key = f"{files.prefix}{first['id']}/{first['objects'][0]['name']}"
    files.s3.client().put_object(Bucket=files.spec.s3.bucket, Key=key, Body=b"short")
    assert ask().message.startswith("the bucket holds no whole backup: of ")


def test_a_bucket_that_refuses_is_not_there_or_never_answers(ask):
    assert ask(bucket="").message == "its backups go to no bucket"
    wrong = ask(secret_key="another-secret-that-is-wrong")
    assert wrong.status == "fail" and "another-secret" not in str(wrong.as_dict())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        late = ask({"timeout": 2}, endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}", ca_file="")
    assert late.status == "fail" and late.latency_ms < 15_000
