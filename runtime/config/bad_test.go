package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// bad is what Load says about the files in testdata/bad. "!" begins an error,
// "?" a warning; both without the folder.
var bad = map[string][]string{
	"addresses.yaml": {
		`!:2: runtime.listen: "34904" is no address (write "127.0.0.1:34904")`,
		`!:3: runtime.actuator.listen: the port of "127.0.0.1:99999" is no port (a number from 0 to 65535)`,
		`!:8: servers[0].listeners[0].address: "127.0.0.1" is no address: missing port in address (write host:port, for example "127.0.0.1:8080")`,
		`!:9: servers[0].listeners[5].filter_chains[0].filters: a listener for udp has exactly one network filter, udp_proxy (write filters: [{type: udp_proxy, config: {cluster: …}}])`,
		`!:12: servers[0].listeners[1].address: the host of "some host:80" is neither an IP address nor a name (write host:port, for example "127.0.0.1:8080")`,
		`!:15: servers[0].listeners[2].address: the listener has no address (write host:port, or the path of a socket with network: unix; or bind_port: false)`,
		`!:21: servers[0].listeners[4].address: 127.0.0.1:8080 is taken by the listener "d", servers[0].listeners[3], which has 0.0.0.0:8080 (choose another address)`,
		`!:25: servers[0].listeners[5].address: the port of "unix:/tmp/udp.sock" is no port (a number from 0 to 65535)`,
		`!:27: servers[0].listeners[6].name: the name "a" is taken by servers[0].listeners[0] (names are unique)`,
	},
	"alias.yaml": {
		`!:2: unknown alias *x (mark the value with &x first)`,
	},
	"chains.yaml": {
		`!:11: servers[0].listeners[1].filter_chains[0].filters[1]: behind a proxy filter, another gets connections only with fallback_for_unknown_protocol (set it there, or leave this filter out)`,
		`!:18: servers[0].listeners[2].filter_chains[0].filters[2]: no connection would ever come here: the filters before it answer all of them (leave it out)`,
		`!:24: servers[0].listeners[3].filter_chains[0].filters[1]: a proxy filter cannot stand behind another (add its protocols to downstream_protocol of the first)`,
		`!:30: servers[0].listeners[4].filter_chains[0].filters[1]: no connection would ever come here: the filter before it answers all of them (leave it out)`,
		`!:35: servers[0].listeners[5].filter_chains[0].filters[0].config.downstream_protocol: unknown protocol "Htp2" (did you mean "Http2"? known: Http1, Http2, bolt)`,
		`!:35: servers[0].listeners[5].filter_chains[0].filters[0].config.downstream_protocol: this version knows the protocol "wasm" but has no code behind it yet (known: Http1, Http2, bolt)`,
		`!:35: servers[0].listeners[5].filter_chains[0].filters[0].config.downstream_protocol: unknown protocol "" (known: Http1, Http2, bolt)`,
		`!:35: servers[0].listeners[5].filter_chains[0].filters[0].config.upstream_protocol: one protocol is spoken with the hosts, "Http1,Http2" is several (name one, or write Auto for the one the request came by)`,
		`!:38: servers[0].listeners[6].listener_filters[0].type: unknown listener filter "original_dts" (did you mean "original_dst"? known: original_dst)`,
		`!:41: servers[0].listeners[6].filter_chains[0].filters[0].config.downstream_protocol: Auto stands for all protocols, and cannot be one of several (write it alone)`,
		`!:41: servers[0].listeners[6].filter_chains[0].filters[0].config.upstream_protocol: unknown protocol "Aut" (did you mean "Auto"? known: Auto, Http1, Http2, bolt)`,
		`!:42: servers[0].routers[0].virtual_hosts[0].domains[1]: the domain "*:*" is taken by virtual host virtual_hosts[0] (a domain belongs to one virtual host of a router)`,
		`!:42: servers[0].routers[0].virtual_hosts[0].domains[2]: ":80" names no host (write "*:80" for all hosts with this port)`,
		`!:42: servers[0].routers[0].virtual_hosts[0].domains[3]: "a*:*" is no domain ("*" may stand at the start, or for any port: "*.example.com", "example.com:*")`,
		`!:42: servers[0].routers[0].virtual_hosts[0].domains[4]: "*.a.*:*" is no domain ("*" may stand at the start, or for any port: "*.example.com", "example.com:*")`,
		`!:42: servers[0].routers[0].virtual_hosts[0].domains[5]: "[::1]:*:*" is no domain ("*" may stand at the start, or for any port: "*.example.com", "example.com:*")`,
		`?:5: servers[0].listeners[0].filter_chains[0].filters[0].config.fallback_for_unknown_protocol: has no effect: nobody would answer the connections, so they are closed (add a network filter behind this one, such as tcp_proxy)`,
	},
	"circle.yaml": {
		`!:2: the alias *r is inside what it stands for`,
	},
	"clusters.yaml": {
		`!:10: cluster_manager.clusters[1].name: the name "a" is taken by cluster_manager.clusters[0] (names are unique)`,
		`!:11: cluster_manager.clusters[1].lb_type: unknown load balancer "LB_MAGLEF" (did you mean "LB_MAGLEV"? known: LB_ROUNDROBIN, LB_RANDOM, LB_WEIGHTED_ROUNDROBIN, LB_LEAST_REQUEST, LB_LEAST_CONNECTION, LB_MAGLEV, LB_REQUEST_ROUNDROBIN, LB_PEAK_EWMA)`,
		`!:12: cluster_manager.clusters[1].connect_timeout: must not be negative, is -1s`,
		`!:13: cluster_manager.clusters[1].idle_timeout: must not be negative, is -1s`,
		`!:14: cluster_manager.clusters[1].max_request_per_conn: must not be negative, is -1 (0 is no limit)`,
		`!:15: cluster_manager.clusters[1].circuit_breakers[0].max_requests: must not be negative, is -1 (0 is no limit)`,
		`!:15: cluster_manager.clusters[1].circuit_breakers[1].max_connections: must not be negative, is -2 (0 is no limit)`,
		`!:16: cluster_manager.clusters[2].name: the cluster has no name (give it a name)`,
		`!:16: cluster_manager.clusters[2].lb_type: unknown load balancer "LB_ROUNDROBN" (did you mean "LB_ROUNDROBIN"? known: LB_ROUNDROBIN, LB_RANDOM, LB_WEIGHTED_ROUNDROBIN, LB_LEAST_REQUEST, LB_LEAST_CONNECTION, LB_MAGLEV, LB_REQUEST_ROUNDROBIN, LB_PEAK_EWMA)`,
		`!:18: cluster_manager.clusters[2].hosts[0].address: the host has no address (write host:port, for example "127.0.0.1:8080")`,
		`!:19: cluster_manager.clusters[2].hosts[1].address: "127.0.0.1" is no address: missing port in address (write host:port, for example "127.0.0.1:8080")`,
		`!:20: cluster_manager.clusters[2].hosts[2].address: the port of "127.0.0.1:0" is no port (a number from 1 to 65535)`,
		`!:21: cluster_manager.clusters[2].hosts[3].address: the host of ":80" is neither an IP address nor a name (write host:port, for example "127.0.0.1:8080")`,
		`!:22: cluster_manager.clusters[2].hosts[4].weight: must be from 1 to 128, is 129 (0 is as if it were not there)`,
		`?:5: servers[0].routers[0].virtual_hosts[0].routers[0].route.cluster_name: there is no cluster "elsewhere"; requests that come here fail (clusters: a)`,
		`?:5: servers[0].routers[0].virtual_hosts[0].routers[0].match: has more than one of prefix, path and regex: all must hold here, MOSN would look at the first only (keep one of them)`,
		`?:8: cluster_manager.clusters[0].hosts: the cluster has no hosts; requests to it fail (list host:port)`,
		`?:10: cluster_manager.clusters[1].hosts: the cluster has no hosts; requests to it fail (list host:port)`,
		`?:15: cluster_manager.clusters[1].circuit_breakers: has 2 entries; the first counts (keep one)`,
	},
	"comma.json": {
		`!:3: column 3: not valid JSON: invalid character '"' after object key:value pair`,
	},
	"component_types.yaml": {
		`!:3: runtime.hellos.one.type: unknown type "hellowrld" (did you mean "helloworld"? known types: helloworld)`,
		`!:4: runtime.hellos.two.type: the type is missing (known types: helloworld)`,
		`!:7: runtime.state.a.type: unknown type "mysql" (known types: embedded, in-memory, kafka, redis)`,
		`!:11: runtime.state.b.metadata.redisHost: must be a text, not the number 6379 (put it in quotes)`,
		`!:12: runtime.state.b.metadata.redisPassword: must be a text, not a number that is not shown here (put it in quotes)`,
		`!:13: runtime.state.b.metadata.redisDB: must be at least 0, not the number -1`,
		`!:16: runtime.rpcs.msn: unknown type "msn" (did you mean "mosn"? known types: mosn)`,
		`!:17: runtime.rpcs.mosn.config.channel[0].protocol: unknown value "dubbo" (known: http, bolt, boltv2)`,
		`!:17: runtime.rpcs.mosn.config.channel[0].size: must be a whole number, not the text "many"`,
		`?:5: runtime.hellos.three.helo: unknown key; it has no effect (did you mean "hello"?)`,
		`?:14: runtime.state.b.metadata.redis_port: unknown key; it has no effect (did you mean "redisHost"?)`,
	},
	"duplicate.json": {
		`!:6: the key "a" is in this section twice (it is on line 5 too; keep one)`,
		`!:8: the key "listen" is in this section twice (it is on line 3 too; keep one)`,
	},
	"duplicate.yaml": {
		`!:5: the key "a" is in this section twice (it is on line 4 too; keep one)`,
		`!:6: the key "listen" is in this section twice (it is on line 2 too; keep one)`,
	},
	"grpc_filter.yaml": {
		`!:5: servers[0].listeners[0].filter_chains[0].filters[0].config.graceful_stop_timeout: needs a unit: the number 3 (write a number with a unit: "500ms", "30s", "5m", "1h30m")`,
		`!:5: servers[0].listeners[0].filter_chains[0].filters[0].config.server_name: unknown value "runtme" (did you mean "runtime"? known: runtime)`,
	},
	"half.json": {
		`!:4: column 25: the file ends in the middle of a value (is it only half written?)`,
	},
	"half.yaml": {
		`!:2: column 11: not valid YAML: could not find end character of double-quoted text`,
	},
	"listeners.yaml": {
		`!:3: servers[0].listeners[0].filter_chains: a listener has exactly one filter chain, this one has 0 (write one entry: filter_chains: [{filters: [{type: proxy, config: …}]}])`,
		`!:7: servers[0].listeners[1].max_connections: must not be negative, is -1`,
		`!:8: servers[0].listeners[1].connection_idle_timeout: must not be negative, is -3s`,
		`!:9: servers[0].listeners[1].filter_chains: a listener has exactly one filter chain, this one has 2 (keep one, or split the listener)`,
		`!:9: servers[0].listeners[1].filter_chains[0].filters[0].type: unknown network filter "prxy" (did you mean "proxy"? known: grpc, proxy, tcp_proxy, udp_proxy)`,
		`!:9: servers[0].listeners[1].filter_chains[1].filters: the chain has no filter, so nobody would answer a connection (name one: proxy, grpc, …)`,
		`!:12: servers[0].listeners[2].filter_chains[0].filters[0].type: this version knows the network filter "tcpcopy" but has no code behind it yet (known: grpc, proxy, tcp_proxy, udp_proxy)`,
		`!:12: servers[0].listeners[2].filter_chains[0].filters[1].type: the filter has no type (name one)`,
		`!:12: servers[0].listeners[2].filter_chains[0].filters[2].config.upstream_protocol: unknown protocol "http3" (did you mean "Http1"? known: Auto, Http1, Http2, bolt)`,
		`!:12: servers[0].listeners[2].filter_chains[0].filters[2].config.router_config_name: there is no router "servces" (did you mean "services"? routers: services)`,
		`!:12: servers[0].listeners[2].filter_chains[0].filters[1]: no connection would ever come here: the filter before it answers all of them (leave it out)`,
		`!:13: servers[0].listeners[2].stream_filters[0].type: this version knows the stream filter "flowControlFilter" but has no code behind it yet (known: actuator_filter)`,
		`!:13: servers[0].listeners[2].stream_filters[1].type: unknown stream filter "actuatorfilter" (did you mean "actuator_filter"? known: actuator_filter)`,
		`!:13: servers[0].listeners[2].stream_filters[2].type: the filter has no type (name one)`,
		`!:16: servers[0].listeners[3].filter_chains[0].filters[0].config.downstream_protocol: the protocol that callers speak is missing (name it: Http1; or Auto for all that are known)`,
		`!:16: servers[0].listeners[3].filter_chains[0].filters[0].config.router_config_name: the name of the router is missing (name one of routers)`,
	},
	"names_taken.yaml": {
		`!:3: runtime.actuator.listen: 127.0.0.1:80 is taken by the listener "runtime", servers[0].listeners[0], which has 127.0.0.1:80 (choose another address)`,
		`!:6: servers[0].listeners[0].name: the name "runtime" is taken by the listener that runtime.listen makes (choose another name)`,
	},
	"no_listener.yaml": {
		`!:2: servers[0].listeners: there is nothing to start: the server has no listener (add one, or a section runtime)`,
	},
	"not_a_section.yaml": {
		`!:1: must be a section (key: value), not a list`,
	},
	"nothing.yaml": {
		`!:1: there is nothing to start in this file (add a section runtime, or servers)`,
	},
	"number.json": {
		`!:1: the number is too large`,
	},
	"number.yaml": {
		`!:1: the number is too large`,
	},
	"octal.yaml": {
		`!:1: a number with a leading zero is octal for some and decimal for others (put it in quotes for a text, write 0o… for an octal number)`,
	},
	"routes.yaml": {
		`!:9: servers[0].routers[0].virtual_hosts[0].domains: the virtual host has no domain, so no request would come here (write ["*"] for all)`,
		`!:10: servers[0].routers[0].virtual_hosts[1].domains[1]: the domain is empty (write "*" for all)`,
		`!:10: servers[0].routers[0].virtual_hosts[1].domains[2]: "a*" is no domain ("*" may stand at the start, or for any port: "*.example.com", "example.com:*")`,
		`!:10: servers[0].routers[0].virtual_hosts[1].domains[3]: "http://x/y" is no domain (write the host only, without scheme and path)`,
		`!:12: servers[0].routers[0].virtual_hosts[1].routers[0]: the route does not say what happens with a request (add route: {cluster_name: …}, redirect: {…} or direct_response: {status: …})`,
		`!:13: servers[0].routers[0].virtual_hosts[1].routers[1].route.cluster_name: there is no cluster "a", and validate_clusters is true in servers[0].listeners[0].filter_chains[0].filters[0].config (clusters: one)`,
		`!:13: servers[0].routers[0].virtual_hosts[1].routers[1]: the route has more than one of route, redirect and direct_response (keep one of them)`,
		"!:15: servers[0].routers[0].virtual_hosts[1].routers[2].match.regex: \"(\" is no regular expression: error parsing regexp: missing closing ): `(` (the syntax is RE2's: https://github.com/google/re2/wiki/Syntax)",
		`!:15: servers[0].routers[0].virtual_hosts[1].routers[2].match.headers[0].name: the name is missing (name the header field)`,
		"!:15: servers[0].routers[0].virtual_hosts[1].routers[2].match.headers[0].value: \"[\" is no regular expression: error parsing regexp: missing closing ]: `[` (the syntax is RE2's: https://github.com/google/re2/wiki/Syntax)",
		`!:16: servers[0].routers[0].virtual_hosts[1].routers[2].direct_response.status: must be from 200 to 599, is 99`,
		`!:17: servers[0].routers[0].virtual_hosts[1].routers[3].route.upstream_protocol: this version knows the protocol "wasm" but has no code behind it yet (known: Http1, Http2, bolt)`,
		`!:17: servers[0].routers[0].virtual_hosts[1].routers[3].route.cluster_name: there is no cluster "on", and validate_clusters is true in servers[0].listeners[0].filter_chains[0].filters[0].config (clusters: one)`,
		`!:17: servers[0].routers[0].virtual_hosts[1].routers[3].route.timeout: must not be negative, is -1s (0 is the default of 1m0s)`,
		`!:18: servers[0].routers[0].virtual_hosts[1].routers[4].route.cluster_name: the name of the cluster is missing (name one of the clusters)`,
		`!:19: servers[0].routers[0].virtual_hosts[2].domains[0]: the domain "*" is taken by virtual host virtual_hosts[1] (a domain belongs to one virtual host of a router)`,
		`!:19: servers[0].routers[0].virtual_hosts[2].domains[1]: the domain "example.COM" is taken by virtual host virtual_hosts[1] (a domain belongs to one virtual host of a router)`,
		`!:20: servers[0].routers[1].router_config_name: the name "r" is taken by servers[0].routers[0] (names are unique)`,
		`!:21: servers[0].routers[2].router_config_name: the router has no name (give it a name)`,
	},
	"tab.yaml": {
		`!:2: column 1: not valid YAML: found character '	' that cannot start any token (is it only half written?)`,
	},
	"tag.yaml": {
		`!:1: the tag !secret is not understood here (remove it)`,
	},
	"tcp.yaml": {
		`!:5: servers[0].listeners[0].filter_chains[0].filters[0].config.cluster: neither cluster nor routes says where to send to (name one of the clusters)`,
		`!:15: servers[0].listeners[1].filter_chains[0].filters[0].config.routes[1].cluster: the route does not say where to send to (name one of the clusters)`,
		`!:21: servers[0].listeners[2].filter_chains[0].filters[0].config.idle_timeout: is not a duration: the text "soon" (write a number with a unit: "500ms", "30s", "5m", "1h30m")`,
		`!:21: servers[0].listeners[2].filter_chains[0].filters[0].config.max_connect_attempts: must be at least 0, not the number -1`,
		`!:21: servers[0].listeners[2].filter_chains[0].filters[0].config.routes: must be a list, not a section (put it in [ ])`,
		`!:31: servers[0].listeners[3].filter_chains[0].filters[0].config.routes[0].ports: "90-80" is no port or range of ports (write "80", "1-65535" or "80,443,8000-8999")`,
		`!:32: servers[0].listeners[3].filter_chains[0].filters[0].config.routes[1].source_port: "65536" is no port or range of ports (write "80", "1-65535" or "80,443,8000-8999")`,
		`!:32: servers[0].listeners[3].filter_chains[0].filters[0].config.routes[1].destination_port: "" is no port or range of ports (write "80", "1-65535" or "80,443,8000-8999")`,
		`!:33: servers[0].listeners[3].filter_chains[0].filters[0].config.routes[2].ports: ports and destination_port say the same (keep one of them)`,
		`!:34: servers[0].listeners[3].filter_chains[0].filters[0].config.routes[3].source_addrs[0].address: "localhost" is no IP address (write {"address": "10.0.0.0", "length": 8})`,
		`!:34: servers[0].listeners[3].filter_chains[0].filters[0].config.routes[3].destination_addrs[0].length: 10.0.0.0 has no prefix of 33 bits (from 0 to 32)`,
		`!:39: servers[0].listeners[5].filter_chains[0].filters[0].type: udp_proxy needs a listener for udp (set network: udp, or use tcp_proxy)`,
		`!:43: servers[0].listeners[6].filter_chains[0]: TLS is not spoken over udp; datagrams are passed on as they are (remove the TLS contexts)`,
		`?:12: servers[0].listeners[1].filter_chains[0].filters[0].config.cluster: there is no cluster "onee"; connections that come here are closed (did you mean "one"? clusters: one)`,
		`?:14: servers[0].listeners[1].filter_chains[0].filters[0].config.routes[0].cluster: there is no cluster "two"; connections that come here are closed (clusters: one)`,
		`?:29: servers[0].listeners[3].filter_chains[0].filters[0].config.typo: unknown key; it has no effect (known keys: cluster, idle_timeout, max_connect_attempts, routes, stat_prefix)`,
		`?:37: servers[0].listeners[4].stream_filters[0]: has no effect: no network filter of this listener reads requests (add a network filter of type "proxy", or remove this)`,
		`?:43: servers[0].listeners[6].filter_chains[0].filters[0].config.max_sesions: unknown key; it has no effect (did you mean "max_sessions"?)`,
		`?:43: servers[0].listeners[6].filter_chains[0].filters[0].config.cluster: there is no cluster "two"; connections that come here are closed (clusters: one)`,
	},
	"tls.yaml": {
		`!:6: servers[0].listeners[0].filter_chains[0].tls_context: the chain has both tls_context and tls_context_set (move it into tls_context_set)`,
		`!:18: cluster_manager.clusters[0].cluster_manager_tls: there is no TLS context to use (add cluster_manager.tls_context, or give the cluster its own)`,
		`?:11: servers[0].listeners[1].inspector: has no effect: no TLS context is switched on (add a tls_context with status: true, or remove inspector)`,
		`?:19: cluster_manager.clusters[1].cluster_manager_tls: has no effect: cluster_manager has no TLS context, so the cluster's own counts (remove it, or add cluster_manager.tls_context)`,
	},
	"tls_shared.yaml": {
		`?:4: cluster_manager.tls_context.vrify: unknown key; it has no effect`,
		`?:8: cluster_manager.clusters[0].tls_context: has no effect: with cluster_manager_tls the context of cluster_manager counts (remove it, or cluster_manager_tls)`,
	},
	"tls_values.yaml": {
		`!:7: servers[0].listeners[0].filter_chains[0].tls_context.status: must be true or false, not the text "maybe"`,
		`!:8: servers[0].listeners[0].filter_chains[0].tls_context.min_version: unknown value "TLS2" (did you mean "TLS1.2"? known: TLS1.0, TLS1.1, TLS1.2, TLS1.3, TLSv1_0, TLSv1_1, TLSv1_2, TLSv1_3, TLS_AUTO)`,
		`!:9: servers[0].listeners[0].filter_chains[0].tls_context.private_key: must be a text, not a number that is not shown here (put it in quotes)`,
		`!:10: servers[0].listeners[0].filter_chains[0].tls_context.sds_source: this version knows the key but has no code behind it yet, and leaving it out would change what happens (remove "sds_source")`,
		`?:11: servers[0].listeners[0].filter_chains[0].tls_context.cihper_suites: unknown key; it has no effect (did you mean "cipher_suites"?)`,
	},
	"trailing.json": {
		`!:1: column 17: not valid JSON: invalid character '{' after top-level value`,
	},
	"two_actuators.yaml": {
		`!:2: runtime.actuator.listen: there is one actuator in a process, and the listener "a" has it already (keep one)`,
		`!:8: servers[0].listeners[0].stream_filters[1]: there is one actuator in a process, and the listener "a" has it already (keep one)`,
	},
	"two_documents.yaml": {
		`!:3: a second document begins here (keep one document in the file)`,
	},
	"two_runtimes.yaml": {
		`!:1: runtime: there is one runtime in a process, and servers[0].listeners[0].filter_chains[0].filters[0].config.grpc_config has it already (keep one)`,
		`!:9: servers[0].listeners[1].filter_chains[0].filters[0].config: there is one runtime in a process, and servers[0].listeners[0].filter_chains[0].filters[0].config.grpc_config has it already (keep one)`,
		`!:10: servers[1]: there is one server in a process, here are 2 (move its listeners and routers into the first)`,
	},
	"types.json": {
		`!:3: runtime.listen: must be a text, not the number 34904 (put it in quotes)`,
		`!:4: runtime.max_recv_bytes: must be a whole number, not the text "lots"`,
		`!:5: runtime.graceful_stop_timeout: needs a unit: the number 30 (write a number with a unit: "500ms", "30s", "5m", "1h30m")`,
		`!:6: runtime.actuator.enabled: must be true or false, not the text "maybe"`,
		`!:7: runtime.log.format: unknown value "xml" (known: text, json)`,
		`!:7: runtime.log.level: unknown value "verbose" (known: TRACE, DEBUG, INFO, WARN, ERROR, FATAL)`,
		`!:8: runtime.state: must be a section (key: value), not a list`,
		`!:9: runtime.data_dir: must be a text, not a list`,
		`!:11: servers: must be a list, not a section (put it in [ ])`,
		`!:12: cluster_manager.clusters[0].connect_timeout: needs a unit: the text "3" (write a number with a unit: "500ms", "30s", "5m", "1h30m")`,
		`!:12: cluster_manager.clusters[0].hosts[0].weight: must be a whole number, not the number 1.5`,
	},
	"typos.yaml": {
		`?:2: runtime.listne: unknown key; it has no effect (did you mean "listen"?)`,
		`?:3: runtime.State: keys distinguish capital letters; taken as "state" (write "state")`,
		`?:4: runtime.actuator.port: unknown key; it has no effect (known keys: enabled, listen)`,
		`?:8: servers[0].listeners[0].addr_ess: unknown key; it has no effect (did you mean "address"?)`,
		`?:10: servers[0].listeners[0].bindport: unknown key; it has no effect (did you mean "bind_port"?)`,
		`?:11: servers[0].listeners[0].filter_chains[0].filters[0].config.router_config_nam: unknown key; it has no effect (did you mean "router_config_name"?)`,
		`?:13: servers[0].completely_else: unknown key; it has no effect (known keys: default_log_level, default_log_path, global_log_roller, graceful_timeout, listeners, mosn_server_name, optimize_local_write, processor, routers, use_netpoll_mode)`,
	},
	"references.yaml": {
		`!:3: runtime.config_store.c.component_ref.secret_store: there is no secret store "none" (there are: env, files)`,
		`!:6: runtime.lock.l.secret_ref[0].store_name: there is no secret store "fils" (there are: env, files)`,
		`!:7: runtime.lock.l.secret_ref[1].key: is missing (write which secret)`,
		`!:11: runtime.secret_store.files.secret_ref[0].store_name: there is no secret store "emv" (there are: env, files)`,
		`!:14: runtime.files.f: the section file has a component of this name, too (keep one)`,
		`!:17: runtime.rpcs.mosn.secret_ref[0].store_name: there is no secret store "nobody" (there are: env, files)`,
		`?:14: runtime.files: is an old name (write file)`,
	},
	"circles.yaml": {
		`!:8: runtime.secret_store.vault.secret_ref[0].store_name: the components refer to each other in a circle, so that none can be made first: cloud -> files -> vault -> cloud (take one of these settings from the environment, as ${VARIABLE})`,
		`!:11: runtime.secret_store.alone.secret_ref[0].store_name: "alone" refers to itself, so that it cannot be made (take one of these settings from the environment, as ${VARIABLE})`,
		`!:14: runtime.config_store.own.component_ref.config_store: "own" refers to itself, so that it cannot be made (remove one of these references)`,
		`?:3: runtime.secret_store.files.component_ref.config_store: has no effect: secret stores are made before configuration stores (remove it)`,
	},
	"places.yaml": {
		`!:6: runtime.file.f.secret_ref[2].inject_as: "[1].accessKeySecret" leads nowhere: clients is a list of 1, so it has no element [1] (write a key of the settings, or a path to one: "basic_config.accessKeySecret", "clients[0].accessKeySecret")`,
		`!:7: runtime.file.f.secret_ref[3].inject_as: "[0": a bracket in the path is not closed: write [0] (write a key of the settings, or a path to one: "basic_config.accessKeySecret", "clients[0].accessKeySecret")`,
		`!:12: runtime.oss.o.secret_ref[2].inject_as: "region[0]" leads nowhere: region is a plain value, so it has no element [0] (write a key of the settings, or a path to one: "basic_config.accessKeySecret", "clients[0].accessKeySecret")`,
		`?:5: runtime.file.f.secret_ref[1].inject_as: runtime.file.f.metadata.clients[0].accesKeySecret: unknown key; it has no effect (did you mean "accessKeySecret"?)`,
		`?:11: runtime.oss.o.secret_ref[1].inject_as: runtime.oss.o.metadata["basicconfig.accessKeySecret"]: unknown key; it has no effect (known keys: basic_config, clients, region)`,
		`?:16: runtime.state.k.secret_ref[1].inject_as: runtime.state.k.metadata.saslPasword: unknown key; it has no effect (did you mean "saslPassword"?)`,
		`?:17: runtime.state.k.secret_ref[2].sub_key: runtime.state.k.metadata.nobody: unknown key; it has no effect (known keys: *.schema, batch, brokers, keyPrefix, password, saslPassword)`,
	},
	"idle.yaml": {
		`?:2: runtime.app.grpc_callback_host: has no effect: without a port nobody is called (add grpc_callback_port)`,
		`?:4: runtime.config_store.c.address: has no effect with the type "in-memory" (remove it)`,
		`?:6: runtime.state.s.component_ref: has no effect: the type "in-memory" asks for no other store (remove it)`,
		`?:8: runtime.custom_component.clock: no component of this kind is made: the program brings none (remove it, or embed the runtime in a program that brings them)`,
	},
	"settings.yaml": {
		`?:4: runtime.state.k.metadata.broker: unknown key; it has no effect (did you mean "brokers"?)`,
		`?:5: runtime.state.k.metadata.password: the key is there twice: as "Password" too (remove "password" or "Password")`,
		`?:9: runtime.state.k.metadata.ActorStateStore: this version knows the key but has no code behind it yet; it has no effect: there are no actors (remove "ActorStateStore" to silence this)`,
		`?:10: runtime.state.r.metadata.actorStateStore: this version knows the key but has no code behind it yet; it has no effect: there are no actors (remove "actorStateStore" to silence this)`,
	},
	"unbuilt.yaml": {
		`!:8: third_part_codec: this version knows the key but has no code behind it yet, and leaving it out would change what happens (remove "third_part_codec")`,
		`?:7: tracing: this version knows the key but has no code behind it yet; it has no effect (remove "tracing" to silence this)`,
	},
}

func TestBadFiles(t *testing.T) {
	entries, err := os.ReadDir("testdata/bad")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		t.Run(entry.Name(), func(t *testing.T) {
			_, warnings, errs := load(t, filepath.Join("testdata/bad", entry.Name()), testOptions())
			var got []string
			for _, e := range errs {
				got = append(got, "!"+strings.TrimPrefix(e, "testdata/bad/"+entry.Name()))
			}
			for _, w := range warnings {
				got = append(got, "?"+strings.TrimPrefix(w, "testdata/bad/"+entry.Name()))
			}
			if want := bad[entry.Name()]; !slices.Equal(got, want) {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
	if len(bad) != len(entries) {
		t.Errorf("%d files, %d expectations", len(entries), len(bad))
	}
}
