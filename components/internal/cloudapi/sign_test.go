package cloudapi

import (
	"net/http"
	"testing"
	"time"
)

// The example in Alibaba Cloud's documentation of RPC signatures.
func TestAliyunSignature(t *testing.T) {
	a := &Aliyun{Version: "2014-05-26", KeyID: "testid", KeySecret: "testsecret"}
	values := a.sign(http.MethodGet, "DescribeRegions", map[string]string{"Format": "XML"},
		time.Date(2016, 2, 23, 12, 46, 24, 0, time.UTC), "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf")
	if got := values.Get("Signature"); got != "OLeaidS1JvxuMvnyHOwuJ+uX5qY=" {
		t.Errorf("signature %s", got)
	}
}

func TestRFC3986(t *testing.T) {
	if got := rfc3986("a+b*c%7Ed"); got != "a%20b%2Ac~d" {
		t.Error(got)
	}
}
