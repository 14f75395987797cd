# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups are armed, are in the object store, and bring a dropped table back."""

from __future__ import annotations

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
