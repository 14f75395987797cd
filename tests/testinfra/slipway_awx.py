# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWX, as far as its jobs are concerned: ansible-runner with a private data directory of the shape that AWX gives it.

The project is a plain clone, the inventory a script that prints what `ansible-inventory` read from the project, the
survey's answers are extra variables, and credentials are injected by the injectors of awx/credential_types.yml. The
programs are those of the execution environment. What is not AWX's: no container is around it, so paths are those of
this machine.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from jinja2.sandbox import ImmutableSandboxedEnvironment
from slipway_lab import _RECAP, LAB, POLITE, ROOT, Play, Server, _behind
from slipway_secrets import encodings

sys.path.insert(0, str(ROOT / "tools"))

import runner
import stages
import surveys

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class _Unsafe(str):
    """A text that Ansible must not take for a template: whatever a person or a credential brought."""


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(_Unsafe, lambda dumper, text: dumper.represent_scalar("!unsafe", str(text)))


def unsafe(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: unsafe(one) for key, one in value.items()}
    if isinstance(value, list):
        return [unsafe(one) for one in value]
    return _Unsafe(value) if isinstance(value, str) else value


@dataclass(frozen=True)
class Job(Play):
    """What a job left behind."""

    artifacts: dict[str, Any] = field(default_factory=dict)
    # What AWX keeps of the hosts, where it does.
    facts: str = ""


SECRETS = "Slipway secrets of shop"


class Credentials:
    """What people typed in, by the name of the credential's type."""

    def __init__(self, values: dict[str, dict[str, str]]) -> None:
        types = surveys.load(ROOT / "awx" / "credential_types.yml")["awx_credential_types"]
        self._types = {one["name"]: one for one in types}
        self.values = values

    def secrets(self) -> list[str]:
        return [
            self.values[name][entry["id"]]
            for name in self.values
            for entry in self._types[name]["inputs"]["fields"]
            if entry.get("secret")
        ]

    @contextmanager
    def changed(self, secrets: dict[str, str]) -> Iterator[None]:
        """Other secrets of the stack for a while. Those with other names need another type, as docs/awx.md says."""
        values, types = dict(self.values), dict(self._types)
        self.values[SECRETS] = secrets
        self._types[SECRETS] = {
            "inputs": {"fields": [{"id": name, "secret": True} for name in secrets], "required": [*secrets]},
            "injectors": {"extra_vars": {"stack_secrets": {name: f"{{{{ {name} }}}}" for name in secrets}}},
        }
        if {*secrets} == {*types[SECRETS]["injectors"]["extra_vars"]["stack_secrets"]}:
            self._types[SECRETS] = types[SECRETS]
        try:
            yield
        finally:
            self.values, self._types = values, types

    def inject(self, name: str, private: Path) -> list[str]:
        """Words of the command line; the files that they name are left in the private data directory."""
        sandbox = ImmutableSandboxedEnvironment()
        namespace: dict[str, Any] = dict(self.values[name])
        kind = self._types[name]
        assert {*kind["inputs"]["required"]} <= {*namespace}, f"AWX starts no job while {name} is not filled in"

        def rendered(node: Any) -> Any:
            if isinstance(node, dict):
                return {key: rendered(value) for key, value in node.items()}
            return sandbox.from_string(node).render(**namespace)

        injectors = kind["injectors"]
        names = SimpleNamespace()
        for label, template in injectors.get("file", {}).items():
            path = private / "env" / f"file-{label}"
            path.write_text(rendered(template))
            path.chmod(0o600)
            setattr(names, label.partition(".")[2], str(path))
        namespace["tower"] = SimpleNamespace(filename=names)
        variables = rendered(injectors["extra_vars"])
        path = private / "env" / f"vars-{len(list((private / 'env').iterdir()))}"
        path.write_text(yaml.dump(unsafe(variables), Dumper=_Dumper))
        path.chmod(0o400)
        return ["-e", f"@{path}"]


