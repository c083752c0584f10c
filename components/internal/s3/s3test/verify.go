package s3test

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what these servers ask for
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// verify returns the code with which a request that is signed wrongly is refused.
func (s *Server) verify(r *http.Request) string {
	id, signature, want := "", "", ""
	switch s.dialect {
	case Amazon:
		id, signature, want = s.amazon(r)
	case Tencent:
		id, signature, want = s.tencent(r)
	default:
		id, signature, want = s.older(r)
	}
	switch {
	case signature == "":
		return "AccessDenied"
	case id != AccessKeyID:
		return "InvalidAccessKeyId"
	case signature != want:
		return "SignatureDoesNotMatch"
	}
	return ""
}

func mac(h func() hash.Hash, key []byte, text string) []byte {
	m := hmac.New(h, key)
	_, _ = m.Write([]byte(text))
	return m.Sum(nil)
}

// fields reads "a=b, c=d" and "a=b&c=d".
func fields(text, separator string) map[string]string {
	out := map[string]string{}
	for field := range strings.SplitSeq(text, separator) {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		out[name] = value
	}
	return out
}

func escape(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

// amazon checks signatures of the version 4, in headers and in URLs.
func (s *Server) amazon(r *http.Request) (id, signature, want string) {
	q := r.URL.Query()
	auth, scheme := r.Header.Get("Authorization"), "AWS4-HMAC-SHA256"
	var credential, signed, date, sum string
	if rest, ok := strings.CutPrefix(auth, scheme+" "); ok {
		f := fields(rest, ",")
		credential, signed, signature = f["Credential"], f["SignedHeaders"], f["Signature"]
		date, sum = r.Header.Get("X-Amz-Date"), r.Header.Get("X-Amz-Content-Sha256")
	} else {
		credential, signed, signature = q.Get("X-Amz-Credential"), q.Get("X-Amz-SignedHeaders"), q.Get("X-Amz-Signature")
		date, sum = q.Get("X-Amz-Date"), "UNSIGNED-PAYLOAD"
		q.Del("X-Amz-Signature")
	}
	id, scope, _ := strings.Cut(credential, "/")
	var pairs []string
	for name, values := range q {
		for _, v := range values {
			pairs = append(pairs, escape(name)+"="+escape(v))
		}
	}
	slices.Sort(pairs)
	var b strings.Builder
	path := strings.ReplaceAll(escape(r.URL.Path), "%2F", "/")
	b.WriteString(r.Method + "\n" + path + "\n" + strings.Join(pairs, "&") + "\n")
	for name := range strings.SplitSeq(signed, ";") {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(r.ContentLength)
		}
		b.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
	}
	b.WriteString("\n" + signed + "\n" + sum)
	canonical := sha256.Sum256([]byte(b.String()))
	key := []byte("AWS4" + AccessKeySecret)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(sha256.New, key, part)
	}
	text := scheme + "\n" + date + "\n" + scope + "\n" + hex.EncodeToString(canonical[:])
	return id, signature, hex.EncodeToString(mac(sha256.New, key, text))
}

// parameters that are signed, in the older way.
var parameters = []string{
	"acl", "append", "delete", "partNumber", "position", "response-cache-control", "response-content-disposition",
	"response-content-encoding", "response-content-language", "response-content-type", "response-expires", "restore", "tagging",
	"uploadId", "uploads", "versionId", "versions",
}

// older checks what OSS and OBS ask for, in headers and in URLs.
func (s *Server) older(r *http.Request) (id, signature, want string) {
	q := r.URL.Query()
	date := r.Header.Get("Date")
	if _, rest, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok {
		id, signature, _ = strings.Cut(rest, ":")
	} else {
		id, signature, date = q.Get("OSSAccessKeyId")+q.Get("AccessKeyId"), q.Get("Signature"), q.Get("Expires")
	}
	prefix := strings.ToLower(s.dialect)
	var own []string
	for name, values := range r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, prefix) {
			own = append(own, lower+":"+strings.Join(values, ",")+"\n")
		}
	}
	slices.Sort(own)
	resource := r.URL.Path
	if s.dialect == Huawei {
		resource = strings.ReplaceAll(escape(resource), "%2F", "/")
	}
	if strings.Count(resource, "/") == 1 && resource != "/" {
		resource += "/"
	}
	separator := "?"
	for _, name := range parameters {
		if q.Has(name) {
			resource += separator + name
			if v := q.Get(name); v != "" {
				resource += "=" + v
			}
			separator = "&"
		}
	}
	text := r.Method + "\n" + r.Header.Get("Content-Md5") + "\n" + r.Header.Get("Content-Type") + "\n" + date + "\n" + strings.Join(own, "") + resource
	return id, signature, base64.StdEncoding.EncodeToString(mac(sha1.New, []byte(AccessKeySecret), text))
}

// tencent checks what COS asks for.
func (s *Server) tencent(r *http.Request) (id, signature, want string) {
	f := fields(r.Header.Get("Authorization"), "&")
	var params []string
	q := r.URL.Query()
	for name := range q {
		params = append(params, name)
	}
	slices.Sort(params)
	var pairs, headers []string
	for _, name := range params {
		pairs = append(pairs, strings.ToLower(escape(name))+"="+escape(q.Get(name)))
	}
	for name := range strings.SplitSeq(f["q-header-list"], ";") {
		value := r.Header.Get(name)
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(r.ContentLength)
		}
		headers = append(headers, name+"="+escape(value))
	}
	httpString := strings.ToLower(r.Method) + "\n" + r.URL.Path + "\n" + strings.Join(pairs, "&") + "\n" + strings.Join(headers, "&") + "\n"
	sum := sha1.Sum([]byte(httpString)) //nolint:gosec // as above
	key := hex.EncodeToString(mac(sha1.New, []byte(AccessKeySecret), f["q-key-time"]))
	text := "sha1\n" + f["q-sign-time"] + "\n" + hex.EncodeToString(sum[:]) + "\n"
	return f["q-ak"], f["q-signature"], hex.EncodeToString(mac(sha1.New, []byte(key), text))
}
