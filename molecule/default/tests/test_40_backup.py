# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups are armed, are in the object store, and bring a dropped table back."""

from __future__ import annotations

import json
from typing import Any

PSQL = "docker exec shop-data-postgres-1 psql --username shop --dbname shop --no-align --tuples-only --command"


def test_a_timer_is_armed(vps: Any) -> None:
    timers = vps.check_output("systemctl list-timers --all --no-legend --plain")
    armed = [line for line in timers.splitlines() if "slipway-backup" in line]
    assert armed, timers
    assert not armed[0].startswith("n/a"), armed


def test_a_backup_is_in_the_object_store(objects: Any) -> None:
    keys = objects()
    assert [key for key in keys if "manifest" in key], keys


def test_a_dropped_table_comes_back(vps: Any, web: Any, playbook: Any, objects: Any) -> None:
    wanted = web.products("alpha.shop.test")
    assert wanted
    before = set(objects())
    playbook("backup")
    assert set(objects()) - before
    vps.check_output(f'{PSQL} "DROP TABLE tenant_alpha.orders, tenant_alpha.products"')
    assert web.ask("alpha.shop.test", "/products").status == 503
    playbook("restore", "--extra-vars", "restore_target=in_place restore_confirm=shop")
    assert web.products("alpha.shop.test") == wanted


def test_redis_comes_back(vps: Any, playbook: Any) -> None:
    redis = "docker exec shop-data-redis-1 redis-cli"
    vps.check_output(f"{redis} set slipway-test kept")
    playbook("backup", "--extra-vars", "backup_kind=redis")
    vps.check_output(f"{redis} set slipway-test lost")
    playbook("restore", "--extra-vars", "backup_kind=redis restore_target=in_place restore_confirm=shop")
    assert vps.check_output(f"{redis} get slipway-test") == "kept"


def test_uploads_come_back(vps: Any, playbook: Any) -> None:
    uploads = vps.check_output("docker volume inspect --format '{{.Mountpoint}}' shop_uploads")
    vps.check_output(f"echo kept > {uploads}/slipway-test")
    playbook("backup", "--extra-vars", "backup_kind=files")
    vps.check_output(f"echo lost > {uploads}/slipway-test")
    wanted = '{"backup_kind": "files", "restore_contents": ["volume-shop_uploads"]}'
    playbook("restore", "--extra-vars", wanted, "-e", "restore_target=in_place restore_confirm=shop")
    assert vps.check_output(f"cat {uploads}/slipway-test") == "kept"


def test_a_drill_proves_the_newest_backup_and_leaves_nothing(vps: Any, playbook: Any, objects: Any) -> None:
    def beside() -> list[str]:
        return [key for key in objects() if "/postgres/" in key and "/drill-" in key]

    assert beside(), "the role made no first drill"
    before, volumes = set(beside()), vps.check_output("docker volume ls --quiet")
    playbook("restore_drill")
    assert len(set(beside()) - before) == 1
    known = json.loads(vps.check_output("cat /var/lib/slipway/backup/shop/postgres/drill.json"))
    assert known["last"] == known["good"]
    assert known["good"]["compared"] == ["rows", "extensions", "schema"] and known["good"]["rows"] > 0
    assert vps.check_output("docker ps --all --quiet --filter label=slipway.drill") == ""
    assert vps.check_output("docker volume ls --quiet") == volumes
    timers = vps.check_output("systemctl list-timers --all --no-legend --plain 'slipway-drill@*'")
    assert "slipway-drill@shop.timer" in timers and not timers.startswith("n/a")


def test_the_unit_drills_every_kind(vps: Any) -> None:
    vps.check_output("systemctl start slipway-drill@shop.service")
    for kind in ("redis", "files"):
        known = json.loads(vps.check_output(f"cat /var/lib/slipway/backup/shop/{kind}/drill.json"))
        assert known["last"]["result"] == "good", known["last"]["reason"]
    assert not vps.file("/var/lib/slipway/drill/shop/files").exists


def test_a_drill_that_fails_is_seen(vps: Any) -> None:
    done = vps.run("slipway backup drill shop --id 20200101T000000Z-abcdef")
    assert done.rc == 1 and "has no backup '20200101T000000Z-abcdef'" in done.stderr
    assert (
        json.loads(vps.check_output("cat /var/lib/slipway/backup/shop/postgres/drill.json"))["last"]["result"]
        == "failed"
    )
    vps.check_output("slipway backup drill shop")
