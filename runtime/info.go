package runtime

import (
	"net"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/runtime/actuator"
)

// closed names the causes that there were.
func closed(n [conn.CauseCount]int64) map[string]int64 {
	named := make(map[string]int64)
	for cause, count := range n {
		if count > 0 {
			named[conn.Cause(cause).String()] = count //nolint:gosec // there are few
		}
	}
	return named
}

// info is what the actuator tells besides the app.
func (r *Runtime) info() map[string]any {
	type listenerInfo struct {
		Name        string `json:"name"`
		Address     string `json:"address,omitempty"`
		Serves      string `json:"serves"`
		Connections int    `json:"connections"`
		Accepted    int64  `json:"accepted"`
		Refused     int64  `json:"refused"`
		// Closed counts connections by why they ended; none is left out.
		Closed map[string]int64 `json:"closed,omitempty"`
	}
	type componentInfo struct {
		Kind   string          `json:"kind"`
		Name   string          `json:"name"`
		Type   string          `json:"type"`
		Status actuator.Status `json:"status"`
		Reason string          `json:"reason,omitempty"`
		// Details are what the component tells of itself.
		Details map[string]any `json:"details,omitempty"`
	}
	type hostInfo struct {
		Address     string `json:"address"`
		Health      string `json:"health"`
		Active      int    `json:"active"`
		Connections int    `json:"connections"`
	}
	type clusterInfo struct {
		Name    string     `json:"name"`
		Hosts   []hostInfo `json:"hosts"`
		Refused int64      `json:"refused"`
		// Closed is that of the connections for requests to the hosts.
		Closed map[string]int64 `json:"closed,omitempty"`
	}
	status := r.Status()
	listeners := make([]listenerInfo, 0, len(status.Listeners))
	for _, l := range status.Listeners {
		listeners = append(listeners, listenerInfo{l.Name, address(l.Addr), l.Serves, l.Connections, l.Accepted, l.Refused, closed(l.Closed)})
	}
	list := make([]componentInfo, 0, len(status.Components))
	for _, c := range status.Components {
		list = append(list, componentInfo{c.Kind, c.Name, c.Type, c.Indicator.Status, c.Reason, c.Details})
	}
	clusters := make([]clusterInfo, 0, len(status.Clusters))
	for _, c := range status.Clusters {
		info := clusterInfo{c.Name, make([]hostInfo, 0, len(c.Hosts)), c.Limits.Refused + c.Limits.RefusedPending, closed(c.Closed)}
		for _, h := range c.Hosts {
			info.Hosts = append(info.Hosts, hostInfo{h.Address, h.Health, h.Active, h.Connections})
		}
		clusters = append(clusters, info)
	}
	info := map[string]any{"listeners": listeners, "clusters": clusters, "components": list}
	if n := r.proxy.Copies(); n.Sent.Load()+n.Dropped.Load()+n.Nowhere.Load() > 0 {
		info["copies"] = map[string]int64{
			"sent": n.Sent.Load(), "failed": n.Failed.Load(), "dropped": n.Dropped.Load(), "behind": n.Behind.Load(), "nowhere": n.Nowhere.Load(),
		}
	}
	if calls := r.proxy.Calls().All(); len(calls) > 0 {
		info["calls"] = calledInfo(calls)
	}
	return info
}

// callInfo has the names that MOSN's counters have.
type callInfo struct {
	Listener  string `json:"listener"`
	Service   string `json:"service"`
	Method    string `json:"method"`
	Requests  int64  `json:"request_total"`
	Succeeded int64  `json:"response_succ_total"`
	Failed    int64  `json:"response_fail_total"`
}

func calledInfo(calls []*filter.CallCount) []callInfo {
	list := make([]callInfo, len(calls))
	for i, c := range calls {
		list[i] = callInfo{c.Listener, c.Service, c.Method, c.Requests.Load(), c.Succeeded.Load(), c.Failed.Load()}
	}
	return list
}

func address(a net.Addr) string {
	switch {
	case a == nil:
		return ""
	case a.Network() == "unix":
		return "unix:" + a.String()
	}
	return a.String()
}
