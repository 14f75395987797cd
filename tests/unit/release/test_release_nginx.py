# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.release import nginx
from ansible_collections.slipway.vps.plugins.module_utils.release.paths import StackPaths
from ansible_collections.slipway.vps.plugins.module_utils.release.spec import Spec, parse

PATHS = StackPaths("shop")
UPSTREAMS = {"blue": {"web": [18000], "api": [18002, 18003]}, "green": {"web": [18001]}}


def render(spec: Spec) -> dict[str, str]:
    return {path.name: text for path, text in nginx.render(spec, PATHS, UPSTREAMS).items()}


def test_a_file_for_each_host_and_one_for_the_upstreams(spec: Spec) -> None:
    assert set(nginx.render(spec, PATHS, UPSTREAMS)) == {
        Path("/etc/nginx/slipway/stacks/shop/upstreams.conf"),
        Path("/etc/nginx/slipway/stacks/shop/hosts/shop.test.conf"),
        Path("/etc/nginx/slipway/stacks/shop/hosts/api.shop.test.conf"),
        Path("/etc/nginx/slipway/stacks/shop/hosts/tenants.conf"),
    }


def test_both_slots_have_an_upstream_of_address_literals(spec: Spec) -> None:
    text = render(spec)["upstreams.conf"]
    assert "upstream shop_web_blue {\n    server 127.0.0.1:18000 max_fails=0;\n}" in text
    assert "upstream shop_web_green {\n    server 127.0.0.1:18001 max_fails=0;\n}" in text
    assert "server 127.0.0.1:18002 max_fails=0;\n    server 127.0.0.1:18003 max_fails=0;" in text
    assert "upstream shop_api_green {\n    server 127.0.0.1:9 down;\n}" in text


def test_the_flag_chooses_the_slot(spec: Spec) -> None:
    text = render(spec)["shop.test.conf"]
    assert "open_file_cache off;" in text
    assert "if (-f /srv/shop/slot.green) {\n    set $slipway_slot green;\n}" in text
    assert "proxy_pass http://shop_web_$slipway_slot;" in text
    assert "alias /srv/shop/slots/$slipway_slot;" in text


def test_the_mark_names_this_very_text(spec: Spec, request_: dict) -> None:
    files = nginx.render(spec, PATHS, UPSTREAMS)
    mark = nginx.config_of(files)
    assert mark and all(mark in text for path, text in files.items() if path.parent.name == "hosts")
    request_["routes"][0]["max_body_size"] = "5m"
    assert nginx.config_of(nginx.render(parse(request_), PATHS, UPSTREAMS)) != mark
    assert nginx.config_of({}) == ""


def test_switches_of_a_route(request_: dict) -> None:
    request_["routes"] = [
        {
            "name": "web",
            "service": "web",
            "port": 3000,
            "sticky": True,
            "rate_limit": "10r/s",
            "rate_burst": 5,
            "max_body_size": "5m",
            "timeout": 90,
        }
    ]
    made = render(parse(request_))
    assert "limit_req_zone $binary_remote_addr zone=shop_web:10m rate=10r/s;" in made["upstreams.conf"]
    assert "upstream shop_web_blue {\n    hash $remote_addr consistent;" in made["upstreams.conf"]
    for line in ("limit_req zone=shop_web burst=5 nodelay;", "client_max_body_size 5m;", "proxy_read_timeout 90s;"):
        assert line in made["shop.test.conf"]


def test_a_cookie_keeps_a_visitor_with_one_replica(request_: dict) -> None:
    request_["routes"] = [{"name": "my-web", "service": "web", "port": 3000, "sticky": "cookie"}]
    made = render(parse(request_))
    upstreams, host = made["upstreams.conf"], made["shop.test.conf"]
    cookie = upstreams.split("map $cookie_", 1)[1].split(" ", 1)[0]
    assert cookie.replace("_", "").isalnum()
    assert f'map $cookie_{cookie} ${cookie}_key {{\n    "" $request_id;\n    default $cookie_{cookie};\n}}' in upstreams
    assert f'"" "{cookie}=$request_id; Path=/; Secure; HttpOnly; SameSite=Lax";' in upstreams
    assert f"upstream shop_my-web_blue {{\n    hash ${cookie}_key consistent;" in upstreams
    assert f"add_header Set-Cookie ${cookie}_set always;" in host
    # With a header of its own, a location has to ask for the common ones again.
    location = host[host.index("location / {") :]
    assert "include /etc/nginx/slipway/snippets/headers.conf;" in location


@pytest.mark.parametrize(
    ("given", "meant"),
    [(True, "address"), ("address", "address"), ("cookie", "cookie"), (False, ""), (None, ""), ("", "")],
)
def test_sticky(request_: dict, given: object, meant: str) -> None:
    request_["routes"][0]["sticky"] = given
    assert parse(request_).routes[0].sticky == meant


def test_another_sticky_is_refused(request_: dict) -> None:
    request_["routes"][0]["sticky"] = "header"
    with pytest.raises(SlipwayError, match="Use address, cookie or false"):
        parse(request_)


