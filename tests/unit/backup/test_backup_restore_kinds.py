# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Redis, files and state brought back; what is wrong is found before anything is touched."""

from __future__ import annotations

import hashlib
import json
import subprocess

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.backup import (
    catalog,
    engine,
    restoration,
    restore_kind,
    verify,
)
from ansible_collections.slipway.vps.plugins.module_utils.backup.store import stores
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter
from ansible_collections.slipway.vps.tests.unit.redis_container import docker, images

from .conftest import BUCKET
from .test_backup_files import furnish, seen


@pytest.fixture(autouse=True)
def places(state_directory, monkeypatch):
    module = "ansible_collections.slipway.vps.plugins.module_utils.backup"
    monkeypatch.setattr(f"{module}.restoration.RESTORED", state_directory.parent / "restored")
    for name in ("restore_files", "restore_redis"):
        monkeypatch.setattr(f"{module}.{name}.STATE_DIRECTORY", state_directory)


def back_up(spec):
    return engine.run(spec, Emitter.null())["backup"]


def bring_back(spec, **more):
    return restore_kind.run(spec, restoration.Request.from_dict(more), Emitter.null())["restore"]


def test_files_come_back_beside_as_they_were(files):
    furnish(files.uploads)
    made = back_up(files.spec)
    done = bring_back(files.spec)
    place = restoration.RESTORED / files.stack / "files" / made["id"]
    assert done["places"] == {"project": str(place / "project"), "folder-uploads": str(place / "folder-uploads")}
    assert seen(place / "folder-uploads") == seen(files.uploads)
    assert (place / "folder-uploads").stat().st_mode & 0o7777 == 0o750
    assert catalog.entries(stores(files.spec))[0].restored
    with pytest.raises(SlipwayError, match="exists already"):
        bring_back(files.spec)


def test_a_single_folder_is_not_called_a_restore_of_all(files, tmp_path):
    back_up(files.spec)
    bring_back(files.spec, contents=["project"], directory=str(tmp_path / "here"))
    assert (tmp_path / "here" / "project" / "init.sql").read_text() == "SELECT 1;\n"
    assert not (tmp_path / "here" / "folder-uploads").exists()
    assert not catalog.entries(stores(files.spec))[0].restored


def test_files_come_back_into_place_and_a_container_sees_them(files):
    if not images():
        pytest.skip("no image to run a container from is on this machine (make lab)")
    (files.uploads / "photo").write_text("good")
    back_up(files.spec)
    (files.uploads / "photo").write_text("overwritten")
    (files.uploads / "new").write_text("since then")
    name = f"{files.stack}-blue-api-1"
    image = next(iter(images().values()))
    try:
        docker(
            *("run", "--detach", "--name", name, "--mount", f'type=bind,"source={files.uploads}",target=/uploads'),
            *("--label", f"com.docker.compose.project={files.stack}-blue", "--entrypoint=sleep", image, "1000"),
        )
        assert docker("exec", name, "cat", "/uploads/photo") == b"overwritten"
        done = bring_back(files.spec, target="in_place", contents=["folder-uploads"])
        assert docker("exec", name, "cat", "/uploads/photo") == b"good"
        assert docker("exec", name, "ls", "/uploads") == b"photo\n"
    finally:
        docker("rm", "--force", "--volumes", name, check=False)
    kept = files.uploads.with_name(done["before"][0].rsplit("/", 1)[-1])
    assert (kept / "photo").read_text() == "overwritten" and (kept / "new").exists()


