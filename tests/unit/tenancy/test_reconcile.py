# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import argparse
import json

import psycopg2
import pytest

from ansible_collections.slipway.vps.plugins.module_utils.certbot import destination
from ansible_collections.slipway.vps.plugins.module_utils.certbot import engine as certbot
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter
from ansible_collections.slipway.vps.plugins.module_utils.tenancy import (
    commands,
    configuration,
    engine,
    problems,
    reconcile,
    sites,
)

from ..certbot.test_lineage import kept
from .conftest import PRODUCTS

ORDERS = {"name": "0002_orders.sql", "sql": "CREATE TABLE orders ()"}
OPEN = "server { server_name __host__; ssl_certificate LIVE/__name__/fullchain.pem; }\n"
CLOSED = "server { server_name __host__; return 503; }\n"


@pytest.fixture
def host(shop, tmp_path, monkeypatch):
    """A host on which role tenants left a stack, with a directory for its state."""
    monkeypatch.setattr(problems, "NOTES", tmp_path / "state")
    monkeypatch.setattr(configuration, "DIRECTORY", tmp_path)
    monkeypatch.setattr(sites, "DIRECTORY", tmp_path / "sites")
    return Host(shop, tmp_path)


class Host:
    def __init__(self, shop, directory):
        self.shop = shop
        self.directory = directory
        self.config = shop.request(source="registry")

    def run(self, now=False, **more):
        return reconcile.reconcile("shop", {**self.config, **more}, Emitter.null(), now=now)

    def command(self, *words):
        (self.directory / "shop.json").write_text(json.dumps(self.config))
        parser = argparse.ArgumentParser()
        commands.register(parser.add_subparsers())
        args = parser.parse_args(["tenants", "reconcile", "shop", *words])
        return args.func(args)

    def note(self):
        return json.loads((self.directory / "state" / "shop.json").read_text())

    def sign_up(self, subdomain, custom_domain=None):
        connection = self.shop.server.connect(self.shop.database)
        values = (subdomain, custom_domain)
        connection.cursor().execute("INSERT INTO public.tenants (subdomain, custom_domain) VALUES (%s, %s)", values)
        connection.close()

    def due(self):
        self.shop.query("UPDATE slipway.tenant_problems SET next_at = clock_timestamp()")

    def serve_hosts(self, **more):
        """Names of hosts, too. There is no Nginx here: what tests and loads its files is left out."""
        self.config["hosts"] = {
            "domain": "shop.test",
            "taken": ["api.shop.test"],
            "open": OPEN,
            "closed": CLOSED,
            "test": ["/bin/true"],
            "apply": [["/bin/true"]],
            "certbot": {
                "config_dir": str(self.directory / "letsencrypt"),
                "ledger": str(self.directory / "ledger"),
                "serving": str(self.directory / "serving"),
                "renewed": str(self.directory / "renewed"),
                "server": "https://acme.test/",
            },
            **more,
        }

    def certify(self, name, domain):
        """What certbot leaves when it has obtained a certificate."""
        kept(self.directory / "letsencrypt", name, domain, server="https://acme.test/")

    def site_file(self):
        path = self.directory / "sites" / "sign-ups-shop.conf"
        return path.read_text() if path.exists() else ""


def test_a_sign_up_becomes_a_tenant_and_the_next_run_asks_little(host):
    host.sign_up("north-shop")
    assert host.run()["changed"] == ["north_shop"]
    assert host.shop.query("SELECT slug FROM slipway.tenants") == [("north_shop",)]
    assert host.shop.query("TABLE tenant_north_shop.products", user=host.shop.application) == []
    again = host.run()
    assert (again["changed"], again["problems"]) == ([], [])
    for number in range(20):
        host.sign_up(f"more{number}")
    assert len(host.run()["changed"]) == 20
    assert host.run()["queries"] == again["queries"] < 10
    events = host.shop.query("SELECT count(*) FROM slipway.tenant_events")
    assert events == [(21,)]


def test_a_new_template_reaches_those_who_lack_it(host):
    host.sign_up("alpha")
    host.run()
    host.sign_up("bravo")
    assert host.run(templates=[PRODUCTS, ORDERS])["changed"] == ["alpha", "bravo"]
    assert host.run(templates=[PRODUCTS, ORDERS])["changed"] == []


