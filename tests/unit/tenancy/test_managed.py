# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A managed database: TLS only, and the best role that one gets has CREATEROLE and CREATEDB."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg2
import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter
from ansible_collections.slipway.vps.plugins.module_utils.tenancy import engine, info
from ansible_collections.slipway.vps.tests.unit.postgres_server import PostgresServer, programs
from ansible_collections.slipway.vps.tests.unit.self_signed import self_signed

from .test_no_transaction import INDEX, INIT

OWNER = "shop_owner"
SECRET = "owner-secret"
ALPHA = {"slug": "alpha", "plan": "free", "login": True, "password": "alpha-secret"}
TEMPLATES = [INIT, INDEX]
_numbers = itertools.count(1)


def authority(directory: Path, name: str) -> tuple[Path, Path]:
    """A CA of our own."""
    key, certificate = directory / f"{name}.key", directory / f"{name}.pem"
    self_signed(key, certificate, f"{name}.test")
    return key, certificate


def signed(directory: Path, ca: tuple[Path, Path], host: str) -> None:
    """A server's certificate for one host name."""
    request = directory / "server.csr"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(directory / "server.key")]
    subprocess.run(
        ["openssl", "req", *key, "-subj", f"/CN={host}", "-out", str(request)], check=True, capture_output=True
    )
    (directory / "extensions").write_text(f"subjectAltName=DNS:{host}\n")
    subprocess.run(
        [
            *("openssl", "x509", "-req", "-in", str(request), "-days", "2", "-CAcreateserial"),
            *("-CA", str(ca[1]), "-CAkey", str(ca[0]), "-extfile", str(directory / "extensions")),
            *("-out", str(directory / "server.pem")),
        ],
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def managed():
    place = programs()
    if place is None:
        pytest.skip("no PostgreSQL server is installed here (Debian package postgresql)")
    with tempfile.TemporaryDirectory(prefix="slipway-managed-") as name:
        directory = Path(name)
        server = PostgresServer(directory, place)
        server.initialise()
        signed(directory, authority(directory, "ca"), "localhost")
        authority(directory, "stranger")
        for file in ("server.key", "server.pem"):
            shutil.chown(directory / file, server.owner)
        (directory / "server.key").chmod(0o600)
        (server.data / "pg_hba.conf").write_text("hostssl all all all scram-sha-256\n")
        server.start(
            "ssl=on",
            f"ssl_cert_file={directory / 'server.pem'}",
            f"ssl_key_file={directory / 'server.key'}",
        )
        try:
            server.query(f"CREATE ROLE {OWNER} LOGIN CREATEROLE CREATEDB PASSWORD '{SECRET}'")
            yield server
        finally:
            server.stop()


@pytest.fixture
def cloud(managed):
    return Cloud(managed, f"shop{next(_numbers)}")


class Cloud:
    """What a customer of a managed database has: a host name, a CA file, a role."""

    def __init__(self, server, database):
        self.server = server
        self.database = database
        self.prefix = f"{database}_"
        self.application = f"{database}_app"
        server.query(f'CREATE DATABASE "{database}"', **self.login())
        self.query(f"CREATE ROLE {self.application} LOGIN PASSWORD '{SECRET}'")

    def login(self, user=OWNER, password=SECRET, **more):
        return {
            "login_host": "localhost",
            "login_user": user,
            "login_password": password,
            "ssl_mode": "verify-full",
            "ca_cert": str(self.server.directory / "ca.pem"),
            **more,
        }

    def query(self, statement, **who):
        return self.server.query(statement, self.database, **self.login(**who))

    def converge(self, *tenants, check=False, login=None, **more):
        request = {
            **self.server.params(self.database, **self.login(**(login or {}))),
            "tenants": list(tenants),
            "role_prefix": self.prefix,
            "application_roles": [self.application],
            "templates": TEMPLATES,
            "registry_create": True,
            **more,
        }
        return engine.converge(request, Emitter.null(), check)


def test_the_role_is_as_weak_as_it_claims(cloud):
    powers = "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles WHERE rolname = "
    assert cloud.query(f"{powers} current_user") == [(False, True, True, False, False)]
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        cloud.query("TABLE pg_authid")


@pytest.mark.parametrize("grant", ["grants", "membership"])
def test_the_whole_life_of_a_tenant(cloud, grant):
    first = cloud.converge(ALPHA, {"slug": "bravo"}, application_grant=grant)
    assert [tenant["error"] for tenant in first["tenants"]] == [None, None]
    assert cloud.converge(ALPHA, {"slug": "bravo"}, application_grant=grant)["changed"] is False
    mine = {"user": f"{cloud.prefix}alpha", "password": "alpha-secret"}
    assert cloud.query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", **mine) == [(True,)]
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        cloud.query("TABLE tenant_bravo.products", **mine)
    insert = "INSERT INTO tenant_alpha.products (name) VALUES ('ball')"
    enter = f"SET ROLE {cloud.prefix}alpha; " if grant == "membership" else ""
    cloud.query(enter + insert, user=cloud.application)

    cloud.query(f"REVOKE ALL ON SCHEMA tenant_alpha FROM {cloud.application}; ALTER ROLE {cloud.prefix}alpha NOLOGIN")
    assert cloud.converge(ALPHA, {"slug": "bravo"}, application_grant=grant)["tenants"][0]["actions"]
    assert cloud.query("SELECT name FROM products", **mine) == [("ball",)]

    cloud.converge({**ALPHA, "state": "suspended"}, application_grant=grant)
    with pytest.raises(SlipwayError, match="may not log in"):
        cloud.query("SELECT 1", **mine)
    cloud.converge(ALPHA, application_grant=grant)
    # the verifier cannot be read here, so a new password needs the word
    changed = {**ALPHA, "password": "new-secret", "update_password": True}
    assert cloud.converge(changed, application_grant=grant)["tenants"][0]["actions"]
    assert cloud.query("SELECT name FROM products", user=f"{cloud.prefix}alpha", password="new-secret") == [("ball",)]

    gone = {"slug": "alpha", "state": "absent", "force": True, "export": False}
    result = cloud.converge(gone, application_grant=grant)
    assert result["tenants"][0]["error"] is None
    assert [tenant["slug"] for tenant in info.gather(cloud.server.params(cloud.database, **cloud.login()))] == ["bravo"]
    assert cloud.query(f"SELECT to_regrole('{cloud.prefix}alpha')") == [(None,)]


def test_check_mode_says_what_a_run_does(cloud):
    planned = cloud.converge(ALPHA, check=True)
    done = cloud.converge(ALPHA)
    assert planned["tenants"] == done["tenants"]
    assert planned["diff"] == done["diff"]


def test_drift_is_repaired_where_one_is_allowed_to(cloud):
    cloud.converge(ALPHA)
    report = f"{cloud.prefix}report"
    cloud.query(f"CREATE ROLE {report}; GRANT USAGE ON SCHEMA tenant_alpha TO {report}, PUBLIC")
    cloud.query(f"GRANT SELECT ON tenant_alpha.products TO {report}")
    cloud.query(f"REVOKE ALL ON tenant_alpha.products FROM {cloud.application}")
    assert len(cloud.converge(ALPHA)["tenants"][0]["actions"]) == 2
    assert len(cloud.converge(ALPHA, exclusive=True)["tenants"][0]["actions"]) == 2
    assert cloud.converge(ALPHA, exclusive=True)["changed"] is False


@pytest.mark.parametrize(
    ("login", "word"),
    [
        ({"ca_cert": "stranger.pem"}, "its TLS certificate could not be verified"),
        ({"login_host": "127.0.0.1"}, "its TLS certificate could not be verified"),
        ({"ca_cert": "nowhere.pem"}, "its TLS certificate could not be verified"),
        ({"ssl_mode": "disable"}, r"pg_hba\.conf has no line"),
    ],
)
def test_a_connection_that_is_not_surely_the_right_one_is_refused(cloud, login, word):
    if "ca_cert" in login:
        login = {"ca_cert": str(cloud.server.directory / login["ca_cert"])}
    with pytest.raises(SlipwayError, match=word) as caught:
        cloud.converge(ALPHA, login=login)
    assert SECRET not in str(caught.value)
