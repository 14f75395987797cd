# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`slipway tenants export|exports|import|rename|erase`, and the kinds of job that modules start."""

from __future__ import annotations

import argparse
import getpass
import json
import os
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from ..common.events import Emitter, sentence
from ..common.terminal import complain, say
from . import erasure, export, imports, rename, target

JOBS: dict[str, Callable[[dict[str, Any], Emitter], dict[str, Any]]] = {
    "tenants.export": export.run,
    "tenants.import": imports.run,
    "tenants.erase": erasure.run,
}
Verbs = Any


def register(verbs: Verbs) -> None:
    """Add the verbs to those of `slipway tenants`."""
    out = _verb(verbs, "export", "dump one tenant to where the stack's backups go, and read it back", _export)
    _place(out)
    out.add_argument("--recipient", action="append", default=[], help="with --directory: age public key to encrypt for")
    listing = _verb(verbs, "exports", "list the exports of a tenant", _exports)
    _place(listing)
    listing.add_argument("--json", action="store_true", help="print JSON")
    back = _verb(verbs, "import", "make a tenant of an export", _import)
    _place(back)
    back.add_argument("--from-stack", default="", help="the stack that the export is of (default: this one)")
    back.add_argument("--from-name", default="", help="the slug that the export is of (default: the same)")
    back.add_argument("--id", default="latest", help="which export (default: the newest)")
    back.add_argument("--identity-file", default="", help="age identity for an encrypted export")
    back.add_argument("--replace", action="store_true", help="put a tenant that is there aside")
    again = _verb(verbs, "rename", "give a tenant another slug, schema or role", _rename)
    again.add_argument("new_name", help="the new slug; the same one to move the schema or the role alone")
    again.add_argument("--schema", default="", help="name of the schema (default: it follows the slug)")
    again.add_argument("--role", default="", help="name of the role (default: it follows the slug)")
    end = _verb(verbs, "erase", "remove a tenant for good and certify what was there", _erase)
    _place(end)
    end.add_argument("--confirm", default="", metavar="SLUG", help="the slug once more; without it nothing is erased")
    end.add_argument("--no-export", action="store_true", help="keep no export of it")
    end.add_argument("--reason", default="", help="a text for the certificate, such as the number of the request")
    end.add_argument("--check", action="store_true", help="only tell what would go")


def _verb(verbs: Verbs, name: str, text: str, func: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    verb: argparse.ArgumentParser = verbs.add_parser(name, help=text)
    verb.add_argument("stack", help="the stack's name, see /etc/slipway/tenants")
    verb.add_argument("name", help="the tenant's slug")
    verb.set_defaults(func=func)
    return verb


def _place(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--directory", default="", help="a directory on this host (default: where the stack's backups go)"
    )


def _request(args: argparse.Namespace, **more: Any) -> dict[str, Any]:
    request = {"stack": args.stack, "name": args.name, **more}
    if getattr(args, "directory", ""):
        request["spec"] = target.in_directory(args.stack, args.directory, getattr(args, "recipient", ()))
    return request


def _emitter() -> Emitter:
    return Emitter(lambda event: say(sentence(event)))


def _export(args: argparse.Namespace) -> int:
    made = export.run(_request(args), _emitter())["export"]
    for place in made["places"]:
        say(place)
    return 0


def _exports(args: argparse.Namespace) -> int:
    now = datetime.now(timezone.utc)
    found = [one.as_dict(now) for one in export.listing(_request(args))]
    if args.json:
        say(json.dumps(found, indent=2, sort_keys=True))
        return 0
    lines = [f"{one['id']}  {one['created']}  {one['bytes']} bytes  {'+'.join(one['copies'])}" for one in found]
    say("\n".join(lines) or f"The tenant {args.name} has no export.")
    return 0


def _import(args: argparse.Namespace) -> int:
    more = {name: getattr(args, name) for name in ("from_stack", "from_name", "id", "identity_file", "replace")}
    result = imports.run(_request(args, **more), _emitter())
    _warn(result)
    told = result["import"]
    say(f"Tenant {told['slug']} is imported: {told['rows']} rows in {told['tables']} tables of {told['schema']}.")
    return 0


def _rename(args: argparse.Namespace) -> int:
    names = {"name": args.name, "new_name": args.new_name, "new_schema": args.schema, "new_role": args.role}
    result = rename.run({"stack": args.stack, **names})
    _warn(result)
    say("\n".join(result["actions"]) or "Nothing is left to rename.")
    return 0


def _erase(args: argparse.Namespace) -> int:
    request = _request(args, confirm=args.confirm, export=not args.no_export, reason=args.reason, operator=_operator())
    if args.check:
        say(json.dumps(erasure.plan(request)["erasure"], indent=2, sort_keys=True))
        return 0
    result = erasure.run(request, _emitter())
    if not result["changed"]:
        say(f"Tenant {args.name} was erased at {result['erasure']['erased_at']}; the certificate is {result['path']}.")
    return 0


def _operator() -> str:
    """Who sits at the terminal, behind sudo if need be."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def _warn(result: dict[str, Any]) -> None:
    for warning in result["warnings"]:
        complain(warning)
