#!/usr/bin/env bash
# Fetches the Java programs that tests start or are compiled with: for each
# NAME/pom.xml listed below what it depends on, into .cache/jars/NAME: only when
# they are not there yet, within OTTAVO_INSTALL_LIMIT seconds (default 240). It never
# fails: a test whose jars are not there skips itself, and the test runner lists it
# with its reason. OTTAVO_NO_INSTALL=1 turns it off.
set -u
limit=${OTTAVO_INSTALL_LIMIT:-240}

say() { echo "make test: $*" >&2; }

cd "$(dirname "$0")/../.." || exit 0
if (($# == 0)); then
	set -- internal/testserver/testdata/jars/*/pom.xml proxy/interop/rpc/testdata/java/pom.xml demo/java/java-client/pom.xml demo/layotto/java-sdk/pom.xml
fi
missing=()
for pom in "$@"; do
	name=$(basename "$(dirname "$pom")")
	cmp -s "$pom" ".cache/jars/$name/pom.xml" || missing+=("$pom")
done
if ((${#missing[@]} == 0)); then exit 0; fi
if [[ -n ${OTTAVO_NO_INSTALL-} ]]; then
	say "not fetching the jars of ${missing[*]} (OTTAVO_NO_INSTALL is set); tests that need them will be skipped"
	exit 0
fi
if ! command -v mvn >/dev/null 2>&1 || ! command -v java >/dev/null 2>&1; then
	say "Maven and Java are not both there; tests with the programs of ${missing[*]} will be skipped"
	exit 0
fi

mkdir -p .cache/jars && new=$(mktemp -d .cache/jars.XXXXXX) || exit 0
trap 'rm -rf "$new"' EXIT
for pom in "${missing[@]}"; do
	name=$(basename "$(dirname "$pom")")
	seconds=$((limit - SECONDS))
	if ((seconds <= 0)); then
		say "no time left to fetch the jars of $name (OTTAVO_INSTALL_LIMIT is $limit s); tests that need them will be skipped"
		continue
	fi
	say "fetching the jars of $pom"
	if timeout --kill-after=10 $((seconds < 180 ? seconds : 180)) mvn --batch-mode --quiet --strict-checksums --file "$pom" -Dmaven.repo.local="$PWD/$new/repo" \
		dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$PWD/$new/$name" </dev/null >"$new/log" 2>&1; then
		cp "$pom" "$new/$name/pom.xml"
		rm -rf ".cache/jars/$name"
		mv "$new/$name" ".cache/jars/$name" || say "could not move the jars of $name; tests that need them will be skipped"
	else
		say "could not fetch the jars of $name; tests that need them will be skipped"
		tail -n 3 "$new/log" >&2
	fi
done
exit 0
