# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""TLS for probes: one context per CA file, a handshake within the deadline, and plain words for what is wrong."""

from __future__ import annotations

import functools
import socket
import ssl
import threading
from pathlib import Path

from ..common.errors import SlipwayError
from .context import Context
from .option import Option

OPTIONS = {
    "ca_file": Option(
        "str", "File with the CA certificates to trust instead of the system's, on the machine that runs the probe."
    ),
    "address": Option(
        "str",
        "Connect to this IP address or host; the target's host stays the name that is asked for (Host header, SNI).",
    ),
    "verify": Option("bool", "Verify the certificate's chain and name.", default=True),
}

EXPIRED, NOT_YET_VALID, SELF_SIGNED, SELF_SIGNED_IN_CHAIN, NO_ISSUER, CANNOT_VERIFY_LEAF = 10, 9, 18, 19, 20, 21
WRONG_NAME = (62, 64)
READING = threading.Lock()


def tls_context(ca_file: str | None, verify: bool) -> ssl.SSLContext:
    """Reading the system's CA bundle costs 20 ms of CPU time, so it is read once, whoever begins at once."""
    with READING:
        return _tls_context(ca_file, verify)


@functools.lru_cache(maxsize=16)
def _tls_context(ca_file: str | None, verify: bool) -> ssl.SSLContext:
    if ca_file and not Path(ca_file).is_file():
        raise SlipwayError(
            f"The CA file {ca_file} does not exist.", hint="Give its path on the machine that runs the probe."
        )
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError as error:
        raise SlipwayError(f"The CA file {ca_file} is not a PEM file with certificates: {error.reason}.") from error
    # Python 3.13 alone refuses a CA without a key usage extension; browsers, curl and older Pythons accept it.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def handshake(
    context: Context, connection: socket.socket, name: str, ca_file: str | None, verify: bool
) -> ssl.SSLSocket:
    """Speak TLS over an open connection. The handshake is separate so that the deadline can end it."""
    secured = tls_context(ca_file, verify).wrap_socket(connection, server_hostname=name, do_handshake_on_connect=False)
    context.own(secured)
    try:
        secured.do_handshake()
    except ssl.SSLCertVerificationError as error:
        raise certificate_error(error, name) from error
    except ssl.SSLError as error:
        if "UNRECOGNIZED_NAME" not in (error.reason or ""):
            raise
        raise SlipwayError(
            f"the server has no site named {name}",
            hint="Was the site rendered? Look in /etc/nginx/slipway/sites and at nginx -t.",
        ) from error
    return secured


def certificate_error(error: ssl.SSLCertVerificationError, name: str) -> SlipwayError:
    code = error.verify_code
    details = {"verify_code": code, "verify_message": error.verify_message}
    if code == EXPIRED:
        return SlipwayError("the certificate has expired", hint="Renew it: certbot renew", details=details)
    if code == NOT_YET_VALID:
        return SlipwayError(
            "the certificate is not valid yet", hint="Compare the clocks of both machines.", details=details
        )
    if code == SELF_SIGNED:
        return SlipwayError(
            "the certificate is self-signed", hint="Issue one, or trust it with ca_file.", details=details
        )
    if code in (SELF_SIGNED_IN_CHAIN, NO_ISSUER, CANNOT_VERIFY_LEAF):
        return SlipwayError(
            "the certificate's chain does not end at a trusted CA",
            hint="Serve the full chain (fullchain.pem), or trust the CA with ca_file.",
            details=details,
        )
    if code in WRONG_NAME:
        return SlipwayError(
            f"the certificate is for another name than {name}",
            hint="Issue a certificate for this name, or check which site answers.",
            details=details,
        )
    return SlipwayError(f"the certificate was refused: {error.verify_message}", details=details)
