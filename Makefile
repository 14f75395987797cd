# Every target does its own set-up; `make setup` alone makes .cache/env, a file to source.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / {printf "  make %-28s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## virtual environment, collections, Docker Engine and .cache/env
	@tools/setup.sh
