# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files, volumes and state: everything that a file system holds comes back, and secrets are stored encrypted only."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import threading
import time
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.backup import catalog, commands, engine, record, spec, verify
from ansible_collections.slipway.vps.plugins.module_utils.backup.kinds import files as kind_files
from ansible_collections.slipway.vps.plugins.module_utils.backup.retention import Policy
from ansible_collections.slipway.vps.plugins.module_utils.backup.store import stores
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter
from ansible_collections.slipway.vps.tests.unit.redis_container import docker, images

from .conftest import BUCKET

SPARSE = 64 * 1024 * 1024
ODD_NAMES = (
    "new\nline",
    "-rf",
    "a, b",
    "back\\slash",
    "[x]*?",
    " blank ",
    b"\xff\xfe".decode(errors="surrogateescape"),
)


def back_up(wanted):
    return engine.run(wanted, Emitter.null())


def furnish(folder):
    """Holes, links, owners, modes, attributes, times and names."""
    (folder / "deep" / "er").mkdir(parents=True)
    with (folder / "sparse").open("wb") as handle:
        handle.seek(SPARSE)
        handle.write(b"end")
    (folder / "link").symlink_to("deep/er")
    (folder / "link to nowhere").symlink_to("/srv/somewhere else")
    (folder / "first name").write_text("one file with two names")
    os.link(folder / "first name", folder / "deep" / "second name")
    for name in ODD_NAMES:
        (folder / "deep" / name).write_text(name.encode(errors="replace").decode())
    owned = folder / "owned"
    owned.write_text("by nobody")
    if os.geteuid() == 0:
        os.chown(owned, 10001, 4_000_000)
    owned.chmod(0o4750)
    os.utime(owned, ns=(1, 1_600_000_000_123_456_789))
    os.mkfifo(folder / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))


def seen(folder):
    """All that should come back, in a form that compares."""
    found = {}
    for place, names, others in os.walk(os.fsencode(folder)):
        for name in names + others:
            path = os.path.join(place, name)
            about = os.lstat(path)
            if os.path.basename(path) == b"socket":
                continue
            content = b""
            if os.path.islink(path):
                content = os.readlink(path)
            elif os.path.isfile(path):
                with open(path, "rb") as handle:
                    content = handle.read()
            times = about.st_mtime_ns if os.path.isfile(path) else 0
            found[os.path.relpath(path, os.fsencode(folder))] = (
                *(about.st_mode, about.st_uid, about.st_gid, about.st_nlink, times),
                content,
            )
    return found


