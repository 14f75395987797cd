# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
import threading

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.postgres import address, connection
from ansible_collections.slipway.vps.plugins.module_utils.postgres.options import ARGUMENT_SPEC, PostgresOptions

SECRET = "wrong-secret"


def refused(server, **more):
    with pytest.raises(SlipwayError) as caught:
        server.connect(**more)
    sentence = str(caught.value)
    assert SECRET not in sentence and "\n" not in sentence and caught.value.hint
    return sentence


def test_it_connects(postgres, database):
    assert postgres.query("SELECT current_database()", database) == [(database,)]


def test_a_wrong_password(postgres):
    sentence = refused(postgres, login_password=SECRET)
    assert "authentication failed" in sentence
    assert f"127.0.0.1, port {postgres.port}" in sentence


def test_no_password(postgres):
    assert "authentication failed" in refused(postgres, login_password="")


def test_an_unknown_role(postgres):
    # with passwords the server does not say whether a role exists
    assert "authentication failed" in refused(postgres, login_user="nobody_here", login_password=SECRET)


def test_an_unknown_database(postgres):
    assert "has no database named no_such_db" in refused(postgres, database="no_such_db")


def test_a_role_that_may_not_log_in(postgres):
    postgres.query("CREATE ROLE sleeper NOLOGIN PASSWORD 'sleeper-secret'")
    sentence = refused(postgres, login_user="sleeper", login_password="sleeper-secret")
    assert "may not log in" in sentence


def test_tls_that_the_server_does_not_have(postgres):
    assert "does not speak TLS" in refused(postgres, ssl_mode="require")


def test_nothing_listens():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(SlipwayError, match="connection refused"):
        connection.connect(PostgresOptions(host="127.0.0.1", port=port))


def test_no_socket(tmp_path):
    with pytest.raises(SlipwayError, match="nothing listens"):
        connection.connect(PostgresOptions(unix_socket=str(tmp_path)))


def test_an_unknown_host():
    with pytest.raises(SlipwayError, match="does not resolve"):
        connection.connect(PostgresOptions(host="no-such-host.invalid"))


def test_a_server_that_never_answers():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepted = []
        thread = threading.Thread(target=lambda: accepted.append(listener.accept()))
        thread.start()
        try:
            with pytest.raises(SlipwayError, match="no answer came in time"):
                connection.connect(PostgresOptions(host="127.0.0.1", port=listener.getsockname()[1], connect_timeout=2))
        finally:
            thread.join()
            accepted[0][0].close()


def test_an_unforeseen_reason_is_passed_on_without_the_password():
    error = connection.explain(PostgresOptions(host="db", password=SECRET), f"FATAL: odd {SECRET}\n")
    assert "odd ********" in str(error)


def test_options_are_read_from_parameters():
    defaults = {name: option.get("default") for name, option in ARGUMENT_SPEC.items()}
    assert PostgresOptions.from_params(defaults) == PostgresOptions() == PostgresOptions.from_params({})
    options = PostgresOptions.from_params({"login_container": "shop-data-postgres-1", "login_password": SECRET})
    assert options.place() == "container shop-data-postgres-1, port 5432"
    assert SECRET not in repr(options)


INSPECTED = {
    "State": {"Status": "running"},
    "HostConfig": {"NetworkMode": "shop-data_backend"},
    "NetworkSettings": {"Networks": {"shop-data_b": {"IPAddress": "172.20.0.2"}, "shop-data_a": {"IPAddress": ""}}},
}


def test_the_address_of_a_container():
    assert address.from_attributes("db", INSPECTED) == "172.20.0.2"
    assert address.from_attributes("db", {**INSPECTED, "HostConfig": {"NetworkMode": "host"}}) == "127.0.0.1"
    with pytest.raises(SlipwayError, match="exited, not running"):
        address.from_attributes("db", {**INSPECTED, "State": {"Status": "exited"}})
    with pytest.raises(SlipwayError, match="no network"):
        address.from_attributes("db", {**INSPECTED, "NetworkSettings": {"Networks": {"none": {"IPAddress": ""}}}})


def test_its_own_project_comes_before_the_networks_of_a_release():
    networks = {"shop-blue_backend": {"IPAddress": "172.20.0.2"}, "shop-data_backend": {"IPAddress": "172.21.0.2"}}
    inspected = {**INSPECTED, "NetworkSettings": {"Networks": networks}}
    assert address.from_attributes("db", inspected) == "172.20.0.2"
    labels = {"com.docker.compose.project": "shop-data"}
    assert address.from_attributes("db", {**inspected, "Config": {"Labels": labels}}) == "172.21.0.2"


@pytest.mark.docker
def test_a_container_that_does_not_exist():
    with pytest.raises(SlipwayError, match="no container named slipway-no-such-container"):
        connection.connect(PostgresOptions(container="slipway-no-such-container"))
