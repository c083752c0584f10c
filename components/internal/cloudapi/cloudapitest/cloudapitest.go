// Package cloudapitest stands in for the APIs of cloud vendors in tests: it checks
// signatures with code of its own, answers in the vendor's form, and holds the keys
// of a small key management service. It is for tests only.
package cloudapitest

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// The key that servers accept.
const (
	KeyID     = "test-key-id"
	KeySecret = "test-key-secret"
)

// Failure is what a Handler returns to refuse a request.
type Failure struct{ Code, Message string }

// Error makes a Failure an error.
func (f Failure) Error() string { return f.Code }

// Handler answers an action with what becomes the answer's JSON.
type Handler func(action string, params map[string]any) (map[string]any, error)

// Server is a vendor.
type Server struct {
	*httptest.Server
	// Down has it answer 503 to everything.
	Down atomic.Bool
}

func serve(t testing.TB, answer func(w http.ResponseWriter, r *http.Request, body []byte)) *Server {
	t.Helper()
	s := new(Server)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || s.Down.Load() {
			http.Error(w, "down for maintenance", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		answer(w, r, body)
	}))
	t.Cleanup(s.Close)
	return s
}

func write(w http.ResponseWriter, status int, v any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// Aliyun starts a server of Alibaba Cloud's RPC style.
func Aliyun(t testing.TB, version string, handle Handler) *Server {
	return serve(t, func(w http.ResponseWriter, r *http.Request, body []byte) {
		params, err := url.ParseQuery(string(body))
		refuse := func(status int, code, message string) {
			write(w, status, map[string]any{"Code": code, "Message": message, "RequestId": "r-0"})
		}
		if err == nil && params.Get("Version") != version {
			err = fmt.Errorf("version %q", params.Get("Version"))
		}
		if err != nil {
			refuse(http.StatusBadRequest, "InvalidVersion", err.Error())
			return
		}
		got := params.Get("Signature")
		params.Del("Signature")
		var pairs []string
		for _, k := range slices.Sorted(maps.Keys(params)) {
			pairs = append(pairs, percent(k)+"="+percent(params.Get(k)))
		}
		mac := hmac.New(sha1.New, []byte(KeySecret+"&"))
		mac.Write([]byte(r.Method + "&%2F&" + percent(strings.Join(pairs, "&"))))
		if want := base64.StdEncoding.EncodeToString(mac.Sum(nil)); got != want || params.Get("AccessKeyId") != KeyID {
			refuse(http.StatusForbidden, "SignatureDoesNotMatch", "The request signature does not conform to the standard.")
			return
		}
		all := make(map[string]any, len(params))
		for k := range params {
			all[k] = params.Get(k)
		}
		answer, err := handle(params.Get("Action"), all)
		if f, ok := errors.AsType[Failure](err); ok {
			refuse(http.StatusBadRequest, f.Code, f.Message)
			return
		}
		answer["RequestId"] = "r-1"
		write(w, http.StatusOK, answer)
	})
}

// percent escapes as RFC 3986 has it.
func percent(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// Tencent starts a server of Tencent Cloud.
func Tencent(t testing.TB, service, version string, handle Handler) *Server {
	return serve(t, func(w http.ResponseWriter, r *http.Request, body []byte) {
		refuse := func(code, message string) {
			write(w, http.StatusOK, map[string]any{"Response": map[string]any{"Error": map[string]string{"Code": code, "Message": message}, "RequestId": "r-0"}})
		}
		seconds, err := strconv.ParseInt(r.Header.Get("X-TC-Timestamp"), 10, 64)
		if err != nil || r.Header.Get("X-TC-Version") != version {
			refuse("InvalidParameter", "version or timestamp")
			return
		}
		date := time.Unix(seconds, 0).UTC().Format(time.DateOnly)
		sum := func(b string) string { s := sha256.Sum256([]byte(b)); return hex.EncodeToString(s[:]) }
		mac := func(key, text string) string {
			m := hmac.New(sha256.New, []byte(key))
			m.Write([]byte(text))
			return string(m.Sum(nil))
		}
		canonical := strings.Join([]string{
			r.Method, r.URL.Path, r.URL.RawQuery, "content-type:" + r.Header.Get("Content-Type"), "host:" + r.Host, "", "content-type;host", sum(string(body)),
		}, "\n")
		scope := date + "/" + service + "/tc3_request"
		text := strings.Join([]string{"TC3-HMAC-SHA256", r.Header.Get("X-TC-Timestamp"), scope, sum(canonical)}, "\n")
		signature := hex.EncodeToString([]byte(mac(mac(mac(mac("TC3"+KeySecret, date), service), "tc3_request"), text)))
		want := "TC3-HMAC-SHA256 Credential=" + KeyID + "/" + scope + ", SignedHeaders=content-type;host, Signature=" + signature
		if r.Header.Get("Authorization") != want {
			refuse("AuthFailure.SignatureFailure", "The provided credentials could not be validated.")
			return
		}
		var params map[string]any
		if err := json.Unmarshal(body, &params); err != nil {
			refuse("InvalidParameter", err.Error())
			return
		}
		answer, err := handle(r.Header.Get("X-TC-Action"), params)
		if f, ok := errors.AsType[Failure](err); ok {
			refuse(f.Code, f.Message)
			return
		}
		answer["RequestId"] = "r-1"
		write(w, http.StatusOK, map[string]any{"Response": answer})
	})
}

// AWS starts a server of Amazon's JSON protocol.
func AWS(t testing.TB, service, target string, handle Handler) *Server {
	return serve(t, func(w http.ResponseWriter, r *http.Request, body []byte) {
		refuse := func(code, message string) {
			write(w, http.StatusBadRequest, map[string]string{"__type": "com.amazonaws." + service + "#" + code, "message": message})
		}
		action, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), target+".")
		now, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if !ok || err != nil {
			refuse("UnknownOperationException", "")
			return
		}
		again, err := http.NewRequestWithContext(r.Context(), r.Method, "http://"+r.Host+r.URL.Path, bytes.NewReader(body))
		if err != nil {
			refuse("InternalFailure", err.Error())
			return
		}
		for _, h := range []string{"Content-Type", "X-Amz-Target"} {
			again.Header.Set(h, r.Header.Get(h))
		}
		hash := sha256.Sum256(body)
		keys := aws.Credentials{AccessKeyID: KeyID, SecretAccessKey: KeySecret}
		if err := v4.NewSigner().SignHTTP(r.Context(), keys, again, hex.EncodeToString(hash[:]), service, "us-east-1", now); err != nil ||
			again.Header.Get("Authorization") != r.Header.Get("Authorization") {
			refuse("IncompleteSignatureException", "the signature does not match")
			return
		}
		var params map[string]any
		if err := json.Unmarshal(body, &params); err != nil {
			refuse("SerializationException", err.Error())
			return
		}
		answer, err := handle(action, params)
		if f, ok := errors.AsType[Failure](err); ok {
			refuse(f.Code, f.Message)
			return
		}
		write(w, http.StatusOK, answer)
	})
}

