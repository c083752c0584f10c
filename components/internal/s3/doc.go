// Package s3 speaks to object stores over HTTP: to Amazon's and those that are
// like it (MinIO, Ceph), and in their own dialects, which differ in signatures and
// the names of headers, to those of Aliyun (OSS), Huawei (OBS) and Tencent (COS).
// It signs requests, sends them again when that may help, tells what kind of
// failure an answer is, and uploads what it does not know the size of.
//
// It knows neither files nor objects as the API has them: components/file/s3 and
// components/objectstore/s3 are made of it. No content is held as a whole; a part
// of an upload is.
package s3
