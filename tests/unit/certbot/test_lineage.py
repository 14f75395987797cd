# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads what certbot 4.0.0 wrote, with real certificates, and mends it."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.certbot import lineage, pair, repair, stand_in
from ansible_collections.slipway.vps.tests.unit.self_signed import self_signed

KINDS = ("cert", "chain", "fullchain", "privkey")
SERVER = "https://acme.test/dir?a=b"
RENEWAL = """\
# renew_before_expiry = 30 days
version = 4.0.0
archive_dir = {config_dir}/archive/{name}
cert = {config_dir}/live/{name}/cert.pem
privkey = {config_dir}/live/{name}/privkey.pem
chain = {config_dir}/live/{name}/chain.pem
fullchain = {config_dir}/live/{name}/fullchain.pem

# Options used in the renewal process
[renewalparams]
account = 77b962e161992bf9d4c8f4a1b52e9b06
key_type = ecdsa
elliptic_curve = secp256r1
server = {server}
authenticator = webroot
webroot_path = /var/www/letsencrypt,
[[webroot_map]]
api.shop.test = /var/www/letsencrypt
"""


def kept(config_dir: Path, name: str, *names: str, server: str = SERVER, version: int = 1) -> lineage.Place:
    """What certbot leaves when it has obtained a certificate."""
    place = lineage.Place(config_dir, name)
    self_signed(place.stored("privkey", version), place.stored("fullchain", version), *names)
    for kind in ("cert", "chain"):
        shutil.copy(place.stored("fullchain", version), place.stored(kind, version))
    place.live.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        link = place.live / f"{kind}.pem"
        link.unlink(missing_ok=True)
        link.symlink_to(f"../../archive/{name}/{kind}{version}.pem")
    place.renewal.parent.mkdir(exist_ok=True)
    place.renewal.write_text(RENEWAL.format(config_dir=config_dir, name=name, server=server))
    return place


@pytest.fixture
def place(tmp_path: Path) -> lineage.Place:
    return kept(tmp_path, "shop", "shop.test", "API.shop.test")


def read(place: lineage.Place) -> lineage.Lineage:
    found = lineage.read(str(place.config_dir), place.name)
    assert found is not None
    return found


def test_renewal_settings() -> None:
    settings = lineage.parse_renewal(RENEWAL.format(config_dir="/etc/letsencrypt", name="shop", server=SERVER))
    assert settings["server"] == SERVER
    assert settings["webroot_path"] == "/var/www/letsencrypt"
    assert "renew_before_expiry" not in settings


def test_a_lineage_is_read_from_disk(place: lineage.Place) -> None:
    found = read(place)
    assert found.domains == {"shop.test", "api.shop.test"}
    assert found.authenticator == "webroot"
    assert found.parameters["webroot_path"] == "/var/www/letsencrypt"
    assert (found.fault, found.relink) == ("", 0)
    left = found.not_after - datetime.now(timezone.utc)
    assert timedelta(days=8, hours=23) < left <= timedelta(days=9)


def test_a_name_that_certbot_does_not_know(place: lineage.Place) -> None:
    assert lineage.read(str(place.config_dir), "other") is None


@pytest.mark.parametrize(
    "text", ["", "version = 4.0.0\n", "\x00\xff garbage", None], ids=["empty", "cut", "bytes", "gone"]
)
def test_renewal_settings_that_certbot_could_not_use(place: lineage.Place, text: str | None) -> None:
    if text is None:
        place.renewal.unlink()
    else:
        place.renewal.write_bytes(text.encode("latin-1"))
    assert "renewal settings" in read(place).fault


def emptied(place: lineage.Place) -> None:
    for link in place.live.iterdir():
        link.unlink()


def gone(place: lineage.Place) -> None:
    shutil.rmtree(place.live)


def half_written(place: lineage.Place) -> None:
    """certbot was cut off: the next version has a key and no certificate, and some links lead to it."""
    shutil.copy(place.stored("privkey", 1), place.stored("privkey", 2))
    link = place.live / "privkey.pem"
    link.unlink()
    link.symlink_to("../../archive/shop/privkey2.pem")


