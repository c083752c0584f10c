#!/usr/bin/env bash
# Does what README's first page says: `make run`, wait until it is ready, one
# call, stop it with SIGTERM. Each wait is bounded. It uses the default ports,
# so nothing else of ours may be running. Leaves nothing behind.
set -u
cd "$(dirname "$0")/../.." || exit 1

ready=http://127.0.0.1:34999/actuator/health/readiness
method=spec.proto.runtime.v1.Runtime/SayHello
log=$(mktemp)

# The ports of configs/default.yaml that somebody else has, with their connections.
ports=(34904 34999 12221)
taken() {
	local port filter=()
	for port in "${ports[@]}"; do filter+=(${filter[@]+or} sport = :"$port"); done
	if command -v ss >/dev/null 2>&1; then
		ss -Htanp "${filter[@]}"
	else
		echo "(there is no ss to tell: apt-get install iproute2)"
	fi
}

# The process that make runs, once the build is over.
child() { cat "/proc/$make_pid/task/$make_pid/children" 2>/dev/null; }
fail() {
	echo "smoke: $*"
	echo "---- output of make run:"
	tail -n 60 "$log"
	if grep -q 'in use' "$log"; then
		echo "---- who has a port of ${ports[*]}:"
		taken
	fi
	exit 1
}
cleanup() {
	local pids
	pids="$(child) $make_pid"
	# shellcheck disable=SC2086 # a list of pids
	kill -KILL $pids 2>/dev/null
	wait "$make_pid" 2>/dev/null # without bash's word on it
	rm -f "$log"
}

if curl -s -o /dev/null -m 2 "$ready"; then
	echo "smoke: something answers on $ready already; stop it first:"
	taken
	exit 1
fi
make run >"$log" 2>&1 </dev/null &
make_pid=$!
trap cleanup EXIT

# Building may take minutes from nothing; starting may not.
for ((i = 0; ; i++)); do
	[[ $(curl -s -o /dev/null -m 2 -w '%{http_code}' "$ready") == 200 ]] && break
	kill -0 "$make_pid" 2>/dev/null || fail "make run ended before it was ready"
	((i < 900)) || fail "not ready on $ready after 180 s"
	sleep 0.2
done
echo "smoke: ready"

answer=$(timeout 20 bin/ottavo call "$method" -d '{"serviceName":"helloworld","name":"smoke"}' 2>&1) ||
	fail "bin/ottavo call $method: $answer"
echo "smoke: $method answered $answer"
[[ $answer == *smoke* ]] || fail "the answer does not greet \"smoke\""

pid=$(child)
[[ -n $pid ]] || fail "make run has no child process"
# shellcheck disable=SC2086
kill -TERM $pid
for ((i = 0; ; i++)); do
	kill -0 "$make_pid" 2>/dev/null || break
	((i < 150)) || fail "still running 30 s after SIGTERM"
	sleep 0.2
done
wait "$make_pid"
code=$?
((code == 0)) || fail "exit code $code after SIGTERM, want 0"
echo "smoke: stopped with exit code 0"
