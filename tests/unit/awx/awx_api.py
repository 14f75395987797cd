# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A simulation of AWX's API, as far as the modules of awx.awx ask it: objects in memory, and no job ever runs.

It refuses what AWX refuses and playbooks/awx.yml could get wrong: objects that another one names and are not there,
a playbook that the project does not have, surveys of a wrong form, unknown fields in a query. Like AWX it drops fields
that an object does not have and shows secrets as $encrypted$.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

TOKEN = "a-token-of-the-test"
COMMON = {"name", "description"}
OWNED = COMMON | {"organization"}
ASK_FOR = ("inventory", "limit", "tags", "job_type", "diff_mode", "verbosity", "credential")
ASK = {f"ask_{what}_on_launch" for what in ASK_FOR}
PROMPTS = {"extra_data", "inventory", "job_type", "job_tags", "skip_tags", "limit", "diff_mode", "verbosity"}
# What an object of each kind has, of all that the modules send.
FIELDS: dict[str, set[str]] = {
    "organizations": COMMON,
    "execution_environments": OWNED | {"image", "pull", "credential"},
    "credential_types": COMMON | {"kind", "managed", "inputs", "injectors"},
    "credentials": OWNED | {"credential_type", "inputs"},
    "projects": OWNED
    | {"scm_type", "scm_url", "scm_branch", "scm_update_on_launch", "default_environment", "credential", "timeout"},
    "inventories": OWNED | {"variables", "kind", "host_filter"},
    "inventory_sources": COMMON
    | {"inventory", "source", "source_project", "source_path", "execution_environment", "overwrite", "overwrite_vars"}
    | {"update_on_launch"},
    "labels": {"name", "organization"},
    "notification_templates": OWNED | {"notification_type", "notification_configuration", "messages"},
    "job_templates": OWNED
    | ASK
    | {"project", "playbook", "execution_environment", "extra_vars", "survey_enabled", "allow_simultaneous"}
    | {"ask_job_slice_count_on_launch"},
    "workflow_job_templates": OWNED | ASK | {"survey_enabled", "extra_vars"},
    "workflow_job_template_nodes": {"identifier", "workflow_job_template", "unified_job_template"}
    | {"all_parents_must_converge"}
    | PROMPTS,
    "workflow_approval_templates": COMMON | {"timeout"},
    "schedules": COMMON | PROMPTS | {"rrule", "unified_job_template", "enabled"},
}
UNIFIED = ("projects", "inventory_sources", "job_templates", "workflow_job_templates", "workflow_approval_templates")
# Which objects a field names.
NAMES = {
    "organization": ("organizations",),
    "credential_type": ("credential_types",),
    "credential": ("credentials",),
    "inventory": ("inventories",),
    "project": ("projects",),
    "source_project": ("projects",),
    "execution_environment": ("execution_environments",),
    "default_environment": ("execution_environments",),
    "workflow_job_template": ("workflow_job_templates",),
    "unified_job_template": UNIFIED,
}
QUESTION = {"question_name", "question_description", "variable", "type", "required", "default", "choices", "min", "max"}
RULE = re.compile(r"DTSTART:\d{8}T\d{6}Z RRULE:FREQ=[A-Z]+;INTERVAL=\d+(;[A-Z]+=[A-Z0-9,]+)*")
TYPES = {"text", "textarea", "password", "multiplechoice", "multiselect", "integer", "float"}


class Refused(Exception):
    def __init__(self, status: int, **body: Any) -> None:
        super().__init__(body)
        self.status = status
        self.body = body


