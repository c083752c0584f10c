#!/usr/bin/env bash
# Installs the Debian packages that tests with real servers and foreign clients
# use, and those that its arguments name as PACKAGE:COMMAND: only what is missing,
# only as root, within OTTAVO_INSTALL_LIMIT seconds (default 420). It never fails: a
# test whose server is not there skips itself, and the test runner lists it with its
# reason. OTTAVO_NO_INSTALL=1 turns it off.
set -u
limit=${OTTAVO_INSTALL_LIMIT:-420}

say() { echo "make test: $*" >&2; }

# A package counts as there when its command is, or when dpkg says so.
PATH=$PATH:/usr/sbin:/sbin # where some commands are, and not every user looks
missing=()
need() { # package command
	command -v "$2" >/dev/null 2>&1 || missing+=("$1")
}
need_pkg() { # package
	dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed || missing+=("$1")
}

need redis-server redis-server
need curl curl
need protobuf-compiler protoc
need nghttp2-client h2load # and nghttp
need nghttp2-server nghttpd
need wrk wrk
need iproute2 ip # network namespaces, and firewalls in them:
need iptables iptables-legacy
need nftables nft
need mariadb-server mariadbd
need memcached memcached
need rabbitmq-server rabbitmq-server
need mosquitto mosquitto
need gcc cc # the race detector needs a C compiler
if command -v dpkg-query >/dev/null 2>&1; then
	[[ " ${missing[*]-} " == *" gcc "* ]] && missing+=(libc6-dev)
	# For Debian's own /usr/bin/python3, whatever other python3 is first in PATH.
	need_pkg python3-grpcio
	need_pkg python3-protobuf
	need_pkg libprotobuf-dev # google/protobuf/*.proto, for protoc
	need_pkg postgresql      # its commands are not in PATH
	need_pkg zookeeper
	# grpc_python_plugin; python3-grpc-tools is too old for python3-protobuf.
	need protobuf-compiler-grpc grpc_python_plugin
fi
for more in "$@"; do need "${more%%:*}" "${more#*:}"; done

if ((${#missing[@]} == 0)); then exit 0; fi
if [[ -n ${OTTAVO_NO_INSTALL-} ]]; then
	say "not installing ${missing[*]} (OTTAVO_NO_INSTALL is set); tests that need them will be skipped"
	exit 0
fi
if ! command -v apt-get >/dev/null 2>&1 || ((EUID != 0)); then
	say "not there: ${missing[*]}; tests that need them will be skipped (as root on Debian this step installs them)"
	exit 0
fi

log=$(mktemp) || exit 0
trap 'rm -f "$log"' EXIT
# What is left of the limit, and never more than $1 seconds.
within() { local left=$((limit - SECONDS)); echo $((left < $1 ? left : $1)); }
apt() { # seconds, then what to do
	local seconds
	seconds=$(within "$1")
	shift
	((seconds > 0)) || return 124
	# RUNLEVEL=1 keeps a fresh redis-server from being started as a service. A server of
	# packages that does not answer is left alone soon.
	DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 timeout --kill-after=10 "$seconds" \
		apt-get -qq -o DPkg::Lock::Timeout=60 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 -o Acquire::Retries=1 \
		"$@" </dev/null >>"$log" 2>&1
}

say "installing ${missing[*]}"
# The lists may be absent or old: try without fetching them, then with.
if ! apt 240 install -y --no-install-recommends "${missing[@]}"; then
	apt 120 update || say "apt-get update did not finish"
	if ! apt 300 install -y --no-install-recommends "${missing[@]}"; then
		# One package that cannot be had must not keep the others away.
		for package in "${missing[@]}"; do
			apt 120 install -y --no-install-recommends "$package"
			case $? in
			0) ;;
			124) say "no time left to install $package (OTTAVO_INSTALL_LIMIT is $limit s); tests that need it will be skipped" ;;
			*) say "could not install $package; tests that need it will be skipped" ;;
			esac
		done
		tail -n 3 "$log" >&2
	fi
fi
exit 0