def test_a_damaged_folder_replaces_nothing(files, s3):
    """The second folder is damaged: the first one, whole, is not put into place either."""
    made = back_up(files.spec)
    (files.uploads / "photo").write_text("serves")
    key = f"{files.prefix}{made['id']}/folder-uploads.tar.zst"
    body = bytearray(s3.client().get_object(Bucket=BUCKET, Key=key)["Body"].read())
    body[len(body) // 2] ^= 1
    s3.client().put_object(Bucket=BUCKET, Key=key, Body=bytes(body))
    before = sorted(files.project.parent.iterdir()) + sorted(files.uploads.parent.iterdir())
    with pytest.raises(SlipwayError, match=r"is damaged|zstd"):
        bring_back(files.spec, target="in_place")
    assert sorted(files.project.parent.iterdir()) + sorted(files.uploads.parent.iterdir()) == before
    assert (files.uploads / "photo").read_text() == "serves"


def test_a_full_disk_is_found_before_anything_is_written(files, monkeypatch):
    (files.uploads / "photo").write_text("serves")
    back_up(files.spec)
    monkeypatch.setattr(restoration, "SPARE_BYTES", 1 << 60)
    for target in ("beside", "in_place"):
        with pytest.raises(SlipwayError, match=r"The restore needs \d+ MB below .*, \d+ MB are free") as caught:
            bring_back(files.spec, target=target)
        assert "df -h" in caught.value.hint
    assert not restoration.RESTORED.exists()


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"contents": ["volume-other"]}, "does not contain volume-other"),
        ({"target": "elsewhere"}, "restore target is 'elsewhere'"),
        ({"directory": "relative"}, "cannot be restored into"),
        ({"target": "in_place", "directory": "/x"}, "cannot be restored into"),
        ({"id": "20200101T000000Z-000000"}, "has no backup '20200101T000000Z-000000' of kind files"),
    ],
)
def test_what_cannot_be_done_is_said(files, asked, sentence):
    back_up(files.spec)
    with pytest.raises(SlipwayError, match=sentence):
        bring_back(files.spec, **asked)
    assert not restoration.RESTORED.exists()


def test_a_folder_that_is_used_no_more_is_not_put_into_place(files):
    back_up(files.spec)
    with pytest.raises(SlipwayError, match="uses no folder-uploads now"):
        bring_back(files.but(settings={}), target="in_place")


def test_state_is_listed_and_extracted(state):
    made = back_up(state.spec)
    text = restore_kind.contents(state.spec, "latest")
    assert "./releases/1/.env" in text and "certificates:\n" in text and "topsecret" not in text
    done = bring_back(state.spec)
    assert done["id"] == made["id"]
    place = restoration.RESTORED / state.stack / "state" / made["id"]
    assert (place / "stack" / "releases" / "1" / ".env").read_text() == "PASSWORD=topsecret\n"
    assert (place / "certificates" / "kept").read_text() == "topsecret too"
    assert place.stat().st_mode & 0o077 == 0
    with pytest.raises(SlipwayError, match="not restored into place"):
        bring_back(state.spec, target="in_place")


def test_a_wrong_or_missing_key_is_found_before_anything_is_written(state, tmp_path):
    back_up(state.spec)
    subprocess.run(["age-keygen", "-o", str(tmp_path / "other.txt")], check=True, capture_output=True)
    with pytest.raises(SlipwayError, match="no identity matched"):
        bring_back(state.spec, identity_file=str(tmp_path / "other.txt"))
    with pytest.raises(SlipwayError, match="no key to read it"):
        bring_back(state.but(identity_file=""))
    with pytest.raises(SlipwayError, match="no key to read it"):
        verify.verify(state.but(identity_file=""), "latest", Emitter.null())
    assert not restoration.RESTORED.exists()


@pytest.mark.parametrize("appendonly", ["yes", pytest.param("no", marks=pytest.mark.long)])
def test_redis_serves_the_snapshot_again(redis, appendonly):
    redis.server.cli("config", "set", "appendonly", appendonly)
    before = redis.server.contents()
    made = back_up(redis.spec)
    redis.server.cli("flushall")
    redis.server.cli("set", "since then", "1")
    done = bring_back(redis.spec, target="in_place")
    redis.server.wait()
    assert redis.server.contents() == before
    assert redis.server.cli("fcall", "f", "0") == b"1"
    assert done["key_counts"] == {"db0": 2005, "db3": 1} and done["id"] == made["id"]
    assert catalog.entries(stores(redis.spec))[0].restored
    assert len(done["before"]) == 1
    docker("restart", redis.server.name)
    redis.server.wait()
    assert redis.server.contents() == before
    _forget(done["before"])


