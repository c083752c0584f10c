package config

import "time"

// HealthCheck says how hosts are asked whether they are well.
type HealthCheck struct {
	Protocol           string        `json:"protocol" doc:"TCP (default): a connection can be made. Http1 or Http2: a request is answered well. GRPC: grpc.health.v1.Health/Check says SERVING."`
	Timeout            time.Duration `json:"timeout" doc:"Most time for one check. Default 1s."`
	Interval           time.Duration `json:"interval" doc:"Time between the checks of a host. Default 15s."`
	IntervalJitter     time.Duration `json:"interval_jitter" doc:"Random time added to each interval, at most this."`
	HealthyThreshold   int           `json:"healthy_threshold" min:"0" doc:"So many checks in a row must pass before a host is used again. Default 1."`
	UnhealthyThreshold int           `json:"unhealthy_threshold" min:"0" doc:"So many checks in a row must fail before a host is not used any more. Default 1."`
	InitialDelay       time.Duration `json:"initial_delay" unit:"s" doc:"Time before the first check. Default 1s."`
	InitialDelayLong   time.Duration `json:"initial_delay_seconds" unit:"s" doc:"Another name of initial_delay."`
	ServiceName        string        `json:"service_name" doc:"For GRPC, the service to ask about; empty: the whole server."`
	Check              CheckConfig   `json:"check_config" doc:"More, by protocol."`
	EventLogPath       string        `json:"event_log_path" doc:"A file for a line each time a host is taken out or back in; stdout and stderr are known."`
	CommonCallbacks    []string      `json:"common_callbacks" unbuilt:"warn" doc:"Names of callbacks compiled into MOSN."`
}

// CheckConfig holds the details of a check by protocol.
type CheckConfig struct {
	HTTP *HTTPCheck `json:"http_check_config" doc:"For Http1 and Http2."`
}

// HTTPCheck is the request of a check.
type HTTPCheck struct {
	Port    int           `json:"port" min:"0" max:"65535" doc:"Port to ask, if not the host's own."`
	Timeout time.Duration `json:"timeout" doc:"Most time for the check, instead of the one above."`
	Path    string        `json:"path" doc:"Path, with query. Default /."`
	Method  string        `json:"method" doc:"Default GET."`
	Scheme  string        `json:"scheme" enum:"|http|https" doc:"https: over the cluster's TLS context. Default: as requests are sent."`
	Domain  string        `json:"domain" doc:"Host field. Default: the host's hostname or address."`
	Codes   []CodeRange   `json:"codes" doc:"Statuses that mean well. Default 200."`
}

// CodeRange is a range of statuses, both ends included.
type CodeRange struct {
	Start int `json:"Start" doc:"The first."`
	End   int `json:"End" doc:"The last."`
}

// OutlierDetection takes hosts out at which requests fail.
type OutlierDetection struct {
	Consecutive5xx           int           `json:"consecutive_5xx" default:"5" min:"0" doc:"So many statuses of 500 and above, or failures to get an answer, in a row. 0: not looked at."`
	ConsecutiveGateway       int           `json:"consecutive_gateway_failure" default:"0" min:"0" doc:"So many statuses 502, 503 and 504, or failures, in a row. 0: not looked at."`
	Interval                 time.Duration `json:"interval" default:"10s" min:"0" doc:"How often success rates are compared and hosts come back."`
	BaseEjectionTime         time.Duration `json:"base_ejection_time" default:"30s" min:"0" doc:"How long a host is out, times how often it was in a row."`
	MaxEjectionTime          time.Duration `json:"max_ejection_time" default:"300s" min:"0" doc:"Longest time out."`
	MaxEjectionPercent       float64       `json:"max_ejection_percent" default:"10" min:"0" max:"100" doc:"Most hosts out at a time, as a percentage; one is always allowed where there are at least two."`
	SuccessRateMinHosts      int           `json:"success_rate_minimum_hosts" default:"5" min:"0" doc:"Success rates are compared with so many hosts that have enough requests. 0: not compared."`
	SuccessRateRequestVolume int           `json:"success_rate_request_volume" default:"100" min:"1" doc:"Requests within an interval that are enough."`
	SuccessRateStdevFactor   float64       `json:"success_rate_stdev_factor" default:"1.9" min:"0" doc:"A host is out if its rate is below the mean by so many standard deviations."`
}
