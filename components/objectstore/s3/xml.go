package s3

import (
	"encoding/base64"
	"encoding/xml"
	"net/url"
	"strconv"
	"time"

	"github.com/ottavo-runtime/ottavo/components/objectstore"
)

// secretText is a customer's key as it travels: base64 of 32 bytes.
func secretText(secret string) string {
	if raw, err := base64.StdEncoding.DecodeString(secret); err == nil && len(raw) == 32 {
		return secret
	}
	return base64.StdEncoding.EncodeToString([]byte(secret))
}

// The bodies of requests and answers.
type (
	deleteXML struct {
		XMLName xml.Name    `xml:"Delete"`
		Quiet   bool        `xml:",omitempty"`
		Objects []objectXML `xml:"Object"`
	}
	objectXML struct {
		Key       string
		VersionID string `xml:"VersionId,omitempty"`
	}
	deletedXML struct {
		Deleted []struct {
			Key                   string
			VersionID             string `xml:"VersionId"`
			DeleteMarker          bool
			DeleteMarkerVersionID string `xml:"DeleteMarkerVersionId"`
		}
		Errors []struct {
			Key           string
			VersionID     string `xml:"VersionId"`
			Code, Message string
		} `xml:"Error"`
	}
	copiedXML struct {
		ETag         string
		LastModified time.Time
	}
	ownerXML struct {
		DisplayName string
		ID          string
	}
	prefixXML struct{ Prefix string }
	listXML   struct {
		Name, Prefix, Marker, Delimiter string
		NextMarker                      string
		MaxKeys                         int
		EncodingType                    string
		IsTruncated                     bool
		Contents                        []struct {
			Key, ETag, StorageClass, Type string
			LastModified                  time.Time
			Size                          int64
			Owner                         ownerXML
		}
		CommonPrefixes []prefixXML
	}
	versionXML struct {
		Key                string
		VersionID          string `xml:"VersionId"`
		IsLatest           bool
		LastModified       time.Time
		ETag, StorageClass string
		Size               int64
		Owner              ownerXML
	}
	versionsXML struct {
		Name, Prefix, KeyMarker, Delimiter, EncodingType string
		VersionIDMarker                                  string `xml:"VersionIdMarker"`
		NextKeyMarker                                    string
		NextVersionIDMarker                              string `xml:"NextVersionIdMarker"`
		MaxKeys                                          int
		IsTruncated                                      bool
		Versions                                         []versionXML `xml:"Version"`
		DeleteMarkers                                    []versionXML `xml:"DeleteMarker"`
		CommonPrefixes                                   []prefixXML
	}
	uploadsXML struct {
		Bucket, KeyMarker, NextKeyMarker, Prefix, Delimiter, EncodingType string
		UploadIDMarker                                                    string `xml:"UploadIdMarker"`
		NextUploadIDMarker                                                string `xml:"NextUploadIdMarker"`
		MaxUploads                                                        int
		IsTruncated                                                       bool
		Uploads                                                           []struct {
			Key              string
			UploadID         string `xml:"UploadId"`
			Initiator, Owner ownerXML
			StorageClass     string
			Initiated        time.Time
		} `xml:"Upload"`
		CommonPrefixes []prefixXML
	}
	partsXML struct {
		Bucket, Key          string
		UploadID             string `xml:"UploadId"`
		NextPartNumberMarker string
		MaxParts             int
		IsTruncated          bool
		Parts                []struct {
			PartNumber   int
			LastModified time.Time
			ETag         string
			Size         int64
		} `xml:"Part"`
	}
	tagXML struct{ Key, Value string }
	// taggingXML is both a request and an answer.
	taggingXML struct {
		XMLName xml.Name `xml:"Tagging"`
		TagSet  struct {
			Tags []tagXML `xml:"Tag"`
		}
	}
	// ruleXML is an answer; OSS writes the name of the rule between <Grant> and </Grant>.
	ruleXML struct {
		Owner  ownerXML
		Grants []struct {
			Text    string `xml:",chardata"`
			Grantee struct {
				ID, URI, Canned string
			}
			Permission string
		} `xml:"AccessControlList>Grant"`
	}
)

func prefixes(list []prefixXML) []string {
	var out []string
	for _, p := range list {
		out = append(out, p.Prefix)
	}
	return out
}

func (o ownerXML) owner() objectstore.Owner { return objectstore.Owner(o) }

// count is a number in a parameter; 0 is left out.
func count(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// page adds the parameters of a list that are not empty.
func page(q url.Values, pairs ...string) url.Values {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}