def test_a_host_that_lacks_a_template_makes_no_half_tenant(host):
    host.sign_up("alpha")
    host.run(templates=[PRODUCTS, ORDERS])
    host.sign_up("bravo")
    (problem,) = host.run()["problems"]
    assert problem["name"] == "bravo"
    assert "0002_orders.sql ran for other tenants, but this host does not have it" in problem["reason"]
    assert host.shop.query("SELECT slug FROM slipway.tenants") == [("alpha",)]
    result = host.run(templates=[PRODUCTS, ORDERS])  # at once: it was not the row's fault
    assert (result["changed"], result["problems"]) == (["bravo"], [])


def test_a_template_that_only_a_row_that_is_gone_has_run_is_not_taken_for_done(host):
    for slug in ("alpha", "bravo"):
        host.sign_up(slug)
    host.run()
    host.shop.query("DELETE FROM public.tenants WHERE subdomain = 'bravo'")
    host.shop.query("INSERT INTO slipway.tenant_migrations VALUES ('bravo', '0002_orders.sql', 'x', 1)")
    assert host.run(templates=[PRODUCTS, ORDERS])["changed"] == ["alpha"]


def test_a_row_that_cannot_be_a_tenant_is_recorded_with_the_reason_and_holds_up_nobody(host):
    host.sign_up("alpha")
    host.sign_up("Robert'); DROP SCHEMA public CASCADE; --")
    result = host.run()
    assert result["changed"] == ["alpha"]
    (problem,) = result["problems"]
    assert "is not allowed" in problem["reason"]
    assert host.note()["problems"] == [problem]
    first = host.shop.query("SELECT tries, since, next_at > now() FROM slipway.tenant_problems")
    assert (first[0][0], first[0][2]) == (1, True)
    host.run()  # it waits
    assert host.shop.query("SELECT tries FROM slipway.tenant_problems") == [(1,)]
    host.due()
    host.run()
    assert host.shop.query("SELECT tries, since FROM slipway.tenant_problems") == [(2, first[0][1])]
    host.shop.query("UPDATE public.tenants SET subdomain = 'robert' WHERE subdomain <> 'alpha'")
    mended = host.run()  # at once, because the row is another one now
    assert (mended["changed"], mended["problems"]) == (["robert"], [])
    assert host.shop.query("SELECT count(*) FROM slipway.tenant_problems") == [(0,)]


def test_the_reason_goes_with_its_row(host):
    host.sign_up("NO")
    assert len(host.run()["problems"]) == 1
    host.shop.query("DELETE FROM public.tenants")
    assert host.run()["problems"] == []


def test_a_failing_template_is_a_reason(host):
    host.sign_up("alpha")
    (problem,) = host.run(templates=[{"name": "0001_bad.sql", "sql": "SELECT no_such_thing"}])["problems"]
    assert "0001_bad.sql failed for tenant alpha" in problem["reason"]


def test_what_is_wrong_with_the_whole_is_noted_and_told(host):
    host.sign_up("alpha")
    host.run()
    host.shop.query("ALTER TABLE public.tenants RENAME TO others")
    with pytest.raises(SlipwayError, match=r"has no table public\.tenants"):
        host.run()
    assert "has no table public.tenants" in host.note()["error"]
    host.shop.query("ALTER TABLE public.others RENAME TO tenants")
    assert host.run()["problems"] == []
    assert host.note()["error"] == ""


def test_a_database_of_the_version_before_is_brought_up_to_date(host):
    host.sign_up("alpha")
    host.run()
    host.shop.query("DROP TABLE slipway.tenant_problems; COMMENT ON SCHEMA slipway IS 'slipway tenancy 1'")
    host.sign_up("bravo")
    assert host.run()["changed"] == ["bravo"]


def test_the_list_is_on_top_of_the_registry(host):
    host.sign_up("alpha")
    host.config["tenants"] = [{"slug": "alpha", "connection_limit": 3}]
    host.run()
    limit = "SELECT rolconnlimit FROM pg_roles JOIN slipway.tenants ON rolname = role_name"
    assert host.shop.query(limit) == [(3,)]


def test_the_command_tells_and_its_status_says_whether_all_is_well(host, capsys):
    host.sign_up("alpha")
    assert host.command() == 0
    assert capsys.readouterr().out == "shop: tenant alpha was brought up to date.\n"
    assert host.command() == 0
    assert capsys.readouterr().out == ""
    host.sign_up("NO")
    assert host.command() == 2
    assert "'NO' cannot be served since" in capsys.readouterr().err
    host.config["source"] = "inventory"
    with pytest.raises(SlipwayError, match="those in its inventory"):
        host.command()


