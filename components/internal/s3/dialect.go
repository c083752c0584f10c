package s3

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what these servers ask for
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/s3utils"
	"github.com/minio/minio-go/v7/pkg/signer"
	cos "github.com/tencentyun/cos-go-sdk-v5"
)

// Dialect is how a kind of server differs from Amazon's.
type Dialect struct {
	// Name is a word for it.
	Name string
	// prefix is what its own headers begin with.
	prefix string
	// renamed are headers that differ by more than the prefix: from what stands
	// behind it in Amazon's.
	renamed map[string]string
	// RestoreTier is the element around the tier in a request to restore.
	RestoreTier string

	sign    func(hreq *http.Request, o Options, req *Request, now time.Time) *http.Request
	presign func(hreq *http.Request, o Options, req *Request, now time.Time, good time.Duration) string
}

// Names of the dialects.
const (
	aws    = "S3"
	aliyun = "OSS"
	huawei = "OBS"
	tcloud = "COS"
)

// Amazon is the dialect of Amazon and of those that are like it.
func Amazon() Dialect {
	return Dialect{Name: aws, prefix: "X-Amz-", RestoreTier: "GlacierJobParameters", sign: signV4, presign: presignV4}
}

// Aliyun is that of OSS.
func Aliyun() Dialect {
	d := hmacDialect{scheme: "OSS", keyParam: "OSSAccessKeyId", prefix: "x-oss-", signed: ossParams[:]}
	return Dialect{
		Name: aliyun, prefix: "X-Oss-", RestoreTier: "JobParameters",
		renamed: map[string]string{"Acl": "Object-Acl"}, sign: d.sign, presign: d.presign,
	}
}

// Huawei is that of OBS.
func Huawei() Dialect {
	d := hmacDialect{scheme: "OBS", keyParam: "AccessKeyId", prefix: "x-obs-", signed: obsParams[:], escape: true}
	return Dialect{Name: huawei, prefix: "X-Obs-", RestoreTier: "RestoreJob", sign: d.sign, presign: d.presign}
}

// Tencent is that of COS. It signs no URLs here.
func Tencent() Dialect {
	return Dialect{Name: tcloud, prefix: "X-Cos-", RestoreTier: "CASJobParameters", sign: signCOS}
}

const amazonPrefix = "X-Amz-"

// fromAmazon renames headers to those of the dialect.
func (d Dialect) fromAmazon(h http.Header) http.Header {
	out := make(http.Header, len(h)+4)
	for name, values := range h {
		if rest, ok := strings.CutPrefix(name, amazonPrefix); ok && d.prefix != amazonPrefix {
			if other, ok := d.renamed[rest]; ok {
				rest = other
			}
			name = d.prefix + rest
		}
		out[name] = slices.Clone(values)
	}
	return out
}

// toAmazon renames headers of the dialect to Amazon's.
func (d Dialect) toAmazon(h http.Header) http.Header {
	if d.prefix == amazonPrefix {
		return h
	}
	out := make(http.Header, len(h))
	for name, values := range h {
		if rest, ok := strings.CutPrefix(name, d.prefix); ok {
			for amazon, other := range d.renamed {
				if rest == other {
					rest = amazon
				}
			}
			name = amazonPrefix + rest
		}
		out[name] = values
	}
	return out
}

// emptySHA256 is the sum of nothing.
const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func signV4(hreq *http.Request, o Options, req *Request, _ time.Time) *http.Request {
	sum := emptySHA256
	if req.Content != nil {
		sum = req.Content.sha256
	}
	hreq.Header.Set("X-Amz-Content-Sha256", sum)
	return signer.SignV4(*hreq, o.AccessKeyID, o.AccessKeySecret, "", o.Region)
}

func presignV4(hreq *http.Request, o Options, _ *Request, _ time.Time, good time.Duration) string {
	return signer.PreSignV4(*hreq, o.AccessKeyID, o.AccessKeySecret, "", o.Region, int64(good/time.Second)).URL.String()
}

// signCOS signs with a quarter of an hour to arrive in.
func signCOS(hreq *http.Request, o Options, _ *Request, _ time.Time) *http.Request {
	cos.AddAuthorizationHeader(o.AccessKeyID, o.AccessKeySecret, "", hreq, cos.NewAuthTime(15*time.Minute))
	return hreq
}

// hmacDialect is the older way to sign, which OSS and OBS share with S3's past:
// the HMAC of the method, some headers and the resource.
type hmacDialect struct {
	scheme   string
	keyParam string // in URLs
	prefix   string // of headers that are signed, lower case
	signed   []string
	escape   bool // the key in the resource is as in the URL
}

// Parameters of the query that belong to the resource.
var (
	ossParams = [...]string{
		"acl", "append", "delete", "partNumber", "position", "response-cache-control", "response-content-disposition",
		"response-content-encoding", "response-content-language", "response-content-type", "response-expires", "restore",
		"tagging", "uploadId", "uploads", "versionId", "versions",
	}
	obsParams = ossParams
)

func (d hmacDialect) sign(hreq *http.Request, o Options, req *Request, now time.Time) *http.Request {
	date := now.UTC().Format(http.TimeFormat)
	hreq.Header.Set("Date", date)
	hreq.Header.Set("Authorization", d.scheme+" "+o.AccessKeyID+":"+d.signature(hreq, o, req, date))
	return hreq
}

func (d hmacDialect) presign(hreq *http.Request, o Options, req *Request, now time.Time, good time.Duration) string {
	expires := strconv.FormatInt(now.Add(good).Unix(), 10)
	q := hreq.URL.Query()
	q.Set(d.keyParam, o.AccessKeyID)
	q.Set("Expires", expires)
	q.Set("Signature", d.signature(hreq, o, req, expires))
	hreq.URL.RawQuery = q.Encode()
	return hreq.URL.String()
}

// signature signs a request that counts at date, or until it.
func (d hmacDialect) signature(hreq *http.Request, o Options, req *Request, date string) string {
	var b strings.Builder
	b.WriteString(hreq.Method + "\n" + hreq.Header.Get("Content-Md5") + "\n" + hreq.Header.Get("Content-Type") + "\n" + date + "\n")
	var own []string
	for name, values := range hreq.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, d.prefix) {
			own = append(own, lower+":"+strings.TrimSpace(strings.Join(values, ","))+"\n")
		}
	}
	slices.Sort(own)
	b.WriteString(strings.Join(own, ""))
	b.WriteString(d.resource(req.Bucket, req.Key, hreq.URL.Query()))
	mac := hmac.New(sha1.New, []byte(o.AccessKeySecret))
	_, _ = mac.Write([]byte(b.String()))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func (d hmacDialect) resource(bucket, key string, query url.Values) string {
	resource := "/"
	if bucket != "" {
		resource += bucket + "/"
	}
	if d.escape {
		key = s3utils.EncodePath(key)
	}
	resource += key
	separator := "?"
	for _, name := range d.signed { // which are in order
		values, ok := query[name]
		if !ok {
			continue
		}
		resource += separator + name
		if values[0] != "" {
			resource += "=" + values[0]
		}
		separator = "&"
	}
	return resource
}
