# The newcomer's two commands are `make demo` and `make test`; `make help` lists the rest.
# Everything is built with the release profile, so that RocksDB and the dependencies are compiled once.

.PHONY: help demo cluster test chaos soak planted simulate lint fmt build bench bench-peers verify setup setup-tests setup-chaos deny

help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup-tests:
	@scripts/setup.sh --tests

setup-chaos:
	@scripts/setup.sh --chaos

setup: ## Install the system packages that the build needs, where missing
	@scripts/setup.sh

build: setup ## Build the partita binary (target/release/partita)
	@scripts/cargo.sh build --locked --release --bin partita

demo: setup ## A node, 69,659 real purchases, a trial balance (ONCE=1: check and stop; PORT=, DATA=)
	@scripts/demo.sh

cluster: setup ## Three nodes, the demo's import, the leader killed in the middle (ONCE=1: check and stop; PORT=, DATA=)
	@scripts/cluster.sh

test: setup-tests ## Formatting, every test, licences and sources of the dependencies
	@scripts/cargo.sh fmt --all --check
	@# The outside tests start target/release/partita, which cargo test alone would not build for them.
	@scripts/cargo.sh build --locked --release --workspace --all-targets
	@scripts/cargo.sh test --locked --release --workspace
	@scripts/deny.sh

chaos: setup-chaos ## Ten minutes of faults of every class against real clusters, judged from outside; simulator (SECONDS_EACH=, SEEDS=, SEED=, KEEP=)
	@scripts/chaos.sh

simulate: setup ## A cluster in one process on virtual time, seed after seed (SEEDS=0..200, JOBS=2)
	@scripts/cargo.sh run --locked --release -p partita-consensus --bin simulate -- --seeds $(or $(SEEDS),0..200) --jobs $(or $(JOBS),2)

planted: setup ## Proof that the tests can fail: plants bugs, each of which must be found (SEEDS=, BUGS=, JOBS=)
	@scripts/planted.sh

soak: setup-chaos ## The same for long, in rounds that differ (SECONDS=3600, EACH=, SEED=, KEEP=)
	@SOAK_SECONDS=$(or $(SECONDS),3600) scripts/soak.sh

lint: setup ## Clippy over everything (a build of its own beside the tests')
	@scripts/cargo.sh clippy --locked --release --workspace --all-targets

fmt: ## Format the code
	@scripts/cargo.sh fmt --all

deny: ## Licences, sources and known advisories of the dependencies
	@scripts/deny.sh

bench: setup ## Measure throughput and latency through HTTP, with real fsyncs
	@scripts/bench.sh $(BENCH_ARGS)

bench-peers: ## The usual ledger on PostgreSQL beside Partita, in one run (RUNS=, SECONDS_EACH=, DIR=)
	@scripts/bench-peers.sh

verify: build ## Recompute everything from the journal of a stopped node: make verify DATA=dir
	@test -n "$(DATA)" || { echo "say which directory: make verify DATA=dir" >&2; exit 2; }
	@$${CARGO_TARGET_DIR:-target}/release/partita verify --data "$(DATA)"