@pytest.mark.long
def test_a_service_that_does_not_find_the_data_gets_its_own_back(redis):
    """It was changed to read its append-only file from elsewhere: with the restored folder it would start empty."""
    back_up(redis.spec)
    docker("rm", "--force", redis.server.name)
    redis.server.arguments = (*redis.server.arguments, "--appenddirname", "elsewhere")
    redis.server.start()
    redis.server.cli("set", "live", "1")
    with pytest.raises(SlipwayError, match="started without the restored keys"):
        bring_back(redis.spec, target="in_place")
    redis.server.wait()
    assert redis.server.cli("get", "live") == b"1"
    assert not catalog.entries(stores(redis.spec))[0].restored


@pytest.mark.long
def test_redis_beside_touches_nothing(redis):
    back_up(redis.spec)
    redis.server.cli("set", "since then", "1")
    done = bring_back(redis.spec)
    assert done["key_counts"] == {"db0": 2005, "db3": 1}
    assert redis.server.cli("get", "since then") == b"1"
    place = restoration.RESTORED / redis.stack / "redis" / done["id"]
    assert sorted(path.name for path in place.iterdir()) == ["appendonlydir", "dump.rdb"]
    assert docker("ps", "--all", "--quiet", "--filter", "name=slipway-restore-").strip() == b""


def test_a_damaged_snapshot_replaces_nothing(redis, s3):
    """Damaged before it was stored: every checksum of the backup is right, Redis itself refuses it."""
    made = back_up(redis.spec)
    serving = redis.server.contents()
    key = f"{redis.prefix}{made['id']}/dump.rdb.zst"
    plain = subprocess.run(
        ["zstd", "-dc"],
        input=s3.client().get_object(Bucket=BUCKET, Key=key)["Body"].read(),
        check=True,
        capture_output=True,
    ).stdout
    _replace(s3, redis, made["id"], plain[: len(plain) // 2])
    with pytest.raises(SlipwayError, match="redis-check-rdb"):
        verify.verify(redis.spec, "latest", Emitter.null())
    with pytest.raises(SlipwayError, match="does not load the snapshot"):
        bring_back(redis.spec, target="in_place")
    assert redis.server.contents() == serving
    assert docker("ps", "--all", "--quiet", "--filter", "name=slipway-restore-").strip() == b""


@pytest.mark.long
def test_too_little_memory_is_found_first(redis, monkeypatch):
    back_up(redis.spec)
    module = "ansible_collections.slipway.vps.plugins.module_utils.backup.restore_redis"
    monkeypatch.setattr(f"{module}._available_memory", lambda: 1000)
    with pytest.raises(SlipwayError, match="A second Redis with this snapshot needs"):
        bring_back(redis.spec, target="in_place")


@pytest.mark.long
def test_a_container_that_sees_the_whole_host_is_not_stopped(files):
    if not images():
        pytest.skip("no image to run a container from is on this machine (make lab)")
    back_up(files.spec)
    name = f"{files.stack}-monitor"
    try:
        docker(
            *("run", "--detach", "--name", name, "--volume", "/:/host:ro", "--entrypoint=sleep"),
            *(next(iter(images().values())), "1000"),
        )
        started = docker("inspect", "--format={{.State.StartedAt}}", name)
        bring_back(files.spec, target="in_place", contents=["project"])
        assert docker("inspect", "--format={{.State.StartedAt}}", name) == started
    finally:
        docker("rm", "--force", "--volumes", name, check=False)


def _replace(s3, kept, identity, plain):
    """Another snapshot under the same id, with a manifest that fits it."""
    client = s3.client()
    packed = subprocess.run(["zstd", "-c", "--check"], input=plain, check=True, capture_output=True).stdout
    client.put_object(Bucket=BUCKET, Key=f"{kept.prefix}{identity}/dump.rdb.zst", Body=packed)
    key = f"{kept.prefix}{identity}/manifest.json"
    found = json.loads(client.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    found["objects"][0].update(bytes=len(packed), sha256=hashlib.sha256(packed).hexdigest())
    found["contents"]["redis"] = {"bytes": len(plain), "sha256": hashlib.sha256(plain).hexdigest()}
    client.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(found).encode())


def _forget(paths):
    for path in paths:
        subprocess.run(["rm", "-rf", path], check=True)
