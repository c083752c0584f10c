#!/usr/bin/env bash
# Runs the tests with servers that are too big, or too slow to start, for `make test`;
# first it fetches those servers. A server that cannot be had is a failure here: it is
# what was asked for. Whoever adds a server adds its tests to the list below.
set -eu

cd "$(dirname "$0")/../.."
export OTTAVO_WIDE=1
tools/test/jars.sh internal/testserver/testdata/wide/*/pom.xml
for pom in internal/testserver/testdata/wide/*/pom.xml; do
	name=$(basename "$(dirname "$pom")")
	if ! compgen -G ".cache/jars/$name/*.jar" >/dev/null; then
		echo "make test-wide: there are no jars of $name: Maven, a JDK of 17 or later and Maven Central are needed" >&2
		exit 1
	fi
done
"${GO:-go}" build -o .cache/tools/test ./tools/test

# Without the race detector: see withoutRace in runtime/builtin/pubsub_test.go.
# shellcheck disable=SC2086 # several flags
exec .cache/tools/test ${TESTFLAGS-} -fresh -- -run='^TestRealKafka$' ./runtime/builtin