def test_the_owner_of_the_events_cannot_change_them(shop):
    owner = f"{shop.prefix}owner"
    shop.server.query(f"CREATE ROLE {owner} LOGIN CREATEROLE PASSWORD 'owner-secret'")
    shop.server.query(f'ALTER DATABASE "{shop.database}" OWNER TO {owner}')
    shop.query(f"ALTER TABLE public.tenants OWNER TO {owner}; ALTER TABLE public.plans OWNER TO {owner}")
    as_owner = {"login_user": owner, "login_password": "owner-secret"}
    shop.converge("alpha", **as_owner)
    shop.converge("alpha", "bravo", **as_owner)  # it goes on writing
    changes = ("DELETE FROM slipway.tenant_events", "TRUNCATE slipway.tenant_events")
    for statement in (*changes, "UPDATE slipway.tenant_events SET slug = 'x'"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            shop.query(statement, user=owner, password="owner-secret")
        # nor can a superuser by the usual switch
        with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="append-only"):
            shop.query(f"SET session_replication_role = replica; {statement}")
    assert shop.query("SELECT slug FROM slipway.tenant_events ORDER BY id") == [("alpha",), ("bravo",)]


def test_a_bad_sign_up_fails_neither_a_playbook_nor_a_release(shop):
    shop.query("INSERT INTO public.tenants (subdomain) VALUES ('NO')")
    result = shop.converge("alpha", source="registry", on_error="stop")
    assert [(tenant["slug"], tenant["rejected"]) for tenant in result["tenants"]] == [("NO", True), ("alpha", False)]
    assert result["tenants"][1]["changed"] is True
    engine.raise_on_failure(result)


def test_a_release_brings_its_templates_to_those_who_sign_up_later(host):
    host.sign_up("alpha")
    assert host.command() == 0
    request = {**host.config, "templates": [PRODUCTS, ORDERS]}
    host.shop.converge(source="registry", templates=[PRODUCTS, ORDERS])
    configuration.remember_templates("shop", request)
    path = host.directory / "shop.json"
    assert json.loads(path.read_text()) == request
    assert path.stat().st_mode & 0o777 == 0o600
    host.sign_up("bravo")
    host.config = request
    assert host.command() == 0
    ran = host.shop.query("SELECT template FROM slipway.tenant_migrations WHERE slug = 'bravo' ORDER BY 1")
    assert ran == [("0001_init.sql",), ("0002_orders.sql",)]


def test_a_sign_up_with_the_name_of_a_removed_tenant_is_kept(host):
    host.config["tenants"] = [{"slug": "alpha", "state": "absent", "force": True, "export": False}]
    host.sign_up("alpha")
    host.run()
    assert host.shop.query("SELECT subdomain FROM public.tenants") == [("alpha",)]
    assert host.shop.query("SELECT slug FROM slipway.tenants") == [("alpha",)]


# host names


def test_without_certbot_the_reason_is_recorded_and_the_data_is_there(host):
    host.serve_hosts()
    host.sign_up("alpha")
    result = host.run()
    assert "certbot" in result["problems"][0]["reason"]
    assert host.shop.query("SELECT slug FROM slipway.tenants") == [("alpha",)]
    assert host.site_file() == ""
    assert host.run()["queries"] < 12  # it waits


def test_a_tenant_with_a_certificate_is_served_suspended_and_forgotten(host):
    host.serve_hosts()
    host.sign_up("alpha")
    host.certify("tenant-shop-alpha", "alpha.shop.test")
    host.run()
    assert (
        host.site_file()
        == "server { server_name alpha.shop.test; ssl_certificate LIVE/tenant-shop-alpha/fullchain.pem; }\n"
    )
    assert host.run()["changed"] == []
    host.shop.query("UPDATE slipway.tenants SET state = 'suspended'")
    assert host.run()["changed"] == ["alpha"]
    assert "return 503" in host.site_file()
    host.shop.query("UPDATE slipway.tenants SET state = 'present'")
    host.run()
    assert "ssl_certificate" in host.site_file()
    host.config["tenants"] = [{"slug": "alpha"}]  # from now on the playbook serves it
    host.run()
    assert host.site_file() == ""


def test_what_is_certified_in_time_goes_on_line_and_the_rest_is_for_the_next_run(host, monkeypatch):
    host.serve_hosts()
    for slug in ("alpha", "bravo"):
        host.sign_up(slug)
    host.certify("tenant-shop-alpha", "alpha.shop.test")
    monkeypatch.setattr(sites, "ASKING_SECONDS", -1.0)  # no time to ask for any
    assert host.run()["problems"] == []
    assert host.site_file().count("server_name") == 1
    host.certify("tenant-shop-bravo", "bravo.shop.test")
    assert host.run()["changed"] == ["bravo"]
    assert host.site_file().count("server_name") == 2


