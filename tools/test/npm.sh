#!/usr/bin/env bash
# Installs the npm packages that tests with foreign clients and servers use, in
# the versions of the package-lock.json of each folder below, below .cache: only when
# they are not there yet, without running their scripts, within OTTAVO_INSTALL_LIMIT
# seconds (default 180). It never fails: a test whose packages are not there skips
# itself, and the test runner lists it with its reason. OTTAVO_NO_INSTALL=1 turns it off.
set -u
limit=${OTTAVO_INSTALL_LIMIT:-180}

say() { echo "make test: $*" >&2; }

cd "$(dirname "$0")/../.." || exit 0

install() { # folder with package.json and package-lock.json, folder below .cache
	local from=$1 to=.cache/$2 new
	if [[ -d $to/node_modules ]] && cmp -s "$from/package-lock.json" "$to/package-lock.json"; then return; fi
	if [[ -n ${OTTAVO_NO_INSTALL-} ]]; then
		say "not installing the npm packages of $from (OTTAVO_NO_INSTALL is set); tests that need them will be skipped"
		return
	fi
	if ! command -v npm >/dev/null 2>&1; then
		say "npm is not there; tests with the packages of $from will be skipped"
		return
	fi
	local seconds=$((limit - SECONDS))
	if ((seconds <= 0)); then
		say "no time left to install the npm packages of $from (OTTAVO_INSTALL_LIMIT is $limit s); tests that need them will be skipped"
		return
	fi
	mkdir -p .cache && new=$(mktemp -d ".cache/$2.XXXXXX") || return
	cp "$from/package.json" "$from/package-lock.json" "$new"
	say "installing the npm packages of $from"
	if (cd "$new" && timeout --kill-after=10 $((seconds < 120 ? seconds : 120)) npm ci --ignore-scripts --no-audit --no-fund --loglevel=error \
		--fetch-timeout=20000 --fetch-retries=1 </dev/null >log 2>&1); then
		rm -rf "$to"
		mv "$new" "$to" || say "could not move the npm packages to $to; tests that need them will be skipped"
	else
		say "could not install the npm packages of $from; tests that need them will be skipped"
		tail -n 3 "$new/log" >&2
	fi
	rm -rf "$new"
}

install proxy/interop/rpc/testdata rpc-peers
install demo/node demo-node
install demo/layotto/js-sdk layotto-js-sdk
exit 0
