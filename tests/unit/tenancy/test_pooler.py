# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real PgBouncer in transaction mode, with the role's configuration, between tenants and a real PostgreSQL."""

from __future__ import annotations

import itertools
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import jinja2
import psycopg2
import pytest
import yaml

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.probe import engine as probes

from .conftest import APPLICATION_PASSWORD

ROLE = Path(__file__).parents[3] / "roles" / "tenants"
PROGRAM = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
PASSWORD = 'pooler\'s "secret"'
ALPHA, BRAVO = "alpha-secret", "bravo-secret"
_numbers = itertools.count(1)


def render(name, variables):
    """A template of the role, as the role renders it."""
    text = (ROLE / "templates" / name).read_text()
    options = {"trim_blocks": True, "keep_trailing_newline": True, "undefined": jinja2.StrictUndefined}
    return jinja2.Template(text, **options).render(variables)


class Pooler:
    """PgBouncer as a process of its own, in a directory of its own."""

    def __init__(self, shop, directory):
        self.shop = shop
        self.directory = directory
        self.role = f"{shop.prefix}pooler"
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.process = None

    def request(self):
        return {"pooler": {"role": self.role, "password": PASSWORD}}

    def start(self, **variables):
        defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
        more = {"listen_addr": "127.0.0.1", "logfile": self.directory / "log", "server_idle_timeout": 600}
        mine = {
            "tenants_database": {"name": self.shop.database, "port": self.shop.server.port},
            "__tenants_pooler_upstream": "127.0.0.1",
            "tenants_pooler_user": self.role,
            "tenants_pooler_password": PASSWORD,
            "tenants_pooler_config": str(self.directory),
            "tenants_pooler_port": self.port,
            "tenants_pooler_prepared_statements": 0,  # not known to the one of Debian 12
            "tenants_pooler_settings": more,
        }
        values = {**defaults, **mine, **variables}
        for name in ("pgbouncer.ini", "userlist.txt"):
            path = self.directory / name
            path.write_text(render(f"{name}.j2", values))
            path.chmod(0o644)
        account = pwd.getpwnam(self.shop.server.owner)
        self.directory.chmod(0o777)
        command = [PROGRAM, "-u", account.pw_name, str(self.directory / "pgbouncer.ini")]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
        end = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert time.monotonic() < end and self.process.poll() is None, (self.directory / "log").read_text()
                time.sleep(0.05)

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(10)

    def connect(self, slug, password, role=""):
        connection = psycopg2.connect(
            host="127.0.0.1",
            port=self.port,
            user=role or f"{self.shop.prefix}{slug}",
            password=password,
            dbname=self.shop.database,
            connect_timeout=10,
        )
        connection.autocommit = True
        return connection

    def query(self, slug, statement, password=ALPHA, role=""):
        connection = self.connect(slug, password, role)
        try:
            return answer(connection, statement)
        finally:
            connection.close()


