// A server of sofa-rpc-node with the service given: node bolt-server.cjs NAME SERVICE.
// It prints its port. It ends when its standard input does.
'use strict';

const path = require('path');
const { server: { RpcServer } } = require('sofa-rpc-node');
const antpb = require('antpb');

const [name, service] = process.argv.slice(2);
const logger = { info() {}, warn() {}, error() {}, debug() {} };
const server = new RpcServer({
  logger, port: 0,
  proto: antpb.loadAll(path.join(__dirname, 'proto')),
});

let notes = 0;
let beats = 0;
let waiting = 0;
const sockets = new Set();
server.on('error', () => {});
server.on('connection', conn => {
  sockets.add(conn.socket);
  conn.socket.once('close', () => sockets.delete(conn.socket));
  conn._decoder.on('heartbeat', () => { beats++; });
});

server.addService({ interfaceName: service, version: '1.0' }, {
  async who() { return name; },
  async echo(x) { return x; },
  async fail(text) { throw new Error(text); },
  async slow(ms, x) {
    waiting++;
    await new Promise(done => setTimeout(done, ms));
    waiting--;
    return x;
  },
  async note() { notes++; return 'nobody wants to know'; },
  async notes() { return notes; },
  async beats() { return beats; },
  async waiting() { return waiting; }, // calls of slow that are under way
  // Breaks all connections off, with all that is under way on them.
  async hangUp() { for (const s of sockets) s.destroy(); },
  // A call with protobuf.
  async greet(req) { return { text: `${name} greets ${req.name}`, length: req.blob.length }; },
});

server.start().then(() => console.log(server.publishPort));
process.stdin.resume().once('end', () => process.exit(0));