// KMS answers the actions Encrypt and Decrypt in the way of a key management
// service with those keys. noKey and badText are the vendor's codes for a key that
// is not there and a cipher text that is none.
func KMS(noKey, badText string, keys ...string) Handler {
	var mu sync.Mutex
	sealed := make(map[string][2]any) // cipher text: key, plain text
	return func(action string, params map[string]any) (map[string]any, error) {
		mu.Lock()
		defer mu.Unlock()
		switch action {
		case "Encrypt":
			key, _ := params["KeyId"].(string)
			if !slices.Contains(keys, key) {
				return nil, Failure{noKey, "The specified key is not found."}
			}
			text := base64.StdEncoding.EncodeToString([]byte(rand.Text()))
			sealed[text] = [2]any{key, params["Plaintext"]}
			return map[string]any{"CiphertextBlob": text, "KeyId": key, "KeyVersionId": key + "-v1"}, nil
		case "Decrypt":
			text, _ := params["CiphertextBlob"].(string)
			found, ok := sealed[text]
			if !ok {
				return nil, Failure{badText, "The ciphertext is not valid."}
			}
			return map[string]any{"Plaintext": found[1], "KeyId": found[0], "KeyVersionId": fmt.Sprint(found[0]) + "-v1"}, nil
		}
		return nil, Failure{"InvalidAction", action}
	}
}
