# Every target does its own set-up; `make setup` alone makes .cache/env, a file to source.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

READY := tools/setup.sh && . .cache/env
READY_FOR_TESTS := tools/setup.sh --for-tests && . .cache/env
LAB := molecule/lab/lab.py

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / {printf "  make %-28s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## virtual environment, collections, Docker Engine and .cache/env
	@tools/setup.sh

.PHONY: demo
demo: ## a bare server becomes an HTTPS service, on this machine, and stays up
	@$(READY) && python $(LAB) up && . .cache/env && ansible-playbook --inventory inventories/demo playbooks/site.yml
	@echo
	@echo "The demo is up. What next:"
	@echo "  . .cache/env                                                          use the tools by hand"
	@echo "  ansible-playbook -i inventories/demo playbooks/site.yml               run it again: nothing changes"
	@echo "  ansible-playbook -i inventories/demo playbooks/health.yml             ask everything how it is"
	@echo "  python molecule/lab/lab.py ssh                                        look around on the server"
	@echo "  make destroy                                                          remove all of it"

.PHONY: test
test: ## everything: lint, sanity, unit tests, documentation, artifact, scenarios on real servers
	@$(READY_FOR_TESTS) && python tools/test.py $(if $(FAIL_FAST),--fail-fast)

.PHONY: test-unit
test-unit: ## unit tests with coverage
	@$(READY_FOR_TESTS) && python tools/test.py --exact "unit tests" "unit tests of backups"

.PHONY: test-molecule
test-molecule: ## one scenario: make test-molecule SCENARIO=default
	@$(if $(SCENARIO),,echo "Which one? make test-molecule SCENARIO=x, where x is one of:" $(patsubst molecule/%/molecule.yml,%,$(wildcard molecule/*/molecule.yml)); exit 2)
	@$(READY_FOR_TESTS) && python tools/test.py --exact "molecule $(SCENARIO)"

.PHONY: test-long
test-long: ## soaks, long fault campaigns and the long form of every scenario
	@$(READY_FOR_TESTS) && python $(LAB) up --hosts vps1 && . .cache/env && \
	  PYTHONPATH=tests/bench:tests/testinfra SLIPWAY_HOST=vps1 pytest -p slipway_lab -v tests/long && \
	  SLIPWAY_LONG=1 python tools/test.py --exact "unit tests" "unit tests of backups" "oldest boto3" && SLIPWAY_LONG=1 python tools/test.py sanity molecule

bench-%: ## measure, beside its peers: make bench-deploy
	@$(READY_FOR_TESTS) && python $(LAB) up --hosts vps1 && . .cache/env && \
	  PYTHONPATH=tests/bench:tests/testinfra python tests/bench/$*/bench.py

.PHONY: benchmarks
benchmarks: ## write docs/benchmarks.md from the last measurements
	@$(READY) && PYTHONPATH=tests/bench python -m slipway_bench.page $(wildcard .cache/bench/*.json)

.PHONY: readmes
readmes: ## write what is made from the argument_specs (READMEs, surveys of AWX), and docs/systems.md from its table
	@$(READY) && python tools/readmes.py && python tools/surveys.py && python tools/systems.py

.PHONY: destroy
destroy: ## remove everything that the other targets made
	@tools/destroy.sh
