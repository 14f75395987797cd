# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ssl
import time
from typing import Any, ClassVar

from .. import address
from ..context import Context
from ..option import Option
from ..result import FAIL, OK, Outcome, limits, ok
from ..secure import OPTIONS, handshake
from .base import ProbeType

DAY = 86400


class Tls(ProbeType):
    name = "tls"
    summary = "A TLS server shows a certificate that is trusted, has the right name and does not expire soon."
    target = "host or host:port (default port 443); the host is the name that the certificate must have."
    options: ClassVar[dict[str, Option]] = {
        "ca_file": OPTIONS["ca_file"],
        "address": OPTIONS["address"],
        "warn_days": Option("int", "Fewer days left than this is a warning.", default=20),
        "fail_days": Option("int", "Fewer days left than this is a failure.", default=7),
    }

    def check(self) -> None:
        address.split(self.probe.target, 443)

    def expected(self) -> str:
        return f"a trusted certificate for at least {self.option('fail_days')} days"

    def run(self, context: Context) -> Outcome:
        name, port = address.split(self.probe.target, 443)
        connection = context.connect(self.option("address") or name, port)
        secured = handshake(context, connection, name, self.option("ca_file"), verify=True)
        certificate: dict[str, Any] = secured.getpeercert() or {}
        left = (ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()) / DAY
        observed = {
            "days_left": round(left, 1),
            "not_after": certificate["notAfter"],
            "names": [value for _kind, value in certificate.get("subjectAltName", ())],
            "issuer": _common_name(certificate.get("issuer", ())),
            "protocol": secured.version(),
        }
        # Fewer days are worse, so the comparison runs on negated values.
        status = limits(-left, -self.option("warn_days"), -self.option("fail_days"))
        if status == OK:
            return ok(f"valid for {left:.0f} days", **observed)
        word = "fail" if status == FAIL else "warn"
        return Outcome(
            status,
            f"the certificate expires in {left:.1f} days ({word} below {self.option(word + '_days')})",
            "See why it was not renewed: systemctl status certbot.timer; certbot renew --dry-run",
            observed,
        )


def _common_name(issuer: Any) -> str:
    fields = {key: value for part in issuer for key, value in part}
    return str(fields.get("commonName") or fields.get("organizationName") or "")