def test_all_of_it_comes_back_with_plain_tar(files, s3, tmp_path):
    furnish(files.uploads)
    result = back_up(files.spec)
    made = result["backup"]
    assert result["warnings"] == []
    assert made["details"]["folders"] == {"project": str(files.project), "folder-uploads": str(files.uploads)}
    stored = (
        s3.client().get_object(Bucket=BUCKET, Key=f"{files.prefix}{made['id']}/folder-uploads.tar.zst")["Body"].read()
    )
    back = tmp_path / "back"
    back.mkdir()
    plain = subprocess.run(["zstd", "-dc"], input=stored, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-xpf", "-", "-C", str(back)], input=plain, check=True)
    assert seen(back) == seen(files.uploads)
    assert (back / "first name").stat().st_ino == (back / "deep" / "second name").stat().st_ino
    assert (back / "sparse").stat().st_blocks * 512 < SPARSE / 4
    assert made["dump_bytes"] < SPARSE / 4  # the hole is not in the archive either


def test_a_file_that_changes_or_vanishes_is_said_and_the_rest_is_whole(files):
    for number in range(400):
        (files.uploads / f"{number:03d}").write_bytes(os.urandom(40_000))
    stop = threading.Event()

    def disturb():
        with (files.uploads / "log").open("ab") as log:
            while not stop.is_set():
                log.write(b"x" * 10_000)
                log.flush()

    with (files.uploads / "log").open("ab") as log:
        log.write(b"x" * 5_000_000)
    writer = threading.Thread(target=disturb)
    writer.start()
    try:
        made = back_up(files.but(bytes_per_second=6_000_000))
    finally:
        stop.set()
        writer.join()
    assert any("./log: file changed as we read it" in one for one in made["warnings"]), made["warnings"]
    assert verify.verify(files.spec, "latest", Emitter.null())["id"] == made["backup"]["id"]


def is_read(beginning):
    """Whether any program has a file open whose path begins so."""
    for entry in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if os.readlink(entry).startswith(str(beginning)):
                return True
    return False


def test_a_file_that_vanishes_is_no_failure(files):
    """tar has listed the folder before it comes to the file: the first ones keep it busy until that is gone."""
    for number in range(60):
        (files.uploads / f"a{number:03d}").write_bytes(os.urandom(1_000_000))
    for number in range(60):
        (files.uploads / f"z{number:03d}").write_text("soon gone")

    def vanish():
        deadline = time.monotonic() + 60
        while not is_read(files.uploads / "a") and time.monotonic() < deadline:
            time.sleep(0.02)
        for number in range(60):
            (files.uploads / f"z{number:03d}").unlink()

    watcher = threading.Thread(target=vanish)
    watcher.start()
    made = back_up(files.but(bytes_per_second=10_000_000))
    watcher.join()
    assert verify.verify(files.spec, "latest", Emitter.null())["id"] == made["backup"]["id"]
    assert any("File removed before we read it" in one for one in made["warnings"]), made["warnings"]


def test_a_place_that_is_missing_is_named(files):
    files.uploads.rmdir()
    with pytest.raises(SlipwayError, match=r"no directory here: .*uploads") as caught:
        back_up(files.spec)
    assert "backup_files_folders" in caught.value.hint
    assert record.last(files.spec)["failure"]["what"] == "backup"


@pytest.mark.parametrize(
    ("folder", "sentence"),
    [
        ({"name": "Up/loads", "path": "/tmp"}, "folder name 'Up/loads' is not allowed"),
        ({"name": "uploads", "path": "uploads"}, "no absolute path"),
    ],
)
def test_a_folder_is_checked(files, folder, sentence):
    with pytest.raises(SlipwayError, match=sentence):
        back_up(files.but(settings={"folders": [folder]}))


def test_a_folder_inside_another_is_refused(files):
    (files.project / "uploads").mkdir()
    with pytest.raises(SlipwayError, match="lie in each other"):
        back_up(files.but(settings={"folders": [{"name": "inner", "path": str(files.project / "uploads")}]}))


def test_nothing_to_back_up_is_said(files):
    (files.project / "init.sql").unlink()
    files.project.rmdir()
    with pytest.raises(SlipwayError, match="nothing to back up"):
        back_up(files.but(settings={}))


def test_volumes_of_the_stack_but_not_of_services_with_a_backup_of_their_own(files, s3, tmp_path):
    if not images():
        pytest.skip("no image to run a container from is on this machine (make lab)")
    image = next(iter(images().values()))
    names = {service: f"{files.stack}_{service}" for service in ("media", "postgres", "stranger")}
    try:
        for service, volume in names.items():
            docker("volume", "create", volume)
            project = "another-data" if service == "stranger" else f"{files.stack}-data"
            labels = (f"com.docker.compose.project={project}", f"com.docker.compose.service={service}")
            docker(
                *("run", "--name", volume, "--volume", f"{volume}:/v", *(f"--label={one}" for one in labels)),
                *("--volume", "/data", "--entrypoint=sh", image, "-c", f"echo {service} > /v/file"),
            )
        made = back_up(files.but(settings={"without_services": ["postgres", "redis"]}))["backup"]
        assert sorted(made["contents"]) == ["project", f"volume-{names['media']}"]
        key = f"{files.prefix}{made['id']}/volume-{names['media']}.tar.zst"
        stored = s3.client().get_object(Bucket=BUCKET, Key=key)["Body"].read()
        plain = subprocess.run(["zstd", "-dc"], input=stored, check=True, capture_output=True).stdout
        read = subprocess.run(["tar", "-xOf", "-", "./file"], input=plain, check=True, capture_output=True)
        assert read.stdout == b"media\n"
    finally:
        for volume in names.values():
            docker("rm", "--force", "--volumes", volume, check=False)
            docker("volume", "rm", volume, check=False)


def test_an_interrupted_upload_leaves_no_part(files, s3, monkeypatch):
    """tar is killed in the middle of the second folder: the first one's object, complete by then, goes too."""
    (files.uploads / "large").write_bytes(os.urandom(40_000_000))
    whole = kind_files.archive

    def broken(place, excluded=()):
        command = whole(place, excluded)
        if place != str(files.uploads):
            return command
        killed = ("timeout", "--signal=KILL", "0.7", *command.argv)
        return kind_files.Command(killed, command.env, command.accepted)

    monkeypatch.setattr(kind_files, "archive", broken)
    with pytest.raises(SlipwayError, match="was killed"):
        back_up(files.but(bytes_per_second=15_000_000))
    assert s3.keys(files.prefix) == [] and s3.uploads(files.prefix) == []
    assert catalog.entries(stores(files.spec)) == [] and record.unfinished(files.spec) == []


def test_damage_is_found_in_every_folder(files, s3):
    (files.uploads / "file").write_bytes(os.urandom(100_000))
    made = back_up(files.spec)["backup"]
    for name in ("project.tar.zst", "folder-uploads.tar.zst"):
        key = f"{files.prefix}{made['id']}/{name}"
        good = s3.client().get_object(Bucket=BUCKET, Key=key)["Body"].read()
        bad = bytearray(good)
        bad[len(bad) // 2] ^= 1
        s3.client().put_object(Bucket=BUCKET, Key=key, Body=bytes(bad))
        with pytest.raises(SlipwayError, match=r"is damaged|zstd"):
            verify.verify(files.spec, made["id"], Emitter.null())
        s3.client().put_object(Bucket=BUCKET, Key=key, Body=good)
    assert verify.verify(files.spec, made["id"], Emitter.null())["id"] == made["id"]


def test_the_state_is_encrypted_or_not_stored_at_all(state, s3):
    with pytest.raises(SlipwayError, match="encrypted or not at all") as caught:
        back_up(state.but(recipients=()))
    assert "backup_age_recipients" in caught.value.hint
    assert s3.keys(state.prefix) == []


def test_the_state_comes_back_without_the_projects_files(state, s3, keypair):
    made = back_up(state.spec)["backup"]
    assert sorted(made["contents"]) == ["certificates", "configuration", "stack"]
    client = s3.client()
    bodies = {key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in s3.keys(state.prefix)}
    assert not [key for key, body in bodies.items() if b"topsecret" in body]
    stored = bodies[f"{state.prefix}{made['id']}/stack.tar.zst.age"]
    packed = subprocess.run(["age", "-d", "-i", str(keypair[1])], input=stored, check=True, capture_output=True).stdout
    plain = subprocess.run(["zstd", "-dc"], input=packed, check=True, capture_output=True).stdout
    names = subprocess.run(["tar", "-tf", "-"], input=plain, check=True, capture_output=True).stdout.decode()
    assert sorted(names.split()) == ["./", "./releases/", "./releases/1/", "./releases/1/.env"]
    assert verify.verify(state.spec, "latest", Emitter.null())["id"] == made["id"]


def test_kinds_are_kept_apart(files, state, s3):
    """Each kind has a listing, a record and a retention of its own."""
    made = back_up(files.spec)["backup"]
    same_stack = state.but(stack=files.stack, keep_s3=Policy(days=1))
    state.root.rename(state.root.with_name("moved"))
    assert catalog.entries(stores(same_stack)) == []
    other = back_up(same_stack)["backup"]
    verify.verify(same_stack, "latest", Emitter.null())
    assert [one.id for one in catalog.entries(stores(files.spec))] == [made["id"]]
    assert record.last(files.spec)["success"]["id"] == made["id"]
    assert record.last(same_stack)["success"]["id"] == other["id"]


def test_the_retention_of_a_kind_deletes_its_own_old_ones_only(files, s3):
    old = _aged(files, s3, 8, back_up(files.spec)["backup"]["id"])
    recent = _aged(files, s3, 6, back_up(files.spec)["backup"]["id"])
    new = back_up(files.spec)["backup"]["id"]
    verify.verify(files.spec, new, Emitter.null())
    result = back_up(files.but(keep_s3=Policy(days=7)))
    assert result["deleted"] == [f"s3/{old}"]
    # Two that were made within one second may be listed in either order.
    assert {one.id for one in catalog.entries(stores(files.spec))} == {recent, new, result["backup"]["id"]}


def _aged(kept, s3, days, identity):
    """Put a backup under an id of some time ago."""
    then = datetime.now(timezone.utc) - timedelta(days=days)
    old = then.strftime("%Y%m%dT%H%M%SZ") + "-abcdef"
    client = s3.client()
    for key in s3.keys(f"{kept.prefix}{identity}/"):
        body = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        if key.endswith("/manifest.json"):
            moved = {**json.loads(body), "id": old, "snapshot_time": then.strftime("%Y-%m-%dT%H:%M:%SZ")}
            body = json.dumps(moved).encode()
        client.put_object(Bucket=BUCKET, Key=key.replace(identity, old), Body=body)
        client.delete_object(Bucket=BUCKET, Key=key)
    return old


def test_a_configuration_says_which_kinds_there_are(tmp_path, monkeypatch):
    monkeypatch.setattr(spec, "CONFIG_DIRECTORY", tmp_path)
    config = {
        "stack": "shop",
        "local_directory": "/var/backups/slipway/shop",
        "s3": {"bucket": "backups"},
        "keep": {"s3": {"days": 30}, "local": {"days": 7}},
        "kinds": {
            "redis": {"container": "shop-data-redis-1", "keep": {"s3": {"days": 7}}},
            "files": {"local": False},
        },
    }
    (tmp_path / "shop.json").write_text(json.dumps(config))
    assert spec.kinds("shop") == ["files", "redis"]
    redis = spec.load("shop", "redis")
    assert (redis.keep_s3.days, redis.keep_local.days, redis.settings["container"]) == (7, 7, "shop-data-redis-1")
    files = spec.load("shop", "files")
    assert files.local_directory == "" and files.keep_s3.days == 30
    for missing in ("state", "postgres"):
        with pytest.raises(SlipwayError, match=f"no backup of kind {missing}") as caught:
            spec.load("shop", missing)
        assert "files, redis" in caught.value.hint


def test_the_command_reads_the_newest_of_every_kind_back(files, s3, tmp_path, monkeypatch, capsys):
    """One kind that cannot be read makes the status bad, and the others are looked at all the same."""
    monkeypatch.setattr(spec, "CONFIG_DIRECTORY", tmp_path)
    config = {
        "stack": files.stack,
        "s3": asdict(files.spec.s3),
        "kinds": {"files": dict(files.spec.settings), "redis": {"container": "not-there"}},
    }
    (tmp_path / f"{files.stack}.json").write_text(json.dumps(config))
    parser = argparse.ArgumentParser()
    commands.register(parser.add_subparsers())

    def run(*words):
        asked = parser.parse_args(["backup", *words])
        return asked.func(asked)

    assert run("run", files.stack, "--kind", "files") == 0
    assert run("verify", files.stack, "--kind", "all") == 1
    assert "redis: The stack" in capsys.readouterr().err
    assert catalog.entries(stores(files.spec))[0].verified
    assert run("contents", files.stack, "--kind", "files") == 0
    assert "./init.sql" in capsys.readouterr().out
    assert run("list", files.stack, "--kind", "files") == 0
    assert "verified" in capsys.readouterr().out
    with pytest.raises(SlipwayError, match="no list of names"):
        run("contents", files.stack, "--kind", "redis")
