SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help up down status test test-faults bench-failover bench-postgres lint format requirements bench-app clean-cache

# A cluster and a registry of your own: make up CONTEXT=name REGISTRY=registry.example.com/notejam [ADDRESS=node]
ifdef CONTEXT
export NOTEJAM_CONTEXT := $(CONTEXT)
endif
ifdef REGISTRY
export NOTEJAM_REGISTRY := $(REGISTRY)
endif
ifdef ADDRESS
export NOTEJAM_ADDRESS := $(ADDRESS)
endif

local := python=$$(local/bootstrap.sh) && exec "$$python" -m local

help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22
	@echo
	@echo '  make up CONTEXT=name REGISTRY=host/path [ADDRESS=host]   use a cluster and a registry that you have'
	@echo '  make test PHASES=static,unit,charts,app,cluster          run some of the phases'
	@echo '  make down CACHE=1                                        remove what was built before, too'

up: ## Make the local cluster and registry, build and push everything, promote it to all stages
	@$(local) up

down: ## Remove the cluster, the registry, the images and the state; what was built before is kept
	@$(local) down $(if $(CACHE),--cache)

status: ## Show the cluster, the registry and what the stages run
	@$(local) status

test: ## Check and test everything, on the local cluster too
	@$(local) test --phases "$(PHASES)" $(if $(ARGS),-- $(ARGS))

test-faults: ## Break the database in every way it must survive, on the local cluster
	@export NOTEJAM_FAULTS=all; $(local) test --phases faults $(if $(ARGS),-- $(ARGS))

bench-failover: ## Measure how long writes pause in each case, five times each: table, and .local/failover.json
	@python=$$(local/bootstrap.sh) && PATH="$$PWD/.local/bin:$$PATH" "$$python" -m tests.faults.bench $(ARGS)

bench-postgres: ## Measure pgbench beside a plain PostgreSQL, and what an idle member takes: table, and .local/throughput.json
	@python=$$(local/bootstrap.sh) && PATH="$$PWD/.local/bin:$$PATH" "$$python" -m tests.faults.throughput $(ARGS)

lint: ## Run the linters, the type checker and the chart checks
	@$(local) test --phases static

format: ## Format the Python code
	@python=$$(local/bootstrap.sh) && "$$python" -m ruff check --fix . ; "$$python" -m ruff format .

requirements: ## Compile requirements/*.in and app/requirements.in to files with hashes
	@python=$$(local/bootstrap.sh) && "$$python" -m local requirements

bench-app: ## Measure the app beside bare Flask: one worker on one core (ARGS="--rounds 5")
	@python=$$(local/bootstrap.sh) && PYTHONPATH=app exec "$$python" -m benchmarks.app $(ARGS)

clean-cache: ## Remove what was built before; building it again takes 15 minutes
	@$(local) clean-cache
