# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates in a bad hour, with a real authority: none yet, renewed under load, damaged, revoked, authority away."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from slipway_lab import LAB, Play, Server, Visitor
from slipway_load import Load

LETSENCRYPT = "/etc/letsencrypt"
TRUST = f"REQUESTS_CA_BUNDLE={LETSENCRYPT}/slipway-acme-ca.pem"
COPIES = "/etc/nginx/slipway/certificates"
OWN = "molecule/releases/own_site.yml"
AUTHORITY = "10.77.0.2"
RATE = 100.0
# Beyond the whole life of the lab's certificates, so that each of them is due.
ALWAYS_DUE = "20000 days"
# What has nothing to do with certificates, and takes long.
WITHOUT_THE_REST = ("--skip-tags", "hardening,docker,backup")
SHOP, ALPHA, BRAVO, CHARLIE = "shop", "tenant-shop-alpha", "tenant-shop-bravo", "tenant-shop-charlie"


def serial(server: Server, host: str) -> str:
    """Of the certificate that a visitor is shown now."""
    context = ssl.create_default_context(cafile=str(LAB / "acme-root.pem"))
    plain = socket.create_connection((server.address, 443), timeout=20)
    with plain, context.wrap_socket(plain, server_hostname=host) as secure:
        return str((secure.getpeercert() or {})["serialNumber"])


def hosts(server: Server) -> dict[str, str]:
    tenants = {f"tenant-shop-{slug}": f"{slug}.{server.zone}" for slug in ("alpha", "bravo", "charlie")}
    return {SHOP: server.zone, **tenants}


def serials(server: Server) -> dict[str, str]:
    return {name: serial(server, host) for name, host in hosts(server).items()}


def accounts(server: Server) -> str:
    return str(server.vps.check_output(f"find {LETSENCRYPT}/accounts -type f -exec sha256sum {{}} + | sort"))


@dataclass
class OwnSite:
    """One more site, with a certificate of its own."""

    server: Server
    variables: Path
    host: str = ""
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.host = f"own.{self.server.name}.wild.test"
        self.names = [self.host]

    def play(self, *arguments: str) -> Play:
        site = {"name": "own", "server_names": self.names, "extra": 'location / { return 200 "own"; }'}
        content = {"own_certificates": [{"name": "own", "domains": self.names}], "own_sites": [site]}
        self.variables.write_text(json.dumps(content), encoding="utf-8")
        return self.server.play(OWN, "-e", f"@{self.variables}", *arguments)

    def converge(self, *arguments: str) -> Play:
        play = self.play(*arguments)
        assert play.code == 0, play.output[-6000:]
        return play


@pytest.fixture(scope="module")
def own(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnSite]:
    site = OwnSite(server, tmp_path_factory.mktemp("own") / "variables.json")
    yield site
    gone = {"own_certificates": [{"name": "own", "state": "absent"}], "own_sites": []}
    site.server.playbook(OWN, "-e", json.dumps(gone))
    assert not server.vps.file(f"{COPIES}/own.pem").exists


class Gap(threading.Thread):
    """Knocks at a port all the time and notes each time that nobody opens."""

    def __init__(self, server: Server, port: int) -> None:
        super().__init__(daemon=True)
        self._target = (server.address, port)
        self._over = threading.Event()
        self.knocked = 0
        self.refused: list[str] = []

    def run(self) -> None:
        while not self._over.wait(0.02):
            self.knocked += 1
            try:
                socket.create_connection(self._target, timeout=5).close()
            except OSError as error:
                self.refused.append(repr(error))

    def __enter__(self) -> Gap:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()


@contextlib.contextmanager
def authority_away(server: Server) -> Iterator[None]:
    rule = f"OUTPUT --destination {AUTHORITY} --protocol tcp --dport 14000 --jump REJECT"
    server.vps.check_output(f"iptables --insert {rule}")
    try:
        yield
    finally:
        server.vps.check_output(f"iptables --delete {rule}")


def test_a_first_certificate_comes_without_a_gap(own: OwnSite) -> None:
    """The name has no site and no certificate; nothing else is stopped for it."""
    server = own.server
    with pytest.raises((ssl.SSLError, ConnectionError)):
        serial(server, own.host)
    with Gap(server, 80) as plain, Gap(server, 443) as secure:
        first = own.converge()
    assert server.web.ask(own.host).text == "own"
    assert plain.knocked > 50 and plain.refused == [] and secure.refused == []
    assert any("Obtain the certificates" in task for task in first.changed_tasks())
    assert own.converge().changed == {server.name: 0}


def test_the_timer_s_renewal_is_served_and_loses_nothing(server: Server) -> None:
    before, vps = serials(server), server.vps
    renewal = f"{LETSENCRYPT}/renewal/{SHOP}.conf"
    vps.check_output(f"sed -i '1i renew_before_expiry = {ALWAYS_DUE}' {renewal}")
    with Load(server, rate=RATE) as load:
        time.sleep(2)
        # The unit that the timer starts, with certbot's own hooks.
        vps.check_output("systemctl start certbot.service")
        time.sleep(3)
    vps.check_output(f"sed -i '/^renew_before_expiry/d' {renewal}")
    after = serials(server)
    assert after[SHOP] != before[SHOP] and {**after, SHOP: ""} == {**before, SHOP: ""}
    assert load.report.lost == 0, str(load.report)
    assert vps.check_output("systemctl is-active certbot.timer") == "active"
    live = vps.check_output(f"openssl x509 -noout -serial -in {LETSENCRYPT}/live/{SHOP}/cert.pem")
    assert live.partition("=")[2].lstrip("0") == after[SHOP].lstrip("0")
    assert not vps.file("/run/slipway-certificates-renewed").exists


