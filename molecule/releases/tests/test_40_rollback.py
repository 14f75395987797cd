# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Back to a release of the history: what comes back, what does not, and without the registry."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from slipway_arguments import ArgumentWatch
from slipway_lab import Server
from slipway_registry import move_tag
from slipway_shop import Shop

REGISTRY_ADDRESS = "10.77.0.4"
IMAGE = "shop/rollback:moving"
TOKENS = {"one": "token-of-the-first-release", "two": "token-of-the-second-release"}
ENGINE_SECONDS = 10


@pytest.fixture(scope="module")
def shop(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    made = Shop(server, tmp_path_factory.mktemp("rollback"))
    made.compose["services"]["api"]["image"] = f"${{REGISTRY}}/{IMAGE}"
    made.environment("api", GREETING="${GREETING}", TOKEN="${TOKEN}")
    return made


def released(shop: Shop, release: str, mark: str, **variables: Any) -> int:
    """A release whose Compose file, environment, secret and image are all its own."""
    shop.environment("api", FROM_THE_FILE=mark)
    shop.set(
        stack_env={**shop.variables["stack_env"], "GREETING": mark},
        stack_secrets={**shop.variables["stack_secrets"], "TOKEN": TOKENS[mark]},
    )
    shop.deploy(release, **variables)
    return int(shop.history()[0]["release"])


def seen(shop: Shop) -> tuple[str, str, str]:
    given = shop.environment_of("api")
    return given["FROM_THE_FILE"], given["GREETING"], given["TOKEN"]


def digest(shop: Shop) -> str:
    (container,) = shop.containers("api")
    return str(container["Config"]["Image"])


@contextmanager
def no_registry(server: Server) -> Iterator[None]:
    """For this host the registry is gone."""
    server.vps.check_output(f"ip route add unreachable {REGISTRY_ADDRESS}/32")
    try:
        assert server.vps.run("docker pull registry.lab.test:5000/shop/app:1.0.0").rc != 0
        yield
    finally:
        server.vps.check_output(f"ip route del unreachable {REGISTRY_ADDRESS}/32")


class Migrations:
    """Containers that migrated while this was open, by Docker's own account."""

    def __init__(self, server: Server) -> None:
        self._vps = server.vps

    def __enter__(self) -> Migrations:
        self._since = self._vps.check_output("date +%s.%N")
        self.names: list[str] = []
        return self

    def __exit__(self, *_: object) -> None:
        now = self._vps.check_output("date +%s.%N")
        events = self._vps.check_output(
            f"docker events --since {self._since} --until {now} --filter type=container --filter event=create "
            "--format '{{.Actor.Attributes.name}}'"
        ).split()
        assert events or not self.names
        self.names = [name for name in events if name.endswith("-migrate")]


@pytest.fixture(scope="module")
def numbers(shop: Shop, server: Server) -> dict[str, int]:
    """Two releases; between them and after them the tag moves in the registry."""
    found = {}
    digests = [move_tag("shop/app:1.0.1", IMAGE)]
    found["one"] = released(shop, "1.0.1", "one")
    digests.append(move_tag("shop/app:1.1.0", IMAGE))
    with Migrations(server) as migrations:
        found["two"] = released(shop, "1.1.0", "two", stack_contract=True, stack_migrate_dump=True)
    assert migrations.names == ["shop-green-migrate"] or migrations.names == ["shop-blue-migrate"]
    assert digest(shop).endswith(digests[1])
    move_tag("shop/app:1.2.0-crash", IMAGE)
    assert digests[0] != digests[1]
    return found


def test_the_dump_before_a_migration_is_on_record(shop: Shop, server: Server, numbers: dict[str, int]) -> None:
    newest = shop.history()[0]
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{6}", newest["dump"])
    assert newest["dump"] in server.vps.check_output("slipway backup list shop")
    phases = [phase["name"] for phase in newest["phases"]]
    assert phases.index("dump") == phases.index("migrate") - 1


def test_a_contract_is_not_crossed_by_accident(shop: Shop, server: Server, numbers: dict[str, int]) -> None:
    before = digest(shop)
    refused = server.vps.run("slipway release rollback shop")
    assert refused.rc != 0
    assert f"would cross release 1.1.0 (number {numbers['two']}), which is marked as contract" in refused.stderr
    assert "stack_force" in refused.stderr
    assert digest(shop) == before


def test_the_release_before_without_the_registry(shop: Shop, server: Server, numbers: dict[str, int]) -> None:
    with no_registry(server), Migrations(server) as migrations:
        play = shop.play("rollback", stack_force=True)
    assert play.code == 0, play.output[-6000:]
    newest = shop.history()[0]
    assert (newest["release"], newest["kind"], newest["result"]) == (numbers["one"], "rollback", "succeeded")
    assert migrations.names == []
    # Its Compose file, its plain environment, its digest although the tag has moved; and today's secret.
    assert seen(shop) == ("one", "one", TOKENS["two"])
    assert digest(shop) == newest["images"]["api"]
    assert server.web.ask(f"api.{server.zone}", "/version").json()["release"] == "1.0.1"


def test_to_a_number_and_with_its_own_secrets_which_no_argument_list_shows(
    shop: Shop, server: Server, numbers: dict[str, int]
) -> None:
    back = "slipway release rollback shop"
    server.vps.check_output(f"{back} {numbers['two']}")
    assert seen(shop) == ("two", "two", TOKENS["two"])
    with ArgumentWatch(server) as watch:
        server.vps.check_output(f"{back} {numbers['one']} --force --secrets release")
    assert "docker compose" in watch.seen
    assert not any(token in watch.seen for token in TOKENS.values())
    assert seen(shop) == ("one", "one", TOKENS["one"])
    assert server.web.ask(f"api.{server.zone}", "/version").json()["release"] == "1.0.1"


@pytest.mark.long
def test_the_images_of_kept_releases_survive_pruning(shop: Shop, server: Server, numbers: dict[str, int]) -> None:
    entries = {entry["release"]: entry["images"].get("api") for entry in reversed(shop.history())}
    server.vps.check_output("docker pull --quiet registry.lab.test:5000/shop/app:1.2.0-sick")
    server.vps.check_output("systemctl start slipway-docker-prune.service")
    pruned = server.vps.check_output("docker image prune --all --force")
    assert "shop/app:1.2.0-sick" in pruned
    for number in numbers.values():
        server.vps.check_output(f"docker image inspect {entries[number]}")
    # By hand everything can be thrown away; then the release that serves is fetched again by its digest.
    server.vps.check_output("docker container prune --force")
    server.vps.check_output("docker image prune --all --force")
    assert server.vps.run(f"docker image inspect {entries[numbers['two']]}").rc != 0
    server.vps.check_output(f"slipway release rollback shop {numbers['two']}")
    assert digest(shop) == entries[numbers["two"]]


@pytest.mark.long
def test_a_rollback_is_quick(shop: Shop) -> None:
    """The quickest of those above: what else the machine does must not decide."""
    rollbacks = [entry for entry in shop.history() if (entry["kind"], entry["result"]) == ("rollback", "succeeded")]
    quickest = min(rollbacks, key=lambda entry: float(entry["seconds"]))
    assert quickest["seconds"] < ENGINE_SECONDS, quickest["phases"]


def test_the_history_tells_everything_and_notices_when_it_was_shortened(shop: Shop, server: Server) -> None:
    told = server.vps.check_output("slipway release list shop --long")
    newest = shop.history()[0]
    for text in (newest["by"], newest["at"], newest["images"]["api"], "migrate", "succeeded"):
        assert text in told
    log = "/srv/shop/releases.jsonl"
    server.vps.check_output(f"cp --preserve {log} /root/releases.jsonl")
    try:
        server.vps.check_output(f"truncate --size=-20 {log}")
        shortened = server.vps.run("slipway release list shop")
        assert shortened.rc == 1 and "is shorter than it was" in shortened.stderr
    finally:
        server.vps.check_output(f"cp --preserve /root/releases.jsonl {log}")
    assert server.vps.run("slipway release list shop").rc == 0


def test_no_secret_is_in_a_log(shop: Shop, server: Server) -> None:
    logs = server.vps.check_output(
        "journalctl --no-pager --since -1h; cat /var/lib/slipway/jobs/*/events.jsonl /srv/shop/releases.jsonl"
    )
    assert '"phase": "switch"' in logs
    assert not any(token in logs for token in TOKENS.values())
