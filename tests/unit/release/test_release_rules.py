# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Compose file must not do."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.release import compose, images, planning, record, rules
from ansible_collections.slipway.vps.plugins.module_utils.release.model import Model, groups, waves
from ansible_collections.slipway.vps.plugins.module_utils.release.spec import Command, Spec

Change = Callable[..., Model]


def refusal(spec: Spec, model: Model) -> SlipwayError:
    with pytest.raises(SlipwayError) as caught:
        rules.check(spec, model)
    assert caught.value.hint
    return caught.value


def test_the_sample_application_is_accepted(spec: Spec, model: Model) -> None:
    rules.check(spec, model)


@pytest.mark.parametrize(
    ("service", "keys", "words"),
    [
        ("api", {"container_name": "shop-api"}, "container_name shop-api"),
        ("api", {"image": None}, "no image"),
        ("postgres", {"ports": [{"target": 5432, "published": "5432"}]}, "database must not be reachable"),
        ("web", {"ports": [{"target": 3000, "published": "3000"}]}, "fixed port 3000:3000"),
        ("web", {"ports": [{"target": 3000, "published": "3000", "host_ip": "127.0.0.1"}]}, "fixed port"),
        ("web", {"ports": [{"target": 3000}]}, "every address of the host"),
        ("web", {"ports": [{"target": 3000, "host_ip": "0.0.0.0"}]}, "every address of the host"),
        ("web", {"healthcheck": {"disable": True}}, "web has no health check"),
        ("web", {"healthcheck": {"test": ["NONE"]}}, "web has no health check"),
        ("dashboard", {"network_mode": "host"}, "host's network"),
        ("dashboard", {"networks": {"frontend": {"ipv4_address": "10.0.0.2"}}}, "fixed address"),
        ("postgres", {"deploy": {"replicas": 2}}, "asks for 2 replicas of postgres"),
        ("postgres", {"depends_on": {"api": {"condition": "service_started"}}}, "comes and goes"),
    ],
)
def test_what_is_refused(spec: Spec, changed: Change, service: str, keys: dict[str, Any], words: str) -> None:
    assert words in refusal(spec, changed(service, **keys)).message


def test_an_ephemeral_loopback_port_is_the_teams_own_business(spec: Spec, changed: Change) -> None:
    rules.check(spec, changed("web", ports=[{"target": 9000, "host_ip": "127.0.0.1"}]))


def test_a_health_check_may_come_from_the_image(spec: Spec, changed: Change) -> None:
    for check in (None, {"interval": "5s"}):
        model = changed("web", healthcheck=check)
        rules.check(spec, model)
        assert "its image has to bring one" in rules.warnings(spec, model)[0]
        rules.refuse_unchecked(spec, model, {"web"})
        with pytest.raises(SlipwayError) as caught:
            rules.refuse_unchecked(spec, model, {"api"})
        assert "The routed service web has no health check" in caught.value.message
        assert '["CMD", "curl", "-fsS", "http://127.0.0.1:3000/health"]' in caught.value.hint


def test_a_release_knows_whose_health_to_wait_for(spec: Spec, changed: Change) -> None:
    model = changed("web", healthcheck=None)
    made = record.make(1, spec, model, {}, "mark", "now", "me")
    assert "web" not in made.checked and "api" in made.checked
    assert "web" in record.with_checks(made, model, {"web"}).checked
    off = changed("web", healthcheck={"disable": True})
    assert "web" not in record.with_checks(made, off, {"web"}).checked


@pytest.mark.parametrize(
    ("image", "has"),
    [
        ({}, False),
        ({"Config": {"Healthcheck": None}}, False),
        ({"Config": {"Healthcheck": {"Test": ["NONE"]}}}, False),
        ({"Config": {"Healthcheck": {"Test": ["CMD", "true"]}}}, True),
    ],
)
def test_the_health_check_of_an_image(image: dict[str, Any], has: bool) -> None:
    assert images.has_health_check(image) is has


