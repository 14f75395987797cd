# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`slipway certificates ...`: what certbot's timer and its hooks have to do beside certbot."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ..common.errors import SlipwayError
from ..common.process import run
from ..common.terminal import say
from . import lineage, pair, renewal_info, stand_in

CONFIG = Path("/etc/letsencrypt")
RENEW = ("certbot", "renew", "--quiet", "--force-renewal", "--no-random-sleep-on-renew", "--cert-name")
RENEWAL_SECONDS = 600.0


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = sub.add_parser("certificates", help="certificates that Nginx serves with")
    verbs = command.add_subparsers(dest="verb", required=True, metavar="VERB")
    publish = verbs.add_parser("publish", help="give Nginx a renewed certificate; certbot's deploy hook does so")
    publish.add_argument("live", type=Path, metavar="DIRECTORY", help="certbot's directory for it below live")
    publish.set_defaults(func=_publish)
    check = verbs.add_parser("check", help="renew what its authority wants replaced before its time")
    check.set_defaults(func=_check)
    restore = verbs.add_parser("restore", help="have each site's certificate in place before Nginx starts")
    restore.set_defaults(func=_restore)


def _publish(args: argparse.Namespace) -> int:
    copy = pair.path(pair.DIRECTORY, args.live.name)
    # One that no site asked for is not Nginx's.
    if copy.exists() and not pair.publish(copy, args.live):
        raise SlipwayError(
            f"What is in {args.live} does not belong together, so Nginx goes on with the certificate that it has.",
            hint="Run playbooks/site.yml, which obtains it anew.",
        )
    return 0


def _restore(_args: argparse.Namespace) -> int:
    for told in stand_in.restore(Path(pair.DIRECTORY), CONFIG / "live"):
        say(told)
    return 0


def _check(_args: argparse.Namespace) -> int:
    by_server: dict[str, dict[str, Path]] = {}
    for conf in sorted((CONFIG / "renewal").glob("*.conf")):
        found = lineage.read(str(CONFIG), conf.stem)
        if found and not found.fault and not found.relink:
            live = lineage.Place(CONFIG, conf.stem).live
            by_server.setdefault(found.server, {})[conf.stem] = live / "cert.pem"
    ca_file = os.environ.get("REQUESTS_CA_BUNDLE", "")
    for server, certificates in by_server.items():
        for name, wish in renewal_info.wishes(server, ca_file, certificates).items():
            say(f"{name}: {wish}")
            run([*RENEW, name], timeout=RENEWAL_SECONDS)
    return 0
