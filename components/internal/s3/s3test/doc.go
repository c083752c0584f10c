// Package s3test is an object store for tests: gofakes3 in memory, behind a front
// that checks signatures, speaks the dialects of Aliyun, Huawei and Tencent, adds
// what gofakes3 lacks (tags, access rules, conditions, appending, parts that are
// copied), and can be told to fail. It is for tests only.
package s3test
