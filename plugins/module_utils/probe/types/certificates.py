# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import ClassVar

from ...common.errors import SlipwayError
from ...common.require import load
from ..context import Context
from ..option import Option
from ..result import FAIL, OK, Outcome, fail, limits, ok
from .base import ProbeType
from .tls import DAY, Tls

NAMED = 5
HINT = "See why it was not renewed: systemctl status certbot.timer; certbot renew --dry-run"


class Certificates(ProbeType):
    name = "certificates"
    summary = "None of the certificates in a directory ends soon, whoever's site they are for."
    target = "a directory with certificates in files that end with C(.pem), as Nginx is given them."
    options: ClassVar[dict[str, Option]] = {key: Tls.options[key] for key in ("warn_days", "fail_days")}

    def check(self) -> None:
        if not self.probe.target.startswith("/"):
            raise SlipwayError("The target is not an absolute path.")

    def expected(self) -> str:
        return f"each good for at least {self.option('fail_days')} days"

    def run(self, context: Context) -> Outcome:
        left, unread = {}, []
        for path in sorted(Path(self.probe.target).glob("*.pem")):
            days = days_left(path)
            if days is None:
                unread.append(path.stem)
            else:
                left[path.stem] = days
        if unread:
            return fail(f"no certificate can be read in {_listed(unread)}", "playbooks/site.yml replaces it.")
        if not left:
            return ok("there is none", certificates=0)
        first = min(left, key=left.__getitem__)
        observed = {"certificates": len(left), "first": first, "days_left": round(left[first], 1)}
        # Fewer days are worse, so the comparison runs on negated values.
        status = limits(-left[first], -self.option("warn_days"), -self.option("fail_days"))
        if status == OK:
            return ok(f"{len(left)}, the first ends in {left[first]:.0f} days", **observed)
        limit = self.option("fail_days" if status == FAIL else "warn_days")
        due = sorted((name for name in left if left[name] < limit), key=left.__getitem__)
        text = f"{_listed(due)} of {len(left)} end within {limit} days, the first in {left[first]:.1f}"
        return Outcome(status, text, HINT, observed)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def days_left(path: Path) -> float | None:
    """Of the first certificate in a file; None if there is none."""
    # certbot brings the library; a host without certbot has no such probe.
    x509 = load("cryptography.x509", "python3-cryptography")
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (ValueError, OSError):
        return None
    # Debian 12 has a version that knows only the time without a zone.
    end = getattr(certificate, "not_valid_after_utc", None) or certificate.not_valid_after.replace(tzinfo=timezone.utc)
    return float((end - datetime.now(timezone.utc)).total_seconds()) / DAY
