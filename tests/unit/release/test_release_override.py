# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Slipway adds to the team's Compose file, and how it calls Compose, as values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ansible_collections.slipway.vps.plugins.module_utils.release import compose, override
from ansible_collections.slipway.vps.plugins.module_utils.release.model import Model, endpoints, groups
from ansible_collections.slipway.vps.plugins.module_utils.release.spec import Spec

IMAGES = {name: f"{name}@sha256:0" for name in ("api", "web", "dashboard", "postgres", "redis")}
PROJECT = compose.Project("shop-green", "/srv/shop/files", ("compose.yml", "override.green.json"))
CALL = "docker compose -p shop-green --project-directory /srv/shop/files -f compose.yml -f override.green.json "


def for_slot(spec: Spec, model: Model, ports: dict[str, list[int]], version: str = "2.30.0") -> dict:
    return override.for_slot(spec, model, groups(model, spec), "green", 7, ports, IMAGES, "shop-green", version)


def test_a_service_of_a_slot(spec: Spec, model: Model) -> None:
    document = for_slot(spec, model, {"web:3000": [18003]})
    assert document["services"]["web"] == {
        "image": "web@sha256:0",
        "pull_policy": "never",
        "restart": "unless-stopped",
        "init": True,
        "logging": {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}},
        "labels": {
            "vps.slipway.stack": "shop",
            "vps.slipway.slot": "green",
            "vps.slipway.release": "7",
            "vps.slipway.service": "web",
        },
        "ports": [{"target": 3000, "host_ip": "127.0.0.1", "published": "18003", "protocol": "tcp"}],
    }


def test_no_data_service_is_in_a_slot_and_volumes_are_shared(spec: Spec, model: Model) -> None:
    slot = for_slot(spec, model, {})
    data = override.for_data(spec, model, groups(model, spec), 7, IMAGES, "shop-data")
    assert set(slot["services"]) == {"api", "web", "dashboard"}
    assert set(data["services"]) == {"postgres", "redis"}
    assert (
        slot["volumes"]
        == data["volumes"]
        == {
            "uploads": {"name": "shop_uploads"},
            "postgres_data": {"name": "shop_postgres_data"},
            "redis_data": {"name": "shop_redis_data"},
        }
    )
    assert slot["networks"]["backend"]["name"] == "shop-green_backend"
    assert data["networks"]["backend"] == {"name": "shop-data_backend"}


def test_a_network_of_a_slot_tells_how_it_was_asked_for(spec: Spec, model: Model) -> None:
    def told(asked: Model, version: str = "2.30.0") -> dict[str, str]:
        networks = for_slot(spec, asked, {}, version)["networks"]
        return {name: network["labels"][override.DEFINITION] for name, network in networks.items()}

    internal = {**model.networks, "backend": {**model.networks["backend"], "internal": True}}
    before, after = told(model), told(Model({**model.data, "networks": internal}))
    assert before == told(model)
    assert before["backend"] != after["backend"] and before["frontend"] == after["frontend"]
    # Compose keeps a note of its own on a network, which another version of it may make in another way.
    assert not set(before.values()) & set(told(model, "2.40.0").values())


def test_the_data_project_looks_the_same_in_every_release(spec: Spec, model: Model) -> None:
    made = [override.for_data(spec, model, groups(model, spec), number, IMAGES, "shop-data") for number in (1, 2)]
    assert made[0] == made[1]
    assert "ports" not in made[0]["services"]["postgres"]


def test_no_init_shows_the_command_line_of_a_data_service(spec: Spec, model: Model) -> None:
    made = override.for_data(spec, model, groups(model, spec), 1, IMAGES, "shop-data")
    assert not any("init" in service for service in made["services"].values())


def test_what_the_team_decided_stays(spec: Spec, changed: Callable[..., Model]) -> None:
    service = for_slot(spec, changed("web", init=False, logging={"driver": "journald"}), {})["services"]["web"]
    assert "init" not in service and "logging" not in service


def test_replicas_and_limits(spec: Spec, model: Model) -> None:
    wanted = replace(spec, replicas={"api": 3}, limits={"api": {"cpus": "1.5", "memory": "512M"}})
    assert endpoints(wanted, model) == {"api:8080": 3, "web:3000": 1}
    api = for_slot(wanted, model, {"api:8080": [18010, 18011, 18012]})["services"]["api"]
    assert api["ports"][0]["published"] == "18010-18012"
    assert api["deploy"] == {"resources": {"limits": {"cpus": "1.5", "memory": "512M"}}}


def test_calls() -> None:
    options = "--no-deps --no-build --pull never --quiet-pull --scale api=3 api web"
    scale = {"api": 3, "worker": 1}
    assert " ".join(compose.create(PROJECT, ["api", "web"], scale)) == CALL + "up --no-start " + options
    kept = compose.up(PROJECT, ["api", "web"], scale)
    assert " ".join(kept) == CALL + "up -d --no-recreate " + options
    once = compose.run_once(PROJECT, "api", ["migrate", "a b"], "shop-green-migrate")
    assert once[-8:] == ["--rm", "--no-deps", "-T", "--name", "shop-green-migrate", "api", "migrate", "a b"]