def test_a_lost_note_of_what_is_served_takes_nobody_off_line(host):
    host.serve_hosts()
    host.sign_up("alpha")
    host.certify("tenant-shop-alpha", "alpha.shop.test")
    host.run()
    text = host.site_file()
    (host.directory / "state" / "shop.json").unlink()
    host.run()
    assert host.site_file() == text


def test_a_certificate_that_nginx_has_not_been_given_is(host):
    """Served by an earlier version, or somebody removed it."""
    host.serve_hosts()
    host.sign_up("alpha")
    host.certify("tenant-shop-alpha", "alpha.shop.test")
    host.run()
    copy = host.directory / "serving" / "tenant-shop-alpha.pem"
    copy.unlink()
    host.run()
    assert copy.exists()


def test_nor_one_whose_own_domain_waits_for_its_next_try(host):
    host.serve_hosts()
    host.sign_up("alpha", "books.example.org")
    host.certify("tenant-shop-alpha", "alpha.shop.test")
    assert len(host.run()["problems"]) == 1
    text = host.site_file()
    assert "alpha.shop.test" in text
    (host.directory / "state" / "shop.json").unlink()
    host.run()
    assert host.site_file() == text


def test_a_refused_domain_leaves_the_subdomain_served(host):
    host.serve_hosts()
    host.sign_up("alpha", "books.example.org")
    host.certify("tenant-shop-alpha", "alpha.shop.test")
    (problem,) = host.run()["problems"]  # there is no certbot here to get the other one
    assert "certbot" in problem["reason"]
    assert "server_name alpha.shop.test;" in host.site_file()
    assert "books.example.org" not in host.site_file()
    assert host.run()["problems"] == [problem]  # it waits
    host.certify("domain-shop-alpha", "books.example.org")  # somebody obtained it by hand
    assert host.run()["problems"] == []
    assert "server_name books.example.org;" in host.site_file()
    host.shop.query("UPDATE public.tenants SET custom_domain = NULL")


def test_names_that_a_sign_up_may_not_have(host):
    host.serve_hosts()
    claims = [
        ("api", None, "api.shop.test belongs to the stack itself"),
        ("bravo", "charlie.shop.test", "charlie.shop.test lies in shop.test"),
        ("delta", "Shop.Test.", "shop.test lies in shop.test"),
        ("echo", "*.example.org", "is not a host name"),
        ("fox", "x.org; return 200", "is not a host name"),
        ("golf", "www.example.org", ""),
        ("hotel", "WWW.example.org.", "www.example.org belongs to tenant golf"),
    ]
    for subdomain, own, _word in claims:
        host.sign_up(subdomain, own)
        host.certify(f"tenant-shop-{subdomain}", f"{subdomain}.shop.test")
    host.certify("domain-shop-golf", "www.example.org")
    reasons = {problem["name"]: problem["reason"] for problem in host.run()["problems"]}
    for subdomain, _own, word in claims:
        assert word in reasons.get(subdomain, "")
        assert (subdomain in reasons) is bool(word)
    served = host.site_file()
    assert served.count("server_name") == 7  # golf has two, and api none
    for name in ("api.shop.test", "charlie", "*", "return"):
        assert name not in served
    tries = host.shop.query("SELECT sum(tries) FROM slipway.tenant_problems")
    host.run()
    assert host.shop.query("SELECT sum(tries) FROM slipway.tenant_problems") == tries


def test_a_configuration_that_nginx_refuses_is_put_back_and_told(host):
    host.serve_hosts()
    host.sign_up("alpha")
    host.certify("tenant-shop-alpha", "alpha.shop.test")
    host.run()
    text = host.site_file()
    host.serve_hosts(test=["/bin/false"])
    host.sign_up("bravo")
    host.certify("tenant-shop-bravo", "bravo.shop.test")
    with pytest.raises(SlipwayError, match="refuses the new configuration"):
        host.run()
    assert host.site_file() == text
    assert "refuses the new configuration" in host.note()["error"]
    assert host.shop.query("SELECT count(*) FROM slipway.tenants") == [(2,)]
    host.serve_hosts()
    host.run()
    assert host.site_file().count("server_name") == 2


