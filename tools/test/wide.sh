#!/usr/bin/env bash
# Runs the tests with servers that are too big, or too slow to start, for `make test`;
# first it fetches those servers. The tests of one that cannot be had are skipped; it is
# named, and this fails in the end: it is what was asked for. A test belongs here by its
# name, and a server by a pom.xml, or a function in cloud.sh.
set -eu

cd "$(dirname "$0")/../.."
export OTTAVO_WIDE=1
export OTTAVO_INSTALL_LIMIT=${OTTAVO_INSTALL_LIMIT:-1200}
missing=0
tools/test/apt.sh default-jdk-headless:javac maven:mvn
tools/test/jars.sh internal/testserver/testdata/wide/*/pom.xml
for pom in internal/testserver/testdata/wide/*/pom.xml; do
	name=$(basename "$(dirname "$pom")")
	if ! compgen -G ".cache/jars/$name/*.jar" >/dev/null; then
		echo "make test-wide: there are no jars of $name: Maven, a JDK of 17 or later and Maven Central are needed" >&2
		missing=1
	fi
done
if [[ -x tools/test/cloud.sh ]]; then tools/test/cloud.sh || missing=1; fi
"${GO:-go}" build -o .cache/tools/test ./tools/test

# Without the race detector: see withoutRace in runtime/builtin/pubsub_test.go. With all
# rows, as most of these tests are of those that only the full build has.
# shellcheck disable=SC2086 # several flags
.cache/tools/test ${TESTFLAGS-} -fresh -limit=70m -- -tags=full -timeout=60m -run='^Test(RealKafka$|Wide|Cloud)' ./runtime/builtin || missing=1
exit "$missing"