def answers(playbook: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a person who leaves the rest of the survey blank hands over: blank texts are empty, not absent."""
    path = surveys.SURVEYS / f"{playbook}.yml"
    asked = {one["variable"]: one for one in yaml.safe_load(path.read_text())["spec"]} if path.is_file() else {}
    assert {*given} <= {*asked}, f"the survey of {playbook} does not ask {', '.join({*given} - {*asked})}"
    found = {}
    for name, question in asked.items():
        answer = given.get(name, question.get("default", ""))
        assert answer != "" or not question["required"], f"{playbook} wants an answer to {name}"
        if question["type"] == "multiplechoice":
            assert answer in question["choices"], f"{name} cannot be {answer}"
        assert (question["type"] == "integer") == isinstance(answer, int), f"{name} cannot be {answer!r}"
        found[name] = answer
    return found


class Awx:
    """An AWX with the project, one inventory, the credentials and the job templates."""

    def __init__(self, binaries: Path, clone: Path, credentials: Credentials) -> None:
        self.binaries = binaries
        self.clone = clone
        self.credentials = credentials
        self.templates = {Path(one["playbook"]).stem: one for one in surveys.job_templates()}
        self.launched: dict[str, set[str]] = {}
        self._environment = {
            "PATH": f"{binaries}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "LC_ALL": "C.UTF-8",
            # Where the project keeps collections, and where the image has them.
            "ANSIBLE_COLLECTIONS_PATH": f"requirements_collections:playbooks/collections:{stages.NEEDED}",
            "ANSIBLE_FORCE_COLOR": "True",
            "ANSIBLE_INVENTORY_UNPARSED_FAILED": "True",
            "ANSIBLE_PARAMIKO_RECORD_HOST_KEYS": "False",
            "ANSIBLE_RETRY_FILES_ENABLED": "False",
            "MAX_EVENT_RES": "700000",
            # The lab's, not AWX's.
            "SLIPWAY_LAB": str(LAB),
        }
        self._inventory = self._import()

    def _import(self) -> dict[str, Any]:
        """What the inventory source reads from the project."""
        sources = ("inventories/demo/hosts.yml", "molecule/inventory/servers.yml", "molecule/awx/inventory/lab.yml")
        with tempfile.TemporaryDirectory() as home:
            done = subprocess.run(
                ["ansible-inventory", *(word for one in sources for word in ("-i", one)), "--list", "--export"],
                cwd=self.clone,
                env={**self._environment, "ANSIBLE_FORCE_COLOR": "False", "HOME": home},
                capture_output=True,
                text=True,
                check=False,
            )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        # The variables of the inventory itself, as playbooks/awx.yml sets them.
        found["all"]["vars"] = {"slipway_inventory": "inventories/demo"}
        return found

    def _script(self, hosts: list[str] | None) -> str:
        """The inventory of a job; a slice has some of the hosts and knows nothing of the others."""
        content: dict[str, Any] = json.loads(json.dumps(self._inventory))
        for name, group in content.items():
            if hosts and name == "_meta":
                group["hostvars"] = {host: group["hostvars"][host] for host in hosts}
            elif hosts and "hosts" in group:
                group["hosts"] = [host for host in group["hosts"] if host in hosts]
        for number, variables in enumerate(content["_meta"]["hostvars"].values(), 1):
            variables.update(remote_tower_enabled="true", remote_tower_id=number)
        return f"#! /usr/bin/env python3\n# -*- coding: utf-8 -*-\nprint({json.dumps(content)!r})\n"

    def launch(
        self,
        playbook: str,
        given: Mapping[str, Any] | None = None,
        *words: str,
        limit: str = "",
        hosts: list[str] | None = None,
        more: Mapping[str, Any] | None = None,
        credentials: tuple[str, ...] = ("Slipway S3", SECRETS),
        timeout: float = 900,
        nice: int = POLITE,
    ) -> Job:
        """Start a job template, with further words of the command line that AWX would add, to its end."""
        template = self.templates[playbook]
        number = 1 + sum(map(len, self.launched.values()))
        private = Path(tempfile.mkdtemp(prefix=f"awx_{number}_"))
        try:
            self._prepare(private, template, answers(playbook, given or {}), hosts, more or {}, number)
            line = ["-u", "ops", *(("-l", limit) if limit else ()), *words]
            for name in credentials:
                line += self.credentials.inject(name, private)
            (private / "env" / "cmdline").write_text(shlex.join(line))
            job = self._run(private, template["playbook"], str(number), timeout, nice)
        finally:
            shutil.rmtree(private, ignore_errors=True)
        self.launched.setdefault(playbook, set()).add(f"{number} {'check' if '--check' in words else 'run'}")
        return job

    def _prepare(
        self,
        private: Path,
        template: Mapping[str, Any],
        given: Mapping[str, Any],
        hosts: list[str] | None,
        more: Mapping[str, Any],
        number: int,
    ) -> None:
        for name in ("env", "inventory", "artifacts", "cp"):
            (private / name).mkdir(mode=0o700)
        shutil.copytree(self.clone, private / "project", symlinks=True)
        script = private / "inventory" / "hosts"
        script.write_text(self._script(hosts))
        script.chmod(0o700)
        about = {
            "job_id": number,
            "job_template_name": template["name"],
            "user_name": "admin",
            "inventory_name": "demo",
        }
        told = {f"{product}_{key}": value for product in ("awx", "tower") for key, value in about.items()}
        # Only what the template itself says may be a template of Ansible.
        own = surveys.load(ROOT / "awx" / "job_templates.yml")["awx_job_template_extra_vars"]
        variables = {**own, **unsafe({**more, **given, **told})}
        (private / "env" / "extravars").write_text(yaml.dump(variables, Dumper=_Dumper))
        (private / "env" / "envvars").write_text(
            json.dumps({**self._environment, "JOB_ID": str(number), "ANSIBLE_SSH_CONTROL_PATH_DIR": f"{private}/cp"})
        )
        key = private / "env" / "ssh_key"
        key.write_text((LAB / "id_ed25519").read_text())
        key.chmod(0o600)

    def _run(self, private: Path, playbook: str, ident: str, timeout: float, nice: int) -> Job:
        words = ["ansible-runner", "run", str(private), "-p", playbook, "-i", ident, "-q"]
        environment = {**self._environment, "HOME": str(private)}
        started = time.monotonic()
        done = subprocess.run(
            [*_behind(nice), *words],
            env=environment,
            cwd=private,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        left = private / "artifacts" / ident
        assert (left / "rc").is_file(), done.stdout + done.stderr
        text = (left / "stdout").read_text()
        events = sorted((left / "job_events").glob("*.json"))
        facts = [path for path in (left / "fact_cache").rglob("*") if path.is_file()]
        self._refuse_secrets([left / "stdout", *events, *facts])
        artifacts = {}
        for path in events:
            event = json.loads(path.read_text())
            if event["event"] == "playbook_on_stats":
                artifacts = event["event_data"].get("artifact_data", {})
        output = _COLOUR.sub("", text).replace("\r\n", "\n")
        print(f"{playbook}: {time.monotonic() - started:.0f} s")
        return Job(
            int((left / "rc").read_text()),
            output,
            {host: int(numbers[1]) for host, *numbers in _RECAP.findall(output)},
            artifacts,
            "".join(path.read_text() for path in facts),
        )

    def _refuse_secrets(self, paths: list[Path]) -> None:
        """No value of a credential is in what AWX keeps of a job: its output, its events and facts."""
        key = (LAB / "id_ed25519").read_text().splitlines()[1]
        plain = [form for secret in (*self.credentials.secrets(), key) for form in encodings(secret)]
        # What a task printed is JSON in the JSON of an event.
        forms = {*plain, *(json.dumps(form)[1:-1] for form in plain)}
        for path in paths:
            text = path.read_text()
            assert not [form for form in forms if form in text], f"a secret is in {path.name}"


class AwxServer(Server):
    """A server whose playbooks are jobs."""

    def __init__(self, name: str, awx: Awx) -> None:
        super().__init__(name)
        self.awx = awx
        # The first job puts it into production.
        self.site = self.job("site")

    def play(self, name: str, *arguments: str, timeout: float = 900, nice: int = POLITE) -> Job:
        """The same as on a command line: what the survey asks is an answer, what is left is as in the inventory."""
        words, variables = _split(arguments)
        secrets = variables.pop("stack_secrets", self.awx.credentials.values[SECRETS])
        path = surveys.SURVEYS / f"{name}.yml"
        asked = {one["variable"]: one["type"] for one in yaml.safe_load(path.read_text())["spec"]}
        given = {key: _answer(asked[key], value) for key, value in variables.items() if key in asked}
        more = {key: value for key, value in variables.items() if key not in asked}
        with self.awx.credentials.changed(secrets):
            return self.awx.launch(name, given, *words, limit=self.name, more=more, timeout=timeout, nice=nice)

    def job(self, name: str, given: Mapping[str, Any] | None = None, *words: str, **options: Any) -> Job:
        """A job that has to succeed."""
        job = self.awx.launch(name, given, *words, **{"limit": self.name, **options})
        assert job.code == 0, job.output[-6000:]
        return job


def _answer(kind: str, value: Any) -> Any:
    """As a person types it into the survey."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return shlex.join(value)
    return int(value) if kind == "integer" else str(value)


def _split(arguments: tuple[str, ...]) -> tuple[list[str], dict[str, Any]]:
    words: list[str] = []
    variables: dict[str, Any] = {}
    rest = iter(arguments)
    for word in rest:
        if word not in ("-e", "--extra-vars"):
            words.append(word)
            continue
        value = next(rest)
        variables.update(
            json.loads(value) if value.startswith("{") else dict(pair.split("=", 1) for pair in shlex.split(value))
        )
    return words, variables


def demo_secrets() -> dict[str, str]:
    """The secrets of the demo, made at the first run of either."""
    found = {}
    for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD"):
        path = ROOT / ".cache" / "demo" / name.lower()
        if not path.is_file():
            path.parent.mkdir(exist_ok=True)
            path.write_text(os.urandom(16).hex() + "\n")
        found[name] = path.read_text().strip()
    return found


@pytest.fixture(scope="session")
def awx() -> Iterator[Awx]:
    log = runner.Log(stages.EXECUTION / "log", time.monotonic() + 600, set())
    binaries = stages.execution_environment(log)
    stages.install_artifact(log, binaries)
    s3 = {"backup_s3_access_key": "lab-backup", "backup_s3_secret_key": (LAB / "s3_secret_key").read_text()}
    credentials = Credentials({"Slipway S3": s3, SECRETS: demo_secrets()})
    yield Awx(binaries, stages.EXECUTION / "artifact" / "tree", credentials)


@pytest.fixture(scope="session")
def server(awx: Awx) -> AwxServer:
    """In place of the one that runs playbooks by hand."""
    return AwxServer(os.environ["SLIPWAY_HOST"], awx)
