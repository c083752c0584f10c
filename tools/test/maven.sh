#!/usr/bin/env bash
# Fetches the jars that tests with Java clients and servers use, those that
# proxy/interop/rpc/testdata/java/pom.xml names and no others, below .cache: only
# when they are not there yet, bounded in time. It never fails: a test whose jars
# are not there skips itself, and the test runner lists it with its reason.
# OTTAVO_NO_INSTALL=1 turns it off.
set -u

say() { echo "make test: $*" >&2; }

cd "$(dirname "$0")/../.." || exit 0
pom=proxy/interop/rpc/testdata/java/pom.xml
to=.cache/java-peers
if cmp -s $pom $to/pom.xml; then exit 0; fi
if [[ -n ${OTTAVO_NO_INSTALL-} ]]; then
	say "not fetching jars (OTTAVO_NO_INSTALL is set); tests that need them will be skipped"
	exit 0
fi
if ! command -v mvn >/dev/null 2>&1 || ! command -v javac >/dev/null 2>&1; then
	say "Maven and a JDK are not both there; tests with Java clients and servers will be skipped"
	exit 0
fi

mkdir -p .cache && new=$(mktemp -d .cache/java-peers.XXXXXX) || exit 0
trap 'rm -rf "$new"' EXIT
say "fetching the jars of $pom"
if timeout 180 mvn --batch-mode --quiet --strict-checksums --file $pom -Dmaven.repo.local="$PWD/$new/repo" \
	dependency:copy -DoutputDirectory="$PWD/$new/jars" </dev/null >"$new/log" 2>&1; then
	rm -rf "$to" "$new/repo"
	cp $pom "$new/pom.xml"
	mv "$new" $to || say "could not move the jars to $to; tests that need them will be skipped"
else
	say "could not fetch the jars; tests that need them will be skipped"
	tail -n 3 "$new/log" >&2
fi
exit 0