def foreign_key(place: lineage.Place) -> None:
    """The next version is there, and its key belongs to another certificate."""
    kept(place.config_dir, "shop", "shop.test", "api.shop.test", version=2)
    self_signed(place.stored("privkey", 2), place.config_dir / "other.pem", "other.test")


def copies(place: lineage.Place) -> None:
    """Somebody copied the directory without its links."""
    for link in place.live.iterdir():
        text = link.read_text()
        link.unlink()
        link.write_text(text)


@pytest.mark.parametrize("damage", [emptied, gone, half_written, foreign_key, copies])
def test_what_is_live_is_mended_from_the_archive(place: lineage.Place, damage: object) -> None:
    damage(place)  # type: ignore[operator]
    found = read(place)
    assert (found.fault, found.relink) == ("", 1)
    repair.relink(place, found.relink)
    found = read(place)
    assert (found.fault, found.relink) == ("", 0)
    assert sorted(path.name for path in place.live.iterdir()) == sorted(f"{kind}.pem" for kind in KINDS)
    assert all(link.is_symlink() and not link.readlink().is_absolute() for link in place.live.iterdir())


@pytest.mark.parametrize("kind", ["fullchain", "privkey", "chain"])
def test_nothing_whole_is_left(place: lineage.Place, kind: str) -> None:
    place.stored(kind, 1).unlink()
    assert "do not belong together" in read(place).fault


def test_a_key_that_is_not_the_certificates(place: lineage.Place) -> None:
    self_signed(place.stored("privkey", 1), place.config_dir / "other.pem", "other.test")
    assert "do not belong together" in read(place).fault


def test_what_is_set_aside_is_kept_once_and_leaves_its_name_free(place: lineage.Place) -> None:
    account = place.config_dir / "accounts" / "acme.test" / "private_key.json"
    account.parent.mkdir(parents=True)
    account.write_text("{}")
    for _time in range(2):
        repair.set_aside(place)
        assert lineage.read(str(place.config_dir), "shop") is None
        aside = place.config_dir / repair.ASIDE / "shop"
        assert sorted(path.name for path in aside.iterdir()) == ["archive", "live", "renewal"]
        assert aside.stat().st_mode & 0o777 == 0o700
        kept(place.config_dir, "shop", "shop.test")
    assert account.exists()


# what Nginx serves with


def test_nginx_gets_chain_and_key_in_one_file_that_nobody_else_reads(place: lineage.Place, tmp_path: Path) -> None:
    copy = pair.path(str(tmp_path / "certificates"), "shop")
    assert pair.publish(copy, place.live)
    assert pair.is_good(copy) and pair.is_current(copy, place.live)
    assert (copy.stat().st_mode & 0o777, copy.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    copy.chmod(0o644)
    assert not pair.is_current(copy, place.live)


def test_what_does_not_belong_together_never_replaces_it(place: lineage.Place, tmp_path: Path) -> None:
    copy = pair.path(str(tmp_path / "certificates"), "shop")
    pair.publish(copy, place.live)
    before = copy.read_text()
    for damage in (foreign_key, half_written, emptied):
        damage(place)
        assert not pair.publish(copy, place.live)
    assert copy.read_text() == before
    assert not pair.is_current(copy, place.live)


def test_before_nginx_starts_each_site_has_something_to_serve_with(place: lineage.Place, tmp_path: Path) -> None:
    directory, sites, live = tmp_path / "certificates", tmp_path / "sites", place.config_dir / "live"
    sites.mkdir()
    for name in ("shop", "lost", "good"):
        pem = f"{directory}/{name}.pem"
        (sites / f"{name}.conf").write_text(
            f"server {{\n    ssl_certificate {pem};\n    ssl_certificate_key {pem};\n}}\n"
        )
    good = pair.path(str(directory), "good")
    assert pair.publish(good, place.live)
    before = good.read_text()
    told = list(stand_in.restore(directory, live, sites))
    assert [line.partition(":")[0] for line in told] == ["lost", "shop"]
    assert pair.is_current(pair.path(str(directory), "shop"), place.live)
    assert pair.is_good(pair.path(str(directory), "lost"))
    assert good.read_text() == before
    assert list(stand_in.restore(directory, live, sites)) == []
