# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make test` runs, cheap first."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pythons
import yaml
from runner import Count, Log, Stage, StageFailed, junit

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
LOGS = CACHE / "test"
COLLECTIONS = CACHE / "collections" / "ansible_collections"
ONE = Count(passed=1)
PLAIN = {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0", "NO_COLOR": "1", "PY_COLORS": "0"}


def command(*argv: str | Path) -> Callable[[Log], Count]:
    """A stage that is one command."""

    def work(log: Log) -> Count:
        log.check(argv, env=PLAIN, cwd=ROOT)
        return ONE

    return work


def ruff(log: Log) -> Count:
    codes = [
        log.run(["ruff", *words, "."], env=PLAIN, cwd=ROOT)
        for words in (["check", "--output-format=concise"], ["format", "--check"])
    ]
    if any(codes):
        raise StageFailed("ruff found something (`ruff check --fix` and `ruff format` mend most of it)")
    return ONE


def mypy(log: Log) -> Count:
    log.check(["mypy", "-p", "ansible_collections.slipway.vps.plugins.module_utils"], env=PLAIN, cwd=ROOT)
    log.check(
        ["mypy", *sorted((ROOT / "tools").glob("*.py"))], env={**PLAIN, "MYPYPATH": str(ROOT / "tools")}, cwd=ROOT
    )
    return ONE


# ansible-test


def tracked_files() -> list[str]:
    """Every file of the checkout that git does not ignore, committed or not."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = listing.stdout.decode().split("\0")
    return sorted(name for name in set(names) if name and os.path.lexists(ROOT / name))


def copy_tree(target: Path) -> None:
    """A clean copy: ansible-test and galaxy-importer look at every file, and ansible-test refuses a linked checkout."""
    shutil.rmtree(target, ignore_errors=True)
    for name in tracked_files():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name, follow_symlinks=False)


def private_home(home: Path, ansible_test: Path) -> None:
    """ansible-test keeps its environments below HOME and hands no PIP_ variable on; both are put into the cache.

    It also downloads a script that installs pip. Python brings one of its own, which a script at the place that
    ansible-test itself names for this case starts instead.
    """
    cache = home / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    requirements = (ansible_test / "_internal" / "python_requirements.py").read_text()
    version = re.search(r"\bpip='([0-9.]+)'", requirements)
    if not version:
        raise StageFailed(f"{ansible_test} does not name the version of pip that it wants")
    bootstrap = (ROOT / "tools" / "get_pip.py").read_text()
    (cache / f"get_pip_{version[1].replace('.', '_')}.py").write_text(bootstrap)

    listing = subprocess.run(["pip", "config", "list"], capture_output=True, text=True, check=True).stdout
    settings = dict(re.findall(r"^(?:global|install|:env:)\.([a-z-]+)='(.*)'$", listing, re.MULTILINE))
    config = home / ".config" / "pip" / "pip.conf"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.touch(mode=0o600)
    config.write_text(
        "[global]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items() if key != "config-file")
    )


def environment(log: Log, folder: Path, python: str, *pins: str) -> Path:
    """A virtual environment of its own with the pinned packages; made once."""
    content = "\0".join([python, *pins, *(Path(pin).read_text() for pin in pins if os.path.isfile(pin))])
    wanted = hashlib.sha256(content.encode()).hexdigest()
    stamp = folder / "made-from"
    if not (stamp.is_file() and stamp.read_text() == wanted):
        shutil.rmtree(folder, ignore_errors=True)
        log.check([python, "-m", "venv", folder])
        words = [word for pin in pins for word in (["-r", pin] if os.path.isfile(pin) else [pin])]
        log.check([folder / "bin" / "pip", "install", "--disable-pip-version-check", *words])
        stamp.write_text(wanted)
    return folder / "bin"


def testable_tree(log: Log, base: Path) -> Path:
    """A copy that ansible-test accepts, beside the collections that it depends on."""
    tree = base / "ansible_collections" / "slipway" / "vps"
    copy_tree(tree)
    # Its files are those that git knows, and the checkout around the cache ignores the cache.
    for words in (["init", "--quiet"], ["add", "--all", "--force"]):
        log.check(["git", *words], cwd=tree)
    for name in ("ansible", "community"):
        link = base / "ansible_collections" / name
        link.unlink(missing_ok=True)
        link.symlink_to(COLLECTIONS / name)
    return tree


def sanity(choice: pythons.Choice, log: Log) -> Count:
    base = CACHE / "at" / choice.core
    version = f"3.{choice.minor}"
    binaries = environment(log, base / f"venv-{version}", choice.python, f"ansible-core=={choice.core}")
    home = base / "home"
    private_home(home, next((base / f"venv-{version}" / "lib").glob("python3*/site-packages/ansible_test")))
    tree = testable_tree(log, base)
    env = {**PLAIN, "HOME": str(home), "PATH": f"{binaries}:{os.environ['PATH']}", "VIRTUAL_ENV": str(binaries.parent)}
    env |= {"ANSIBLE_CONFIG": "/dev/null", "LC_ALL": "C.UTF-8"}
    code = log.run(
        [binaries / "ansible-test", "sanity", "--local", "--python", version, "--junit", "--color", "no"],
        env=env,
        cwd=tree,
    )
    count = junit(*(tree / "tests" / "output" / "junit").glob("*.xml"))
    if code or not count.passed:
        errors = [line for line in log.lines() if line.startswith(("ERROR", "FATAL"))]
        raise StageFailed(f"ansible-test ended with code {code}", count, errors[:80])
    return count


def targets() -> list[str]:
    """Integration targets for this machine; `setup_` ones serve others, unsupported ones need a server."""
    found = []
    for tasks in sorted((ROOT / "tests" / "integration" / "targets").glob("*/tasks/main.yml")):
        target = tasks.parent.parent
        if target.name.startswith("setup_"):
            continue
        aliases = target / "aliases"
        if not (aliases.is_file() and "unsupported" in aliases.read_text().split()):
            found.append(target.name)
    return found


def integration(log: Log) -> Count:
    tree = testable_tree(log, CACHE / "at" / "integration")
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    env = {**PLAIN, "ANSIBLE_CONFIG": "/dev/null", "LC_ALL": "C.UTF-8"}
    count = Count()
    for target in targets():
        argv = ["ansible-test", "integration", "--local", "--python", version, "--color", "no", target]
        count += Count(failed=1) if log.run(argv, env=env, cwd=tree) else ONE
    if count.failed:
        raise StageFailed(f"{count.failed} of the targets failed", count)
    return count


# Tests


def percentages(report: Path) -> str:
    """Coverage of the whole and of each package of the engine."""
    data = json.loads(report.read_text())
    packages: dict[str, list[int]] = {}
    for name, file in data["files"].items():
        parts = Path(name).parts
        package = parts[2] if len(parts) > 3 else parts[1]
        numbers = packages.setdefault(package, [0, 0])
        numbers[0] += file["summary"]["covered_lines"] + file["summary"].get("covered_branches", 0)
        numbers[1] += file["summary"]["num_statements"] + file["summary"].get("num_branches", 0)
    each = (f"{name} {100 * done / of:.0f}%" for name, (done, of) in sorted(packages.items()) if of)
    return f"coverage {data['totals']['percent_covered']:.1f}%: {', '.join(each)}"


def measured() -> tuple[list[str], dict[str, str]]:
    """Words and variables for the measurement of coverage: lines in the short form, branches too in the long one.

    Lines cost next to nothing where the interpreter itself tells them (Python 3.12); that it does not do for branches
    before Python 3.14, and a function that is called at every line takes longer than many a test.
    """
    if os.environ.get("SLIPWAY_LONG"):
        return ["--cov-branch"], {}
    return [], {"COVERAGE_CORE": "sysmon"} if sys.version_info >= (3, 12) else {}


def unit(name: str, words: Sequence[str], log: Log) -> Count:
    coverage = LOGS / f"coverage-{name}"
    shutil.rmtree(coverage, ignore_errors=True)
    coverage.mkdir(parents=True)
    results, report = LOGS / f"{name}.xml", LOGS / f"coverage-{name}.json"
    results.unlink(missing_ok=True)
    options, variables = measured()
    argv = [
        "pytest",
        "--cov",
        *options,
        f"--cov-report=json:{report}",
        f"--junitxml={results}",
        "--durations=25",
    ]
    # Two that run at once must not write into one file.
    env = {**PLAIN, **variables, "COVERAGE_FILE": str(coverage / "data")}
    code = log.run([*argv, *words], env=env, cwd=ROOT)
    count = junit(results) if results.is_file() else Count()
    if code:
        raise StageFailed(f"pytest ended with code {code}", count)
    if count.skipped:
        # Setup installs every server that the tests start, so a skipped test is one that silently proves nothing.
        raise StageFailed("tests were skipped because a server is missing (pytest -rs says which)", count)
    return count + Count(note=percentages(report))


def oldest_boto3(log: Log) -> Count:
    """What a host with Debian 12's boto3 does: the tests of S3, and in the long form a backup's way there and back."""
    binaries = environment(
        log, CACHE / "boto3-oldest", sys.executable, str(ROOT / "tools/requirements/boto3-oldest.txt")
    )
    results = LOGS / "boto3-oldest.xml"
    results.unlink(missing_ok=True)
    words = ["tests/unit/s3", "-m", "not slow", f"--junitxml={results}"]
    if os.environ.get("SLIPWAY_LONG"):
        words.append("tests/unit/backup/test_backup_round_trip.py")
    code = log.run([binaries / "python", "-m", "pytest", *words], env=PLAIN, cwd=ROOT)
    count = junit(results) if results.is_file() else Count()
    if code or count.skipped:
        raise StageFailed(f"pytest ended with code {code}, {count.skipped} tests were skipped", count)
    return count


# The execution environment and the artifact

# What AWX runs its jobs in, without the image around it.
EXECUTION = CACHE / "execution"
# As in the image: the collections that ours needs, and not ours, which comes with the project or with the artifact.
NEEDED = EXECUTION / "needed"
INSTALLED = EXECUTION / "installed"
PINNED = ("requirements.txt", "tools/requirements/lock.txt")


def no_settings() -> Path:
    """In place of the checkout's ansible.cfg."""
    path = EXECUTION / "empty.cfg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def execution_environment(log: Log) -> Path:
    """The programs of a virtual environment that has what the image would have, and nothing else."""
    context, packages = EXECUTION / "context", EXECUTION / "packages.txt"
    shutil.rmtree(context, ignore_errors=True)
    log.check(
        ["ansible-builder", "create", "-f", ROOT / "execution-environment.yml", "-c", context], env=PLAIN, cwd=ROOT
    )
    log.check(["ansible-builder", "introspect", "--write-pip", packages, COLLECTIONS.parent], env=PLAIN, cwd=ROOT)
    wanted = yaml.safe_load((ROOT / "execution-environment.yml").read_text())["dependencies"]
    # The image's ansible-core, or the newest that a machine with an older Python can have.
    choice = pythons.cores_to_test()[0]
    # Ranges would be other versions in every run.
    limits = EXECUTION / "constraints.txt"
    lines = [line for name in PINNED for line in (ROOT / name).read_text().splitlines()]
    limits.write_text("\n".join(line for line in lines if re.match(r"[\w.-]+==", line)))
    pins = EXECUTION / "requirements.txt"
    versions = [f"ansible-core=={choice.core}", wanted["ansible_runner"]["package_pip"]]
    pins.write_text("\n".join([f"-c {limits}", *versions, packages.read_text()]))
    for collection in yaml.safe_load((ROOT / wanted["galaxy"]).read_text())["collections"]:
        namespace, name = collection["name"].split(".")
        link = NEEDED / "ansible_collections" / namespace / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(COLLECTIONS / namespace / name)
    return environment(log, EXECUTION / "venv", choice.python, str(pins))


def install_artifact(log: Log, binaries: Path) -> None:
    """The collection as its users have it: built, and installed by ansible-galaxy."""
    base = EXECUTION / "artifact"
    shutil.rmtree(base, ignore_errors=True)
    shutil.rmtree(INSTALLED, ignore_errors=True)
    copy_tree(base / "tree")
    # Elsewhere it would find that the checkout is installed already.
    env = {**PLAIN, "ANSIBLE_CONFIG": str(no_settings()), "ANSIBLE_COLLECTIONS_PATH": str(INSTALLED)}
    log.check([binaries / "ansible-galaxy", "collection", "build", base / "tree", "--output-path", base], env=env)
    archive = next(base.glob("*.tar.gz"))
    log.check(
        [binaries / "ansible-galaxy", "collection", "install", archive, "--no-deps", "-p", INSTALLED], env=env, cwd=base
    )


def resolution(log: Log) -> Count:
    """A plain clone and the installed artifact each find all that their playbooks name, without the other."""
    binaries = execution_environment(log)
    install_artifact(log, binaries)
    clone = EXECUTION / "artifact" / "tree"
    check: list[str | Path] = [binaries / "ansible-playbook", "--syntax-check"]
    names = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))
    inventories = sorted(path.parent for path in (ROOT / "inventories").rglob("hosts.yml"))
    # Locally installed collections of whoever runs this must not help.
    plain = {**PLAIN, "HOME": str(EXECUTION / "home")}
    cloned = {**plain, "ANSIBLE_CONFIG": str(clone / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(NEEDED)}
    log.check([*check, "-i", "inventories/demo", *(f"playbooks/{name}.yml" for name in names)], env=cloned, cwd=clone)
    for inventory in inventories:
        log.check([*check, "-i", inventory.relative_to(ROOT), "playbooks/site.yml"], env=cloned, cwd=clone)
    installed = {**plain, "ANSIBLE_CONFIG": str(no_settings()), "ANSIBLE_COLLECTIONS_PATH": f"{INSTALLED}:{NEEDED}"}
    log.check(
        [*check, "-i", clone / "inventories/demo", *(f"slipway.vps.{name}" for name in names)],
        env=installed,
        cwd=INSTALLED,
    )
    return Count(passed=2 + len(inventories))


def importer(log: Log) -> Count:
    """Build the collection as it is published, and judge it as Galaxy would."""
    base = LOGS / "artifact"
    shutil.rmtree(base, ignore_errors=True)
    copy_tree(base / "tree")
    log.check(["ansible-galaxy", "collection", "build", base / "tree", "--output-path", base], env=PLAIN, cwd=base)
    python = pythons.cores_to_test()[0].python
    binaries = environment(log, CACHE / "importer", python, str(ROOT / "tools/requirements/importer.txt"))
    config = base / "importer.cfg"
    config.write_text(
        "[galaxy-importer]\nRUN_ANSIBLE_TEST = False\nRUN_ANSIBLE_LINT = False\nCHECK_REQUIRED_TAGS = True\n"
    )
    env = {**PLAIN, "PATH": f"{binaries}:{os.environ['PATH']}", "GALAXY_IMPORTER_CONFIG": str(config)}
    archive = next(base.glob("*.tar.gz"))
    # What pip said while it made the environment is not the importer's opinion.
    before = len(log.lines())
    log.check([binaries / "python", "-m", "galaxy_importer.main", archive], env=env, cwd=base)
    complaints = [line for line in log.lines()[before:] if re.match(r"(ERROR|WARNING)\b", line)]
    if complaints:
        raise StageFailed(f"the importer complained: {complaints[0]}")
    return ONE


BACKUPS = "tests/unit/backup"

# Scenarios

# Two cores are busy with three stages, and a fourth would have the others run into their time limits.
AT_ONCE = 3
# What takes long begins early, so that the end does not wait for a single one.
LONG_ONES = (
    "releases",
    "default",
    "awx",
    "broken_releases",
    "ecommerce",
    "two_hosts",
    "derbyops",
    "data_services",
    "host_bookworm",
    "security",
    "access",
)
# Scenarios on the same server wait for each other, as do those that make the same environment.
ENVIRONMENT = "the execution environment"
USES = {"awx": ENVIRONMENT, "default": "shop1", "drift": "shop1", "bad_input": "shop1"}


def scenarios() -> list[str]:
    """Every scenario that is there, in the order in which they begin."""
    names = {path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml")}
    return [*LONG_ONES, *sorted(names - set(LONG_ONES))]


def hosts_of(scenario: str) -> str:
    """The hosts of the lab that a scenario boots, as lab.py wants them named."""
    folder = ROOT / "molecule" / scenario
    for playbook in (folder / "create.yml", folder / "converge.yml"):
        for play in yaml.safe_load(playbook.read_text()) if playbook.is_file() else ():
            if play.get("ansible.builtin.import_playbook") == "../shared/lab.yml":
                return str(play.get("vars", {}).get("lab_hosts", "shop1"))
    raise StageFailed(f"scenario {scenario} boots no host")


def molecule(scenario: str, log: Log) -> Count:
    results = LOGS / f"molecule-{scenario}.xml"
    results.unlink(missing_ok=True)
    env = {**PLAIN, "PYTEST_ADDOPTS": f"--junitxml={results}"}
    code = log.run(["molecule", "test", "--scenario-name", scenario], env=env, cwd=ROOT)
    count = junit(results) if results.is_file() else Count()
    # An idle stack takes a sixteenth of a core from the scenarios after this one. Who wants to look boots it again.
    log.check([sys.executable, "molecule/lab/lab.py", "off", "--hosts", hosts_of(scenario)], env=PLAIN, cwd=ROOT)
    if code:
        raise StageFailed(f"molecule ended with code {code}", count)
    # The playbooks' own run, with its second run without a change, is a test as well.
    return count + ONE


def scenario_stages() -> list[Stage]:
    minutes = 150 if os.environ.get("SLIPWAY_LONG") else 40
    return [
        Stage(f"molecule {name}", partial(molecule, name), minutes=minutes, uses=USES.get(name, ""))
        for name in scenarios()
    ]


def sanity_stages() -> list[Stage]:
    # The oldest core finds next to nothing that the newest does not, and takes as long.
    chosen = pythons.cores_to_test()[: None if os.environ.get("SLIPWAY_LONG") else 1]
    return [
        Stage(f"sanity with ansible-core {choice.core} on Python 3.{choice.minor}", partial(sanity, choice), minutes=20)
        for choice in chosen
    ]


def all_stages() -> list[Stage]:
    """In the order in which they begin: what is told within seconds, what takes long, and the rest in the gaps."""
    seconds = [
        Stage("ruff", ruff),
        Stage("mypy", mypy),
        Stage("changelog", command("antsibull-changelog", "lint")),
        Stage("yamllint", command("yamllint", "--strict", ".")),
    ]
    # A new machine makes the lab's images first, for minutes, and the first scenario waits for them.
    meanwhile = [
        Stage("unit tests", partial(unit, "unit", ["tests/unit", f"--ignore={BACKUPS}"]), minutes=25),
        *sanity_stages(),
    ]
    rest = [
        Stage("unit tests of backups", partial(unit, "unit-backups", [BACKUPS]), minutes=40),
        Stage("ansible-lint", command("ansible-lint", "--offline")),
        Stage("integration targets", integration, minutes=20),
        Stage("execution environment", resolution, uses=ENVIRONMENT),
        Stage("galaxy-importer", importer),
        Stage(
            "documentation",
            command(
                "antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs", "self", "."
            ),
        ),
        Stage("oldest boto3", oldest_boto3),
    ]
    return [*seconds, *meanwhile, *scenario_stages(), *rest]