def test_each_location_has_a_twin_that_closes_the_connection(request_: dict) -> None:
    request_["routes"] = [{"service": "api", "port": 8080, "rate_limit": "5r/s", "health": "/up"}]
    text = render(parse(request_))["shop.test.conf"]
    assert "if (-f /run/slipway-nginx-closing) {" in text
    twins = {}
    for number, match in ((1, "= /up"), (2, "/")):
        own = text[text.index(f"location {match} {{") :].split("\nlocation", 1)[0]
        twins[match] = text[text.index(f"location @slipway_closing_{number} {{") :].split("\n}\n", 1)[0]
        assert f"return 418;\n    }}\n    error_page 418 = @slipway_closing_{number};" in own
        assert "keepalive_timeout 0;" not in own and "keepalive_timeout 0;" in twins[match]
        assert "proxy_pass http://shop_api-8080_$slipway_slot;" in own and "proxy_pass" in twins[match]
    assert "limit_req zone" not in twins["= /up"] and "limit_req zone" in twins["/"]


def test_a_health_path_answers_during_maintenance(spec: Spec) -> None:
    text = render(spec)["shop.test.conf"]
    health = text[text.index("location = /health {") :].split("}\n", 1)[0]
    everything = text[text.index("location / {") :]
    assert "return 503" not in health
    assert "if ($slipway_maintenance) {\n        return 503;" in everything.replace("    if", "if", 1)


def test_each_location_is_there_once(request_: dict) -> None:
    """Nginx refuses two locations that are the same."""
    request_["routes"] = [
        {"service": "a", "port": 1, "path": "/up", "health": "/health"},
        {"service": "b", "port": 2, "path": "/b", "health": "/up"},
        {"service": "c", "port": 3, "health": "/health"},
        {"service": "d", "port": 4, "path": "/d;v=1"},
    ]
    text = render(parse(request_))["shop.test.conf"]
    heads = [line.removesuffix(" {") for line in text.splitlines() if line.startswith("location ")]
    assert len(heads) == len(set(heads))
    assert "shop_a-1_" in text[text.index("location = /up {") :].split("location", 2)[1]
    assert 'location = "/d;v=1" {' in text and 'location ^~ "/d;v=1/" {' in text


@pytest.mark.parametrize(
    ("path", "locations"),
    [("/", ["/"]), ("/api", ["= /api", "^~ /api/"]), ("/api/", ["^~ /api/"])],
)
def test_a_prefix_is_whole_segments(path: str, locations: list[str]) -> None:
    assert nginx.matches(path) == locations


def test_an_internal_path_is_for_this_host_alone(request_: dict) -> None:
    request_["routes"] = [{"service": "api", "port": 3000, "health": "/ready", "internal_paths": ["/metrics"]}]
    text = render(parse(request_))["shop.test.conf"]
    for head in ("location = /metrics {", "location ^~ /metrics/ {", "location @slipway_closing_1 {"):
        inside = text[text.index(head) :].split("\n}\n", 1)[0]
        assert "allow 127.0.0.1;\n    allow ::1;\n    deny all;" in inside and "proxy_pass" in inside
    for head in ("location = /ready {", "location / {"):
        assert "deny all;" not in text[text.index(head) :].split("\n}\n", 1)[0]


def test_a_health_path_that_is_internal_stays_so(request_: dict) -> None:
    request_["routes"] = [{"service": "api", "port": 3000, "health": "/status", "internal_paths": ["/status"]}]
    text = render(parse(request_))["shop.test.conf"]
    assert text.count("location = /status {") == 1
    assert "deny all;" in text[text.index("location = /status {") :].split("\n}\n", 1)[0]


def test_a_folder_is_served_by_slot_beside_a_service(request_: dict) -> None:
    request_["routes"] = [
        {"name": "site", "root": "web/build", "fallback": "index.html"},
        {"name": "api", "path": "/api", "service": "api", "port": 3000, "health": "/api/ready"},
        {"name": "docs", "path": "/docs", "root": "docs"},
    ]
    made = render(parse(request_))
    text = made["shop.test.conf"]
    assert "site" not in made["upstreams.conf"]
    site = text[text.index("location / {") :].split("\n}\n", 1)[0]
    for line in ("root /srv/shop/static/$slipway_slot/site;", "try_files $uri $uri/index.html /index.html;"):
        assert line in site
    docs = text[text.index("location ^~ /docs/ {") :].split("\n}\n", 1)[0]
    assert "try_files $uri $uri/index.html =404;" in docs
    # With a header of its own, a location has to ask for the common ones again.
    assert "snippets/headers.conf;" in site
    heads = [line for line in text.splitlines() if line.startswith("location ")]
    assert len(heads) == len(set(heads))


def test_an_internal_path_stays_so_where_a_folder_has_the_same(request_: dict) -> None:
    request_["routes"] = [
        {"service": "api", "port": 3000, "internal_paths": ["/docs"]},
        {"name": "docs", "path": "/docs", "root": "docs"},
        {"name": "odd", "path": "/odd;v=1", "root": "odd", "fallback": "index.html"},
    ]
    text = render(parse(request_))["shop.test.conf"]
    assert text.count("location = /docs {") == 1
    assert "deny all;" in text[text.index("location = /docs {") :].split("\n}\n", 1)[0]
    assert 'try_files $uri $uri/index.html "/odd;v=1/index.html";' in text


def test_a_host_may_have_files_alone(request_: dict) -> None:
    request_["routes"] = [{"name": "site", "host": "www.shop.test", "root": "web"}]
    spec = parse(request_)
    assert spec.hosts == ("www.shop.test",)
    assert "www.shop.test.conf" in render(spec)
