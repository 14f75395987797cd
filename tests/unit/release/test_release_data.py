# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Definitions of data services, volumes under other names, and what an upgrade starts: as values."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.release import (
    compose,
    definitions,
    override,
    record,
    state,
    upgrade,
)
from ansible_collections.slipway.vps.plugins.module_utils.release.definitions import Definition
from ansible_collections.slipway.vps.plugins.module_utils.release.model import Model, groups, pinned
from ansible_collections.slipway.vps.plugins.module_utils.release.paths import StackPaths
from ansible_collections.slipway.vps.plugins.module_utils.release.spec import Spec

KEY = b"k" * 32
IMAGE = "registry.test/postgres@sha256:1"


@pytest.fixture
def paths(tmp_path: Path) -> StackPaths:
    return StackPaths("shop", stacks=tmp_path, nginx_stacks=tmp_path / "nginx")


def make(spec: Spec, model: Model, paths: StackPaths, service: str = "postgres") -> Definition:
    return definitions.make(spec, model, groups(model, spec), service, IMAGE, paths, KEY)


def test_a_definition_stands_alone(spec: Spec, model: Model, paths: StackPaths) -> None:
    made = make(spec, model, paths)
    assert set(made.entry["services"]) == {"postgres"} == set(made.addition["services"])
    assert set(made.entry["volumes"]) == {"postgres_data"} == set(made.addition["volumes"])
    assert "depends_on" not in made.team
    assert made.volumes == {"postgres_data": "shop_postgres_data"}
    assert made.addition["services"]["postgres"]["image"] == IMAGE


def test_a_definition_reads_back_as_itself_and_only_root_may_read_it(
    spec: Spec, model: Model, paths: StackPaths
) -> None:
    made = make(spec, model, paths)
    definitions.write(paths, made)
    assert definitions.read(paths, "postgres") == made
    assert (paths.data / "postgres.json").stat().st_mode & 0o777 == 0o600
    assert definitions.read(paths, "postgres", definitions.BEFORE) is None


def test_what_is_shown_of_a_definition_holds_no_secret(
    spec: Spec, changed: Callable[..., Model], paths: StackPaths
) -> None:
    model = changed("postgres", command=["postgres", "-c", "x=correct horse"], environment={"A": "s3cr3t", "B": "info"})
    shown = make(spec, model, paths).shown
    assert "correct horse" not in shown and "s3cr3t" not in shown
    assert '"B": "info"' in shown  # a plain value of stack_env


def test_a_mark_changes_with_settings_limits_and_files_but_not_with_what_fills_an_empty_database(
    spec: Spec, model: Model, changed: Callable[..., Model]
) -> None:
    files = str(StackPaths("shop").files)
    mounts = [
        {"type": "bind", "source": f"{files}/init.sql", "target": "/docker-entrypoint-initdb.d/init.sql"},
        {"type": "bind", "source": f"{files}/conf", "target": "/etc/postgresql"},
    ]
    mounted = changed("postgres", volumes=[*model.services["postgres"]["volumes"], *mounts])
    given = replace(spec, files={"init.sql": "1", "conf/pg.conf": "1", "config.txt": "1"})
    first = record.definition(mounted, "postgres", given)
    same = replace(given, files={"init.sql": "2", "conf/pg.conf": "1", "config.txt": "2"})
    assert record.definition(mounted, "postgres", same) == first
    others = [
        record.definition(mounted, "postgres", replace(given, files={**given.files, "conf/pg.conf": "2"})),
        record.definition(mounted, "postgres", replace(given, limits={"postgres": {"memory": "1g"}})),
        record.definition(changed("postgres", shm_size="64mb"), "postgres", given),
    ]
    assert first not in others and len(set(others)) == 3


def test_volumes_keep_the_names_that_they_have_on_the_host(spec: Spec, model: Model) -> None:
    renamed = pinned(model, {"uploads": "old_uploads", "gone": "x"})
    document = override.for_data(spec, renamed, groups(renamed, spec), 1, dict.fromkeys(model.services, "i"), "p")
    assert document["volumes"]["uploads"] == {"name": "old_uploads"}
    assert document["volumes"]["redis_data"] == {"name": "shop_redis_data"}


def test_the_state_keeps_the_names() -> None:
    known = replace(state.State("shop"), volumes={"uploads": "old_uploads"})
    assert state.load("shop", json.loads(json.dumps(state.dump(known)))) == known


def test_a_changed_service_is_made_anew(spec: Spec, model: Model, paths: StackPaths) -> None:
    project = definitions.project(paths, [make(spec, model, paths)])
    argv = compose.replace(project, "postgres")
    assert argv[:4] == ["docker", "compose", "-p", "shop-data"]
    assert "--force-recreate" in argv and "--no-deps" in argv and argv[-1] == "postgres"


def test_an_image_tells_its_major_version() -> None:
    assert upgrade.major({"PGDATA": "/var/lib/postgresql/data", "PG_MAJOR": "15"}) == 15
    assert upgrade.major({"PG_MAJOR": "15"}) is None  # a client
    assert upgrade.major({"PATH": "/bin"}) is None


def test_the_server_of_a_transfer_has_one_volume_no_network_and_fills_nothing(
    spec: Spec, model: Model, changed: Callable[..., Model], paths: StackPaths
) -> None:
    mounts = [
        *model.services["postgres"]["volumes"],
        {"type": "bind", "source": "/srv/shop/files/init.sql", "target": "/docker-entrypoint-initdb.d/init.sql"},
        {"type": "bind", "source": "/srv/shop/files/pg.conf", "target": "/etc/pg.conf"},
    ]
    environment = {"POSTGRES_USER_FILE": "/run/secrets/user", "POSTGRES_PASSWORD": "p", "POSTGRES_DB": "shop"}
    made = make(spec, changed("postgres", volumes=mounts, environment=environment), paths)
    owner = {"POSTGRES_USER": "shop", "POSTGRES_DB": "postgres"}
    document = upgrade.server(made, "shop_data_pg17", "/var/lib/postgresql/data", {"/sockets": "/host"}, owner)
    service = document["services"]["postgres"]
    assert document["volumes"] == {"database": {"name": "shop_data_pg17", "external": True}}
    assert service["network_mode"] == "none" and service["restart"] == "no" and "ports" not in service
    assert service["environment"] == {"POSTGRES_PASSWORD": "p", **owner}
    assert [mount["target"] for mount in service["volumes"]] == ["/var/lib/postgresql/data", "/etc/pg.conf", "/sockets"]


def test_the_owner_of_a_new_cluster_is_not_made_twice() -> None:
    roles = 'CREATE ROLE shop;\nALTER ROLE shop WITH SUPERUSER;\nCREATE ROLE "we""ird";\nCREATE ROLE shopper;\n'
    assert upgrade.without_creation(roles, "shop") == roles.replace("CREATE ROLE shop;\n", "")
    assert 'CREATE ROLE "we""ird";' not in upgrade.without_creation(roles, 'we"ird')