def answer(connection, statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def patiently(question):
    """PgBouncer asks a server that has refused a role again only when somebody else was turned away over it."""
    end = time.monotonic() + 5
    while True:
        try:
            return question()
        except psycopg2.OperationalError:
            assert time.monotonic() < end
            time.sleep(0.2)


def tenant(slug, password, **more):
    return {"slug": slug, "login": True, "password": password, **more}


@pytest.fixture
def pooler(shop):
    if PROGRAM is None:
        pytest.skip("no PgBouncer is installed here (Debian package pgbouncer)")
    # not below pytest's own directory, which the pooler's user cannot enter
    with tempfile.TemporaryDirectory(prefix="slipway-pgbouncer-") as directory:
        found = Pooler(shop, Path(directory))
        try:
            yield found
        finally:
            found.stop()


@pytest.fixture
def two(pooler):
    """The pooler with two tenants, who own a product each."""
    result = pooler.shop.converge(tenant("alpha", ALPHA), tenant("bravo", BRAVO), **pooler.request())
    assert "create function slipway.pooler_auth" in result["database"]
    pooler.start()
    pooler.query("alpha", "INSERT INTO products (name) VALUES ('hat of alpha')")
    pooler.query("bravo", "INSERT INTO products (name) VALUES ('hat of bravo')", BRAVO)
    return pooler


def test_each_tenant_lands_in_its_own_schema_over_connections_that_are_used_again(two):
    clients = {"alpha": two.connect("alpha", ALPHA), "bravo": two.connect("bravo", BRAVO)}
    servers = {slug: set() for slug in clients}
    for _round in range(20):
        for slug, client in clients.items():
            statement = "SELECT current_schema, current_user::text, pg_backend_pid(), array_agg(name) FROM products"
            schema, user, pid, names = answer(client, f"{statement} GROUP BY 1, 2, 3")[0]
            assert (schema, user, names) == (f"tenant_{slug}", f"{two.shop.prefix}{slug}", [f"hat of {slug}"])
            servers[slug].add(pid)
    # transaction mode: the connection was taken back and given again, and never to the other tenant
    assert len(servers["alpha"]) == len(servers["bravo"]) == 1
    assert not servers["alpha"] & servers["bravo"]
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        answer(clients["alpha"], "SELECT * FROM tenant_bravo.products")


@pytest.mark.parametrize(
    ("done", "asked", "clean"),
    [
        ("SET search_path = pg_catalog", "SHOW search_path", "tenant_alpha, public"),
        ("SET statement_timeout = 7", "SHOW statement_timeout", "0"),
        ("CREATE TEMP TABLE products (name text)", "SELECT count(*) FROM products", 1),
        ("SELECT pg_advisory_lock(42)", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", 0),
        ("LISTEN news", "SELECT count(*) FROM pg_listening_channels()", 0),
    ],
    ids=["search_path", "setting", "temporary table", "lock", "listen"],
)
def test_nothing_that_a_session_set_is_met_by_the_next_client(two, done, asked, clean):
    first, second = two.connect("alpha", ALPHA), two.connect("alpha", ALPHA)
    (pid,) = answer(first, "SELECT pg_backend_pid()")[0]
    answer(first, done)
    assert answer(second, "SELECT pg_backend_pid()") == [(pid,)]
    assert answer(second, asked) == [(clean,)]


def test_the_application_may_not_take_a_tenants_role_or_path_along(pooler):
    """One user for all tenants: what it sets for one request must be gone in the next, which is another tenant's."""
    shop = pooler.shop
    shop.converge("alpha", "bravo", application_grant="membership", **pooler.request())
    pooler.start()
    first = pooler.connect("", APPLICATION_PASSWORD, role=shop.application)
    second = pooler.connect("", APPLICATION_PASSWORD, role=shop.application)
    (pid,) = answer(first, "SELECT pg_backend_pid()")[0]
    answer(first, f"SET ROLE {shop.prefix}alpha")
    answer(first, "SET search_path = tenant_alpha")
    told = "SELECT pg_backend_pid(), current_user::text, current_setting('search_path')"
    assert answer(second, told) == [(pid, shop.application, '"$user", public')]
    # what belongs together goes into one transaction, with LOCAL
    second.autocommit = False
    answer(second, f"SET LOCAL ROLE {shop.prefix}bravo")
    answer(second, "SET LOCAL search_path = tenant_bravo")
    assert answer(second, "SELECT current_schema, current_user::text") == [("tenant_bravo", f"{shop.prefix}bravo")]
    second.commit()
    assert answer(first, told) == [(pid, shop.application, '"$user", public')]


def test_a_new_tenant_is_served_without_a_reload(two):
    with pytest.raises(psycopg2.OperationalError):
        two.connect("charlie", ALPHA)
    two.shop.converge(tenant("charlie", ALPHA), **two.request())
    assert two.query("charlie", "SELECT current_schema") == [("tenant_charlie",)]


def test_a_suspended_tenant_is_put_out_and_comes_back(two):
    client = two.connect("alpha", ALPHA)
    assert answer(client, "SELECT 1") == [(1,)]
    two.shop.converge(tenant("alpha", ALPHA, state="suspended"), tenant("bravo", BRAVO), **two.request())
    with pytest.raises(psycopg2.OperationalError):
        answer(client, "SELECT 1")
    with pytest.raises(psycopg2.OperationalError):
        two.connect("alpha", ALPHA)
    assert two.query("bravo", "SELECT name FROM products", BRAVO) == [("hat of bravo",)]
    two.shop.converge(tenant("alpha", ALPHA), tenant("bravo", BRAVO), **two.request())
    assert patiently(lambda: two.query("alpha", "SELECT name FROM products")) == [("hat of alpha",)]


def test_a_new_password_counts_at_once(two):
    two.shop.converge(tenant("alpha", "another"), **two.request())
    with pytest.raises(psycopg2.OperationalError):
        two.connect("alpha", ALPHA)
    assert two.query("alpha", "SELECT 1", "another") == [(1,)]


def test_nobody_else_gets_in_and_the_poolers_role_can_do_nothing_else(two):
    shop, server = two.shop, two.shop.server
    with pytest.raises(psycopg2.OperationalError):
        two.connect("", server.params()["login_password"], role="postgres")
    shop.query(f"CREATE ROLE {shop.prefix}stranger LOGIN PASSWORD 'x'")
    with pytest.raises(psycopg2.OperationalError):
        two.connect("", "x", role=f"{shop.prefix}stranger")
    assert two.query("", "SELECT 1", APPLICATION_PASSWORD, role=shop.application) == [(1,)]

    def as_pooler(statement):
        return shop.query(statement, user=two.role, password=PASSWORD)

    assert as_pooler("SELECT count(*) FROM slipway.pooler_auth('postgres')") == [(0,)]
    ((name, verifier),) = as_pooler(f"SELECT (slipway.pooler_auth('{shop.prefix}alpha')).*")
    assert name == f"{shop.prefix}alpha"
    assert verifier.startswith("SCRAM-SHA-256$")
    for statement in (
        "SELECT * FROM slipway.tenants",
        "SELECT * FROM tenant_alpha.products",
        "SELECT * FROM pg_authid",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            as_pooler(statement)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        shop.query("SELECT slipway.pooler_auth('postgres')", user=f"{shop.prefix}alpha", password=ALPHA)


def test_one_tenant_cannot_take_all_connections(two):
    two.stop()
    two.start(tenants_pooler_size=2)
    busy = [two.connect("alpha", ALPHA) for _client in range(4)]
    for client in busy:
        client.autocommit = False
    for client in busy[:2]:
        answer(client, "SELECT 1")  # in a transaction: it keeps its connection
    assert two.query("bravo", "SELECT 1", BRAVO) == [(1,)]

    def used():
        users = two.shop.query("SELECT usename::text FROM pg_stat_activity WHERE datname = current_database()")
        return users.count((f"{two.shop.prefix}alpha",))

    assert used() == 2
    busy[0].commit()
    assert answer(busy[2], "SELECT 1") == [(1,)]  # whoever waited is next
    assert used() == 2


def test_a_probe_asks_through_it(two):
    who = {"login_port": two.port, "login_user": two.shop.application, "login_db": two.shop.database}
    probe = {"name": "pooler", "type": "postgres", "target": "127.0.0.1", **who, "login_password": APPLICATION_PASSWORD}
    (good,) = probes.check(probes.Request([probe])).probes
    assert good.status == "ok", good.message
    two.stop()
    (bad,) = probes.check(probes.Request([probe])).probes
    assert "connection refused" in bad.message


# without a pooler in between


def test_a_second_run_changes_nothing_and_drift_is_repaired(shop):
    role = f"{shop.prefix}pooler"
    wanted = {"pooler": {"role": role, "password": PASSWORD}}
    planned = shop.converge("alpha", check=True, **wanted)
    first = shop.converge("alpha", **wanted)
    assert planned["database"] == first["database"]
    again = shop.converge("alpha", **wanted)
    assert again["changed"] is False
    assert again["queries"] <= shop.converge("alpha")["queries"] + 2
    shop.query("GRANT EXECUTE ON FUNCTION slipway.pooler_auth(text) TO PUBLIC")
    shop.query(f"ALTER ROLE {role} SUPERUSER NOLOGIN PASSWORD 'x'")
    repaired = shop.converge("alpha", **wanted)["database"]
    assert repaired == [
        f"take all powers from role {role}",
        f"allow role {role} to log in",
        f"set password of role {role}",
        "create function slipway.pooler_auth",
    ]
    assert shop.converge("alpha", **wanted)["changed"] is False
    assert shop.query("SELECT * FROM slipway.pooler_auth('postgres')", user=role, password=PASSWORD) == []


def test_a_name_that_ends_a_quotation_is_a_name(shop):
    hostile = "$body$; DROP SCHEMA slipway; --'\\"
    shop.query(f'CREATE ROLE "{hostile}"')
    shop.converge("alpha", application_roles=[hostile], pooler={"role": f"{shop.prefix}p", "password": "x"})
    assert shop.query("SELECT count(*) FROM slipway.tenants") == [(1,)]
    assert shop.query("SELECT * FROM slipway.pooler_auth('postgres')") == []


def test_without_the_right_to_read_verifiers_there_is_a_sentence(shop):
    owner = f"{shop.prefix}owner"
    shop.query(f"CREATE ROLE {owner} LOGIN CREATEROLE PASSWORD 'x'")
    shop.query(
        f"GRANT CREATE ON DATABASE {shop.database} TO {owner}; GRANT ALL ON ALL TABLES IN SCHEMA public TO {owner}"
    )
    wanted = {"pooler": {"role": f"{shop.prefix}p", "password": "x"}, "login_user": owner, "login_password": "x"}
    with pytest.raises(SlipwayError, match="may not read the verifiers"):
        shop.converge("alpha", **wanted)
    assert shop.query("SELECT to_regnamespace('slipway')") == [(None,)]
