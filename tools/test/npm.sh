#!/usr/bin/env bash
# Installs the npm packages that tests with foreign RPC clients and servers use,
# in the versions of proxy/interop/rpc/testdata/package-lock.json, below .cache:
# only when they are not there yet, without running their scripts, bounded in
# time. It never fails: a test whose packages are not there skips itself, and the
# test runner lists it with its reason. OTTAVO_NO_INSTALL=1 turns it off.
set -u

say() { echo "make test: $*" >&2; }

cd "$(dirname "$0")/../.." || exit 0
from=proxy/interop/rpc/testdata
to=.cache/rpc-peers
if [[ -d $to/node_modules ]] && cmp -s $from/package-lock.json $to/package-lock.json; then exit 0; fi
if [[ -n ${OTTAVO_NO_INSTALL-} ]]; then
	say "not installing npm packages (OTTAVO_NO_INSTALL is set); tests that need them will be skipped"
	exit 0
fi
if ! command -v npm >/dev/null 2>&1; then
	say "npm is not there; tests with foreign RPC clients and servers will be skipped"
	exit 0
fi

new=$(mktemp -d) || exit 0
trap 'rm -rf "$new"' EXIT
cp $from/package.json $from/package-lock.json "$new"
say "installing the npm packages of $from"
if (cd "$new" && timeout 180 npm ci --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null >log 2>&1); then
	rm -rf $to
	mkdir -p .cache
	mv "$new" $to || say "could not move the npm packages to $to; tests that need them will be skipped"
else
	say "could not install the npm packages; tests that need them will be skipped"
	tail -n 3 "$new/log" >&2
fi
exit 0
