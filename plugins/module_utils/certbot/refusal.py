# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certbot's report of a refused certificate, told as a sentence with the next step."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone

from ..common.errors import SlipwayError
from ..common.process import tail

PROBLEM = re.compile(
    r"^\s*Domain:\s*(?P<domain>\S+)\s*\n\s*Type:\s*(?P<type>\S+)\s*\n\s*Detail:\s*(?P<detail>.+?)\s*$",
    re.MULTILINE,
)
UNEXPECTED = re.compile(r"An unexpected error occurred:\s*\n(?P<detail>.+?)(?:\n\s*\n|\nAsk for help|\Z)", re.DOTALL)
RETRY = re.compile(r"retry after (?P<moment>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)")
NO_PLUGIN = re.compile(r"The requested (?P<plugin>dns-\S+) plugin does not appear to be installed")
TXT = re.compile(r"adding (?:the )?TXT record: (?P<detail>.+)")
BUSY = "Another instance of Certbot is already running"
TRANSIENT = ("urn:ietf:params:acme:error:badNonce", "urn:ietf:params:acme:error:serverInternal")
UNREACHABLE = (
    "Max retries exceeded",
    "Connection refused",
    "Connection aborted",
    "No route to host",
    "Network is unreachable",
    "NameResolutionError",
    "Temporary failure in name resolution",
    "timed out",
    "503 Server Error",
    "502 Server Error",
)
HINTS = {
    "dns": "Create an A or AAAA record for the name that points to this host, wait until it is known, and run again.",
    "connection": "Open port 80 of this host to the internet (firewall, provider's network rules) and run again.",
    "unauthorized": "Another server answers for the name: point its DNS record to this host and run again.",
    "caa": "Allow the certificate authority in the CAA record of the domain and run again.",
    "rateLimited": (
        "Wait until the limit ends, or set letsencrypt_staging to true while you are trying things out. "
        "docs/certificates.md has the limits and what helps."
    ),
    "rejectedIdentifier": "The authority does not issue for this name: correct the domain and run again.",
    "malformed": "The authority does not accept this name: correct the domain and run again.",
}
DEFAULT_HINT = "See /var/log/letsencrypt/letsencrypt.log on the host, correct the cause and run again."


@dataclass(frozen=True)
class Problem:
    domain: str
    kind: str
    detail: str


def problems(output: str) -> list[Problem]:
    """What the authority said about each domain."""
    return [Problem(match["domain"], match["type"], match["detail"]) for match in PROBLEM.finditer(output)]


def is_busy(output: str) -> bool:
    return BUSY in output


def is_transient(output: str) -> bool:
    return any(kind in output for kind in TRANSIENT)


def is_away(output: str) -> bool:
    """Whether the authority could not be asked, or stumbled itself: it has said nothing about the names."""
    trusted = "CERTIFICATE_VERIFY_FAILED" not in output and "certificate verify failed" not in output
    return trusted and (is_transient(output) or any(sign in output for sign in UNREACHABLE))


def refusal(name: str, output: str) -> SlipwayError:
    """The error to raise when certbot ended with a failure over certificate `name`."""
    found = problems(output)
    if found:
        said = "; ".join(f"{problem.domain}: {problem.detail.rstrip('.')} ({problem.kind})" for problem in found)
        return SlipwayError(
            f"The certificate {name} was refused: {said}.",
            hint=HINTS.get(_kind(found[0]), DEFAULT_HINT),
            details={"problems": [vars(problem) for problem in found]},
        )
    if refused := TXT.search(output):
        return SlipwayError(
            f"The certificate {name} was not obtained: the zone's TXT record could not be set: "
            f"{refused['detail'].strip().rstrip('.')}.",
            hint="Correct letsencrypt_dns_credentials, or give that key the right to change TXT records of the zone.",
        )
    unexpected = UNEXPECTED.search(output)
    reason = " ".join(unexpected["detail"].split()) if unexpected else " ".join(tail(output, 3).split())
    kind = next((kind for kind in HINTS if f"acme:error:{kind}" in output), "")
    if not kind and "too many" in reason.lower():
        kind = "rateLimited"
    return SlipwayError(
        f"The certificate {name} was not obtained: {reason.rstrip('.')}.",
        hint=HINTS.get(kind, _hint(output)),
        details={"retry_at": _retry_at(output), "away": is_away(output)},
    )


def _retry_at(output: str) -> float:
    """When an authority that has had enough wants to be asked again; 0 if it does not say."""
    match = RETRY.search(output)
    if match is None:
        return 0.0
    return datetime.fromisoformat(match["moment"]).replace(tzinfo=timezone.utc).timestamp()


def _kind(problem: Problem) -> str:
    """Authorities also report a name that has no address as a failed connection."""
    return "dns" if problem.kind == "connection" and "resolv" in problem.detail else problem.kind


def _hint(output: str) -> str:
    if found := NO_PLUGIN.search(output):
        return f"Install the package python3-certbot-{found['plugin']}, as role letsencrypt does."
    if "CERTIFICATE_VERIFY_FAILED" in output or "certificate verify failed" in output:
        return "The ACME server's own certificate is not trusted: set letsencrypt_ca_file to its authority's file."
    if is_away(output):
        return "Check that this host reaches the address in letsencrypt_acme_directory."
    return DEFAULT_HINT
