# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The load client against the sample application over TLS: it loses nothing that was answered, and misses no loss."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from app.server import Server
from app.settings import Settings as AppSettings
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from slipway_load import Load
from slipway_load.report import Report, Sample, Session, Window, latency, percentile
from slipway_load.settings import Target

ZONE = "load.test"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, ZONE)])
    now = datetime.datetime.now(datetime.timezone.utc)
    names = [x509.DNSName(ZONE), x509.DNSName(f"*.{ZONE}"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


class Application:
    """The sample application, with TLS in front."""

    def __init__(self, certificate: Path, release: str) -> None:
        self.server = Server(AppSettings(release=release, role="web", port=0, grace=2))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def stop(self) -> None:
        if self.thread.is_alive():
            self.server.drain()
            self.thread.join()


@pytest.fixture
def application(certificate: Path) -> Iterator[Application]:
    running = Application(certificate, "1.0.0")
    yield running
    running.stop()


def load(application: Application, certificate: Path, **settings: Any) -> Load:
    place = SimpleNamespace(address="127.0.0.1", zone=ZONE)
    given = {"rate": 50.0, "posts": False, "reads": (Target("page", ZONE, "/"),), "timeout": 3.0, **settings}
    return Load(place, ca=str(certificate), port=application.port, **given)


def test_a_steady_server_loses_nothing(application: Application, certificate: Path) -> None:
    with load(application, certificate, websockets=3, handshakes=2, slow=1, slow_seconds=0.5, ping_every=0.2) as visits:
        with visits.window("first"):
            time.sleep(1)
        time.sleep(1)
    report = visits.report
    assert report.lost == 0, str(report)
    assert 80 <= report.counts()["page"]["sent"] <= 130
    assert report.counts()["slow"]["sent"] >= 2
    assert report.counts()["handshake"]["sent"] >= 4
    assert report.counts()["websocket"] == {"sent": 3, "lost": 0}
    assert [seen.release for seen in report.releases()] == ["1.0.0"]
    assert report.window("first").count > 30
    assert report.steady().count > 30
    # One in ten has a connection of its own, the others share a few.
    assert 10 <= report.connections < report.requests / 2


def test_a_server_that_goes_away_is_noticed(application: Application, certificate: Path) -> None:
    with load(application, certificate, websockets=2, ping_every=0.2) as visits:
        time.sleep(0.5)
        application.stop()
        time.sleep(1)
    report = visits.report
    assert report.counts()["page"]["lost"] >= 30, str(report)
    assert "page: connection refused" in report.reasons()
    # They were told, which is no loss; that they could not come back is one.
    assert report.closes()[1001] == 2
    assert report.counts()["websocket"]["lost"] > 0
    assert any("connection refused" in line for line in report.losses())


def test_wrong_answers_are_losses(application: Application, certificate: Path) -> None:
    reads = (Target("get", ZONE, "/products"),)
    with load(application, certificate, reads=reads) as visits:
        time.sleep(0.5)
    report = visits.report
    assert report.lost == report.requests > 10
    assert set(report.reasons()) == {"get: status 404"}


def test_figures_of_a_report() -> None:
    samples = [
        Sample("get", float(index), index / 1000, 0.0, "a" if index < 50 else "b", "") for index in range(1, 101)
    ]
    samples.append(Sample("slow", 60.0, 3.0, 0.0, "b", ""))
    sessions = [Session(0, 1.0, 55.0, "a", 1001, ""), Session(1, 1.0, 55.0, "a", 0, "connection reset")]
    report = Report(0.0, 100.0, 5, samples, sessions, [Window("during", 41.0, 60.0)])
    assert report.latency().p99 == 99.0
    assert report.window("during").count == 20
    assert report.window("during").most == 60.0
    assert report.steady().count == 80
    assert [(seen.release, seen.first, seen.last, seen.answers) for seen in report.releases()] == [
        ("a", 1.0, 49.0, 49),
        ("b", 50.0, 100.0, 51),
    ]
    assert (report.lost, report.requests_lost) == (1, 0)
    assert report.closes() == {1001: 1, 0: 1}


def test_percentiles_are_measured_values() -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.0
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.99) == 4.0
    assert latency([]).count == 0
