# Everything a newcomer needs: `make demo`, `make run`, `make test`.

CARGO ?= cargo
PLUGINS = $(patsubst plugins/%/Cargo.toml,%,$(wildcard plugins/*/Cargo.toml))
PACKAGES = $(foreach plugin,$(PLUGINS),-p callgate-$(subst _,-,$(plugin)))
CONFIG ?= config.yaml
PORT ?= 4000
HOST ?= 127.0.0.1

# `make install` copies files from target/$(PROFILE) to these places. DESTDIR is for packagers; an
# empty UNITDIR leaves the service out.
PREFIX ?= /usr/local
DESTDIR ?=
PROFILE ?= release
BUILT = target/$(PROFILE)
UNITDIR ?= $(PREFIX)/lib/systemd/system
PLUGINDIR = $(PREFIX)/lib/callgate/plugins
LIBRARIES = $(PLUGINS:%=lib%.so)

.PHONY: help build run demo release-demo check install uninstall test lint msrv deny bench budget soak fuzz memcheck clean

help:
	@echo "make demo    walk through a whole deployment on this machine: no key, no network"
	@echo "make build   the optimised program and the shipped callbacks, in target/release"
	@echo "make run     build and start the gateway on $(CONFIG), $(HOST):$(PORT) (HOST=, PORT=)"
	@echo "make check   build, and report every problem of $(CONFIG)"
	@echo "make release-demo  build, and walk through the deployment with the optimised program"
	@echo "make install copy the built program, its callbacks and a service file below $(PREFIX) (PREFIX=, DESTDIR=)"
	@echo "make uninstall  remove these files"
	@echo "make clean   remove everything that was built"
	@echo "make test    all tests"
	@echo "make lint    formatting, clippy and docs, warnings denied"
	@echo "make msrv    check that the oldest promised compiler, $(MSRV), builds everything"
	@echo "make deny    licences and advisories of dependencies (needs cargo-deny)"
	@echo "make soak    two million calls: memory, threads and instances must not grow; 500 reloads under load"
	@echo "make memcheck  the plugin boundary under valgrind (installs it)"
	@echo "make fuzz    a minute of odd inputs for every parser (FUZZ_SECONDS=, FUZZ_TARGET=)"
	@echo "make bench   CPU per request against nginx and a bare relay"
	@echo "make budget  instructions per call against the recorded ones, under valgrind (installs it)"

build:
	$(CARGO) build --release -p callgate $(PACKAGES)

run: build
	target/release/callgate --config $(CONFIG) --host $(HOST) --port $(PORT) --plugin-dir target/release

# Nobody waits for the link-time optimisation of a release to see the demo; `make test` compiles the
# same dependencies.
demo:
	$(CARGO) build -p callgate $(PACKAGES)
	target/debug/callgate demo --config $(CONFIG) --plugin-dir target/debug

# The demo with the programs that are shipped.
release-demo: build
	target/release/callgate demo --config $(CONFIG) --plugin-dir target/release

check: build
	target/release/callgate check --config $(CONFIG) --plugin-dir target/release

# Does not build, so that `sudo make install` compiles nothing as root.
install:
	@test -x $(BUILT)/callgate || { echo "$(BUILT)/callgate does not exist; run \`make build\` first" >&2; exit 1; }
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PLUGINDIR)
	install -m 0755 $(BUILT)/callgate $(DESTDIR)$(PREFIX)/bin/callgate
	install -m 0644 $(LIBRARIES:%=$(BUILT)/%) $(DESTDIR)$(PLUGINDIR)
	@test -z "$(UNITDIR)" || install -d $(DESTDIR)$(UNITDIR)
	@test -z "$(UNITDIR)" || sed 's|@PREFIX@|$(PREFIX)|' docs/packaging/callgate.service.in > $(DESTDIR)$(UNITDIR)/callgate.service
	@test -z "$(UNITDIR)" || chmod 0644 $(DESTDIR)$(UNITDIR)/callgate.service

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/callgate $(LIBRARIES:%=$(DESTDIR)$(PLUGINDIR)/%)
	@test -z "$(UNITDIR)" || rm -f $(DESTDIR)$(UNITDIR)/callgate.service

# The end-to-end tests drive the built binary and shared objects, so these are built first.
test:
	$(CARGO) build --workspace --all-targets
	$(CARGO) test --workspace
	tests/clients/run

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --all-features

# CI runs the oldest compiler, so `make lint` has checked it already. Elsewhere rustup installs it.
MSRV = $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

msrv:
	@case "$$(rustc --version)" in \
	"rustc $(MSRV)."*) echo "rustc is $(MSRV), the oldest promised; make lint checks everything with it" ;; \
	*) $(CARGO) +$(MSRV) check --workspace --all-targets --locked ;; \
	esac

deny:
	$(CARGO) deny --locked check

# The fuzz crate is excluded, because it turns on a feature that no shipped build has.
bench:
	$(CARGO) build --release --workspace --exclude callgate-fuzz
	tests/bench/run $(BENCH_ARGS)

# BUDGET_ARGS=--record records the figures; BUDGET_PROFILE=named uses a build with function names.
BUDGET_PROFILE ?= release

budget:
	BUDGET_PROFILE=$(BUDGET_PROFILE) tests/bench/budget $(BUDGET_ARGS)

SOAK_CALLS ?= 2000000
SOAK_RELOADS ?= 500

soak:
	$(CARGO) build --release --workspace --exclude callgate-fuzz
	CALLGATE_SOAK_CALLS=$(SOAK_CALLS) $(CARGO) test --release --workspace --exclude callgate-fuzz --test soak -- --nocapture
	CALLGATE_SOAK_RELOADS=$(SOAK_RELOADS) $(CARGO) test --release -p callgate-tests --test reloads -- --nocapture --test-threads 1

FUZZ_SECONDS ?= 60

fuzz:
	FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_TARGET=$(FUZZ_TARGET) $(CARGO) run --profile fuzz -p callgate-fuzz

memcheck:
	tests/memcheck/run

clean:
	$(CARGO) clean
