package config

import "time"

// L4Proxy is what the network filters "tcp_proxy" and "udp_proxy" have in
// common: they pass bytes on and do not look at them.
type L4Proxy struct {
	StatPrefix         string        `json:"stat_prefix" doc:"A label for metrics."`
	Cluster            string        `json:"cluster" doc:"Cluster to send to when no entry of routes matches."`
	IdleTimeout        time.Duration `json:"idle_timeout" min:"0" unit:"ns" doc:"End what had no byte in either direction for this long; a bare number counts nanoseconds, as in MOSN. Default: the listener's connection_idle_timeout for TCP, 5s for UDP."`
	MaxConnectAttempts int           `json:"max_connect_attempts" min:"0" doc:"How many hosts are tried before a connection is given up. Default 3."`
	Routes             []L4Route     `json:"routes" doc:"Clusters by address and port; the first entry that matches counts."`
}

// TCPProxy is the configuration of the network filter "tcp_proxy".
type TCPProxy struct {
	L4Proxy
}

// UDPProxy is the configuration of the network filter "udp_proxy".
type UDPProxy struct {
	L4Proxy
	MaxSessions int `json:"max_sessions" min:"0" doc:"Most clients at a time; datagrams of further ones are dropped. Default 10000."`
}

// L4Route names the cluster for some connections. What it leaves out matches
// everything; addresses that are no IP addresses (a unix socket's) match only
// what is left out.
type L4Route struct {
	Cluster          string      `json:"cluster" doc:"Cluster to send to."`
	SourceAddrs      []CIDRRange `json:"source_addrs" doc:"Networks that the client is in, one of them."`
	DestinationAddrs []CIDRRange `json:"destination_addrs" doc:"Networks that the address is in to which the client connected, one of them."`
	SourcePort       string      `json:"source_port" doc:"Ports of the client: \"80\", \"1-65535\", \"80,443,8000-8999\"."`
	DestinationPort  string      `json:"destination_port" doc:"Ports to which the client connected: \"80\", \"1-65535\", \"80,443,8000-8999\"."`
	Ports            string      `json:"ports" doc:"The same as destination_port."`
}

// CIDRRange is a network: {"address": "10.0.0.0", "length": 8}, or
// {"address": "10.0.0.0/8"}.
type CIDRRange struct {
	Address string `json:"address" doc:"An IP address, or one with its prefix length: 10.0.0.0/8."`
	Length  *int   `json:"length" min:"0" max:"128" doc:"Length of the prefix in bits. Default: the whole address."`
}

// Defaults of the network filters "tcp_proxy" and "udp_proxy".
const (
	DefaultMaxConnectAttempts = 3
	DefaultUDPIdleTimeout     = 5 * time.Second
	DefaultMaxUDPSessions     = 10_000
)
