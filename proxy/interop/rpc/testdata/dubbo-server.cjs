// A Dubbo server of sofa-rpc-node with dubbo-remoting, with the service test.Demo.
// It prints its port. It ends when its standard input does.
'use strict';

const { server: { RpcServer } } = require('sofa-rpc-node');
const protocol = require('dubbo-remoting');

const logger = { info() {}, warn() {}, error() {}, debug() {} };
const server = new RpcServer({ logger, protocol, port: 0, codecType: 'hessian2' });
server.on('error', () => {});
const demo = {
  async echo(x) { return x; },
  async fail(text) { throw new Error(text); },
  async slow(ms, x) {
    await new Promise(done => setTimeout(done, ms));
    return x;
  },
};
server.addService({ interfaceName: 'test.Demo', version: '1.0' }, demo);
server.start().then(() => console.log(server.publishPort));
process.stdin.resume().once('end', () => process.exit(0));