@pytest.mark.parametrize(
    ("there", "here", "word"),
    [
        ({"192.0.2.1"}, {"192.0.2.1", "2001:db8::1"}, ""),
        ({"192.0.2.9"}, {"192.0.2.1"}, "points to 192.0.2.9, and not to 192.0.2.1 as alpha.shop.test does"),
        (set(), {"192.0.2.1"}, "has no address in the DNS. Create a CNAME record for it that names alpha.shop.test"),
        (set(), set(), ""),  # the authority may know more
    ],
)
def test_a_custom_domain_has_to_lead_here(there, here, word):
    names = {"www.example.org": there, "alpha.shop.test": here}
    said = destination.elsewhere("www.example.org", "alpha.shop.test", names.__getitem__)
    assert (word in said) and (bool(said) is bool(word))


def test_a_custom_domain_that_leads_elsewhere_is_not_asked_a_certificate_for(host, monkeypatch):
    addresses = {"alpha.shop.test": {"192.0.2.1"}, "www.example.org": {"192.0.2.9"}}
    monkeypatch.setattr(certbot, "resolve", addresses.__getitem__)
    host.serve_hosts()
    host.sign_up("alpha", "www.example.org")
    host.certify("tenant-shop-alpha", "alpha.shop.test")
    (problem,) = host.run()["problems"]
    assert "points to 192.0.2.9" in problem["reason"]
    assert host.site_file().count("server_name") == 1
    host.serve_hosts(verify=False)
    (problem,) = host.run(now=True)["problems"]
    assert "certbot" in problem["reason"]


SHARED = {
    "open": "server { server_name __host__; ssl_certificate LIVE/wildcard-shop/fullchain.pem; }\n",
    "closed": "server { server_name __host__; ssl_certificate LIVE/wildcard-shop/fullchain.pem; return 503; }\n",
}


def test_with_a_wildcard_a_sign_up_asks_the_authority_for_nothing_and_all_are_one_block(host):
    host.serve_hosts(shared=SHARED)
    for name in ("alpha", "bravo", "charlie"):
        host.sign_up(name)
    assert host.run()["problems"] == []  # nor is there a certbot here that it could ask
    assert host.site_file().count("server {") == 1
    assert host.site_file().split()[3:6] == ["alpha.shop.test", "bravo.shop.test", "charlie.shop.test;"]
    assert host.run()["changed"] == []
    host.shop.query("UPDATE slipway.tenants SET state = 'suspended' WHERE slug = 'bravo'")
    host.run()
    served, closed = host.site_file().split("server {")[1:]
    assert "bravo" not in served
    assert "server_name bravo.shop.test;" in closed
    assert "return 503" in closed


def test_a_custom_domain_beside_a_wildcard_has_a_certificate_of_its_own(host):
    host.serve_hosts(shared=SHARED, verify=False)
    host.sign_up("alpha", "books.example.org")
    host.certify("domain-shop-alpha", "books.example.org")
    assert host.run()["problems"] == []
    own, shared = host.site_file().split("server {")[1:]
    assert "books.example.org; ssl_certificate LIVE/domain-shop-alpha/" in own
    assert "alpha.shop.test; ssl_certificate LIVE/wildcard-shop/" in shared


def test_the_wildcard_takes_over_from_single_certificates_and_back(host):
    host.serve_hosts()
    host.sign_up("alpha")
    host.certify("tenant-shop-alpha", "alpha.shop.test")
    host.run()
    host.serve_hosts(shared=SHARED)
    assert host.run()["changed"] == ["alpha"]
    assert "LIVE/wildcard-shop" in host.site_file()
    host.serve_hosts()
    assert host.run()["changed"] == ["alpha"]
    assert "LIVE/tenant-shop-alpha" in host.site_file()


def test_the_certificate_of_one_that_is_listed_from_now_on_stays_for_the_playbook(host, monkeypatch):
    host.serve_hosts()
    host.sign_up("alpha")
    host.certify("tenant-shop-alpha", "alpha.shop.test")
    host.run()
    removed = []
    plans = certbot.plans
    monkeypatch.setattr(certbot, "plans", lambda settings, wanted: removed.extend(wanted) or plans(settings, wanted))
    host.config["tenants"] = [{"slug": "alpha"}]
    host.run()
    assert host.site_file() == ""
    assert removed == []
    host.config["tenants"] = []
    host.run()
    host.shop.query("DELETE FROM public.tenants")
    host.run()
    assert [one.name for one in removed if not one.present] == ["tenant-shop-alpha"]