def test_an_authority_that_is_away_is_told_and_the_certificate_goes_on_serving(own: OwnSite) -> None:
    server = own.server
    before = serial(server, own.host)
    server.vps.check_output(f"truncate --size 0 {LETSENCRYPT}/renewal/own.conf")
    with authority_away(server):
        play = own.converge()
        assert "[WARNING]" in play.output and "The one that is there serves until" in " ".join(play.output.split())
        assert serial(server, own.host) == before
        # Where Nginx has none there is nothing that could go on.
        own.names = [own.host, f"more.{own.host}"]
        failed = own.play()
        assert failed.code != 0
        assert "was not obtained" in failed.output and "letsencrypt_acme_directory" in failed.output
        assert serial(server, own.host) == before
        own.names = [own.host]
    own.converge()
    assert serial(server, own.host) != before


@dataclass
class Mending:
    """What was broken, and what a run of site.yml made of it."""

    before: dict[str, str]
    accounts: str
    damaged: dict[str, str]
    seen: list[Visitor]
    play: Play
    after: dict[str, str]
    reloads: int


DAMAGE = {
    # The live directory is empty, and the next version in the archive is half there.
    SHOP: "cp {le}/live/{name}/privkey.pem {le}/archive/{name}/privkey99.pem && rm {le}/live/{name}/*.pem",
    ALPHA: "printf 'version = 4.0.0\\n[renewalparams' > {le}/renewal/{name}.conf",
    BRAVO: "for key in {le}/archive/{name}/privkey*.pem; do openssl ecparam -genkey -name prime256v1 -out $key; done",
    CHARLIE: "{trust} certbot revoke --non-interactive --no-delete-after-revoke --cert-name {name}",
}


@pytest.fixture(scope="module")
def mending(server: Server) -> Mending:
    vps = server.vps
    before, kept = serials(server), accounts(server)
    for name, command in DAMAGE.items():
        vps.check_output(command.format(le=LETSENCRYPT, name=name, trust=TRUST))
    with contextlib.ExitStack() as stack:
        seen = [stack.enter_context(Visitor(server.web, f"{slug}.{server.zone}")) for slug in ("alpha", "bravo")]
        # Nothing of it is read when others reload Nginx, or when the server boots.
        vps.check_output("systemctl reload nginx")
        damaged = serials(server)
        started = int(vps.check_output("date +%s"))
        time.sleep(1)
        play = server.play("site", *WITHOUT_THE_REST)
    journal = vps.check_output(f"journalctl --unit nginx.service --since @{started + 1} --output cat")
    return Mending(before, kept, damaged, seen, play, serials(server), journal.count("Reloaded nginx"))


def test_damage_is_nothing_that_visitors_see(mending: Mending) -> None:
    assert mending.damaged == mending.before
    assert mending.play.code == 0, mending.play.output[-6000:]
    for visitor in mending.seen:
        assert visitor.asked > 50
        assert visitor.bad == []


def test_what_is_whole_in_the_archive_is_mended_without_the_authority(server: Server, mending: Mending) -> None:
    assert mending.after[SHOP] == mending.before[SHOP]
    linked = server.vps.check_output(f"readlink -f {LETSENCRYPT}/live/{SHOP}/privkey.pem")
    assert linked.startswith(f"{LETSENCRYPT}/archive/{SHOP}/privkey") and "99" not in linked


@pytest.mark.parametrize("name", [ALPHA, BRAVO, CHARLIE])
def test_what_is_broken_or_revoked_is_obtained_anew(server: Server, mending: Mending, name: str) -> None:
    assert mending.after[name] != mending.before[name]
    assert server.vps.check_output(f"stat --format '%a %U' {COPIES}/{name}.pem") == "600 root"
    server.vps.check_output(
        f"{TRUST} certbot certificates --cert-name {name} | grep --quiet 'Certificate Name: {name}$'"
    )


def test_all_of_it_is_one_reload(mending: Mending) -> None:
    assert mending.reloads == 1


def test_the_account_is_kept(server: Server, mending: Mending) -> None:
    assert accounts(server) == mending.accounts


@pytest.mark.long
def test_then_nothing_is_left_to_do(server: Server, mending: Mending) -> None:
    play = server.playbook("site")
    assert play.changed == {server.name: 0}, play.changed_tasks()
    assert serials(server) == mending.after


@pytest.mark.long
def test_the_damaged_server_boots_and_serves(server: Server) -> None:
    """Nginx starts with its own copies, so that the challenge by which a new certificate comes can be answered."""
    vps, before = server.vps, serials(server)
    vps.check_output(f"mv {LETSENCRYPT}/live {LETSENCRYPT}/archive {LETSENCRYPT}/renewal /root/")
    try:
        vps.check_output("systemctl restart nginx")
        assert serials(server) == before
        server.playbook("site")
        assert all(serial_ != before[name] for name, serial_ in serials(server).items())
    finally:
        vps.check_output("rm -rf /root/live /root/archive /root/renewal")


def test_an_alarm_is_raised_before_a_certificate_ends(server: Server) -> None:
    """The lab's certificates are good for years; here that is called soon."""

    def certificates(play: Play) -> list[Any]:
        return [line.strip() for line in play.output.splitlines() if "certificate" in line and "expires in" in line]

    play = server.play("health", "-e", "health_certificate_warn_days=19000", "-e", "health_certificate_fail_days=10000")
    assert play.code != 0
    told = certificates(play)
    assert any(line.startswith("fail") and server.zone in line for line in told), told
    assert any("certificates of this host" in line for line in play.output.splitlines() if "end within" in line)