def test_every_problem_is_told_at_once(spec: Spec, changed: Change) -> None:
    model = changed("api", container_name="x", ports=[{"target": 1, "published": "1"}])
    assert len(refusal(spec, model).details["problems"]) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"data_services": ("postgres", "nowhere")},
        {"exclusive_services": ("nowhere",)},
        {"replicas": {"nowhere": 2}},
        {"migrate": Command("nowhere", ("x",))},
    ],
)
def test_an_unknown_service(spec: Spec, model: Model, change: dict[str, Any]) -> None:
    said = refusal(replace(spec, **change), model)
    assert "no service nowhere" in said.message
    assert "api, dashboard, postgres, redis, web" in said.hint


def test_a_route_leads_to_an_application_service(spec: Spec, model: Model) -> None:
    to_database = replace(spec.routes[0], service="postgres")
    assert "data service postgres" in refusal(replace(spec, routes=(to_database,)), model).message
    exclusive = replace(spec, exclusive_services=("web",))
    assert "exclusive service web" in refusal(exclusive, model).message


def test_a_fixed_subnet(spec: Spec, model: Model) -> None:
    data = json.loads(json.dumps(model.data))
    data["networks"]["backend"] = {"ipam": {"config": [{"subnet": "10.9.0.0/24"}]}}
    assert "network backend has a fixed subnet" in refusal(spec, Model(data)).message


def test_services_start_after_what_they_depend_on(spec: Spec, model: Model) -> None:
    life = groups(model, spec)
    assert life.data == ("postgres", "redis")
    assert life.slot == ("api", "dashboard", "web")
    assert waves(model, life.slot) == [["api"], ["dashboard", "web"]]


def test_a_circle_is_refused(changed: Change) -> None:
    model = changed("api", depends_on={"web": {"condition": "service_started"}})
    with pytest.raises(SlipwayError, match="in a circle"):
        waves(model, ("api", "web"))


def test_one_shots_and_migration_services_are_no_slot_services(spec: Spec, changed: Change) -> None:
    model = changed("web", depends_on={"dashboard": {"condition": "service_completed_successfully"}})
    assert groups(model, spec).one_shot == ("dashboard",)
    own = groups(model, replace(spec, migrate=Command("dashboard")))
    assert (own.migration, own.one_shot) == (("dashboard",), ())


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("2.26.1-4", (2, 26, 1)), ("v2.40.0", (2, 40, 0)), ("2.24.4", (2, 24, 4)), ("rubbish", (0, 0, 0))],
)
def test_versions(text: str, numbers: tuple[int, ...]) -> None:
    assert compose.parse_version(text) == numbers
    if numbers < compose.MINIMUM:
        with pytest.raises(SlipwayError, match="too old"):
            compose.refuse_old(text)
    else:
        compose.refuse_old(text)


def test_variables_without_a_value_are_found_in_what_compose_prints() -> None:
    line = 'time="2026-11-21T05:43:57Z" level=warning msg="The \\"{}\\" variable is not set. "'
    recorded = "\n".join(line.format(name) for name in ("ALSO", "NOPE"))
    assert compose.UNSET.findall(recorded) == ["ALSO", "NOPE"]
    assert compose.without_warnings(recorded + "\nreal trouble") == "real trouble"


def test_a_digest_is_of_a_service_that_there_is(spec: Spec, model: Model) -> None:
    digest = f"sha256:{'5f' * 32}"
    rules.check(replace(spec, digests={"api": digest}), model)
    refused = refusal(replace(spec, digests={"shop": digest}), model)
    assert "no service shop, which stack_digests names" in refused.message


def test_a_promoted_image_is_that_of_the_repository_in_the_compose_file(spec: Spec, model: Model) -> None:
    digest = f"sha256:{'5f' * 32}"
    promoted = replace(spec, digests={"api": digest})
    assert planning.wanted_image(promoted, model, "api") == f"{images.repository(model.image('api'))}@{digest}"
    assert planning.wanted_image(promoted, model, "web") == model.image("web")
