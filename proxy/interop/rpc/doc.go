// Package rpc tests the RPC protocols of the core with clients and servers that
// others wrote, over real sockets: those of SOFA for Bolt in both versions, and
// those of Dubbo, in Node and in Java.
//
// It holds tests only and never anything that ships. Where Node or the packages
// in testdata/package.json are not there, or a JDK or the jars in
// testdata/java/pom.xml, its tests skip and say so; tools/test/npm.sh and
// tools/test/jars.sh get them.
package rpc