class Awx:
    def __init__(self, playbooks: Iterable[str]) -> None:
        self.playbooks = {*playbooks}
        self.objects: dict[str, dict[int, dict[str, Any]]] = {kind: {} for kind in FIELDS}
        self.linked: dict[str, list[int]] = {}
        self.surveys: dict[str, dict[str, Any]] = {}
        self.writes: list[str] = []
        self._number = 0
        self._lock = threading.Lock()
        for name, kind in (("Machine", "ssh"), ("Vault", "vault"), ("Source Control", "scm")):
            self.create("credential_types", {"name": name, "kind": kind, "inputs": {}, "injectors": {}})
        self.writes.clear()

    def named(self, kind: str, name: str) -> dict[str, Any]:
        [found] = [one for one in self.objects[kind].values() if one.get("name", one.get("identifier")) == name]
        return found

    def names(self, kind: str) -> list[str]:
        return sorted(str(one.get("name", one.get("identifier"))) for one in self.objects[kind].values())

    def linked_names(self, kind: str, name: str, what: str) -> list[str]:
        every = {number: one for found in self.objects.values() for number, one in found.items()}
        numbers = self.linked.get(f"{self.named(kind, name)['url']}{what}/", [])
        return sorted(str(every[number].get("name", every[number].get("identifier"))) for number in numbers)

    # Objects

    def create(self, kind: str, data: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        url = f"/api/v2/{kind}/{self._number}/"
        made = {"id": self._number, "url": url, "type": kind.rstrip("s"), "summary_fields": {}, "related": {}}
        if kind in ("job_templates", "workflow_job_templates"):
            made["related"] = {"survey_spec": f"{url}survey_spec/"}
        if kind == "projects":
            made.update(scm_revision="0" * 40, summary_fields={"current_update": {"id": self._number}})
        self._set(kind, made, data)
        self.objects[kind][self._number] = made
        return made

    def _set(self, kind: str, entry: dict[str, Any], data: dict[str, Any]) -> None:
        known = {key: value for key, value in data.items() if key in FIELDS[kind]}
        for key, value in known.items():
            if key in NAMES and value and not any(int(value) in self.objects[other] for other in NAMES[key]):
                raise Refused(400, **{key: [f'Invalid pk "{value}" - object does not exist.']})
        if kind == "job_templates" and known.get("playbook", entry.get("playbook")) not in self.playbooks:
            raise Refused(400, playbook=["Playbook not found for project."])
        if kind == "schedules":
            self._check_schedule(known)
        if kind == "credentials" and "inputs" in known:
            secret = {one["id"] for one in self._fields(known, entry) if one.get("secret")}
            known["inputs"] = {key: "$encrypted$" if key in secret else value for key, value in known["inputs"].items()}
        entry.update(known)

    def _fields(self, known: dict[str, Any], entry: dict[str, Any]) -> list[dict[str, Any]]:
        number = known.get("credential_type", entry.get("credential_type"))
        found: list[dict[str, Any]] = self.objects["credential_types"][int(number)]["inputs"].get("fields", [])
        return found

    def _check_schedule(self, known: dict[str, Any]) -> None:
        if not RULE.fullmatch(known["rrule"]):
            raise Refused(400, rrule=["This field is no rule."])
        for kind in ("job_templates", "workflow_job_templates"):
            template = self.objects[kind].get(int(known["unified_job_template"]))
            for question in self.surveys.get(f"{template['url']}survey_spec/", {}).get("spec", []) if template else []:
                if question["required"] and question["variable"] not in known.get("extra_data", {}):
                    raise Refused(400, variables_needed_to_start=[f"'{question['variable']}' value missing"])

    def find(self, kind: str, query: dict[str, str]) -> list[dict[str, Any]]:
        kinds = UNIFIED if kind == "unified_job_templates" else (kind,)
        found = [one for name in kinds for one in self.objects[name].values()]
        for key, value in query.items():
            if key not in {"type"}.union(*(FIELDS[name] for name in kinds)):
                raise Refused(400, detail=f"{kind} has no field named '{key}'")
            found = [one for one in found if str(one.get(key)) == value]
        return found

    # Requests

    def answer(self, method: str, path: str, query: dict[str, str], data: dict[str, Any]) -> tuple[int, Any]:
        with self._lock:
            if method != "GET":
                self.writes.append(f"{method} {path}")
            words = path.removeprefix("/api/v2/").strip("/").split("/")
            handlers: dict[int, Callable[..., tuple[int, Any]]] = {1: self._list, 2: self._one, 3: self._part}
            return handlers[len(words)](method, path, words, query, data)

    def _list(
        self, method: str, path: str, words: list[str], query: dict[str, str], data: dict[str, Any]
    ) -> tuple[int, Any]:
        if words[0] in ("me", "ping", "config"):
            return 200, {"count": 1, "next": None, "results": [{"id": 1, "username": "admin"}]}
        if method == "POST":
            return 201, self.create(words[0], data)
        found = self.find(words[0], query)
        return 200, {"count": len(found), "next": None, "results": found}

    def _one(
        self, method: str, path: str, words: list[str], query: dict[str, str], data: dict[str, Any]
    ) -> tuple[int, Any]:
        if words[0] == "project_updates":
            return 200, {"id": int(words[1]), "status": "successful"}
        entry = self.objects[words[0]][int(words[1])]
        if method == "PATCH":
            self._set(words[0], entry, data)
        return 200, entry

    def _part(
        self, method: str, path: str, words: list[str], query: dict[str, str], data: dict[str, Any]
    ) -> tuple[int, Any]:
        kind, number, what = words
        if what == "survey_spec":
            return self._survey(method, path, data)
        if what == "create_approval_template":
            approval = self.create("workflow_approval_templates", data)
            node = self.objects[kind][int(number)]
            node["unified_job_template"] = approval["id"]
            node["related"]["unified_job_template"] = approval["url"]
            return 201, approval
        linked = self.linked.setdefault(path, [])
        if method == "POST":
            if data.get("disassociate"):
                linked.remove(data["id"])
            else:
                linked.append(data["id"])
            return 204, None
        return 200, {"count": len(linked), "next": None, "results": [{"id": one} for one in linked]}

    def _survey(self, method: str, path: str, data: dict[str, Any]) -> tuple[int, Any]:
        if method == "GET":
            return 200, self.surveys.get(path, {})
        if method == "DELETE":
            self.surveys.pop(path, None)
            return 200, {}
        if {*data} != {"name", "description", "spec"} or not data["spec"]:
            raise Refused(400, error="'spec' missing from survey spec.")
        for question in data["spec"]:
            wrong = {*question} - QUESTION or question["type"] not in TYPES or question["required"] not in (True, False)
            choices = ["", *question.get("choices", [question.get("default", "")])]
            if wrong or question.get("default", "") not in choices:
                raise Refused(400, error=f"The question {question.get('variable')} is wrong.")
        self.surveys[path] = data
        return 200, {}


class _Handler(BaseHTTPRequestHandler):
    awx: Awx
    protocol_version = "HTTP/1.1"

    def _respond(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        data = json.loads(self.rfile.read(length) or b"{}")
        try:
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                raise Refused(401, detail="Authentication credentials were not provided.")
            status, body = self.awx.answer(self.command, parts.path, dict(parse_qsl(parts.query)), data)
        except Refused as refused:
            status, body = refused.status, refused.body
        except (KeyError, ValueError) as error:
            status, body = 404, {"detail": f"Not found: {error!r}"}
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("X-API-Product-Name", "AWX")
        self.send_header("X-API-Product-Version", "24.6.1")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = do_DELETE = _respond

    def log_message(self, format: str, *args: object) -> None:
        """What was asked is in Awx.writes."""


def serve(awx: Awx) -> ThreadingHTTPServer:
    handler = type("Handler", (_Handler,), {"awx": awx})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
