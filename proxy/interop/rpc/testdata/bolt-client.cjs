// Calls of sofa-rpc-node and sofa-bolt-node, whose outcomes are printed:
// node bolt-client.cjs ADDRESS VERSION, where VERSION is bolt, bolt2 or crc.
'use strict';

const net = require('net');
const path = require('path');
const { once } = require('events');
const antpb = require('antpb');
const bolt = require('sofa-bolt-node');
const { client: { RpcClient } } = require('sofa-rpc-node');

const [address, version] = process.argv.slice(2);
const proto = antpb.loadAll(path.join(__dirname, 'proto'));

// The codec, which speaks the version.
const protocol = {
  ...bolt,
  encoder(options) {
    const e = bolt.encoder(options);
    if (version !== 'bolt') {
      e.protocolType = 'bolt2';
      e.boltVersion = version === 'crc' ? 2 : 1;
      e.crcEnable = version === 'crc';
    }
    return e;
  },
};
const logger = { info() {}, warn() {}, error() {}, debug() {} };
const client = new RpcClient({ logger, protocol });
client.on('error', () => {});
const consumers = {};
for (const name of ['A', 'B', 'Gone', 'Nowhere']) {
  consumers[name] = client.createConsumer({ interfaceName: `test.${name}`, serverHost: `bolt://${address}`, responseTimeout: 60000 });
}

const say = (...words) => console.log(...words);
const call = (service, method, args, options) => consumers[service].invoke(method, args, options);
const wait = ms => new Promise(done => setTimeout(done, ms));

// outcome is what becomes of a call: its result, or the error's text.
async function outcome(call) {
  try {
    return await call;
  } catch (err) {
    return `error: ${err.message}`;
  }
}

// until asks until the answer is good.
async function until(good, ask) {
  for (const end = Date.now() + 60000; Date.now() < end; await wait(300)) {
    if (good(await ask())) return true;
  }
  return false;
}

// A connection of its own, on which frames are sent and answers are seen as they are.
async function frames() {
  const [host, port] = address.split(':');
  const socket = net.connect(Number(port), host);
  await once(socket, 'connect');
  const sentReqs = new Map();
  const encoder = protocol.encoder({ sentReqs, proto });
  const decoder = bolt.decoder({ sentReqs, proto });
  encoder.pipe(socket);
  // The status of an answer is in the last frame that came.
  let status;
  socket.on('data', b => { status = b.readUInt16BE(b[0] === 1 ? 10 : 12); });
  socket.pipe(decoder);
  const answers = new Map();
  for (const event of ['response', 'heartbeat_ack']) {
    decoder.on(event, m => {
      const done = answers.get(m.packetId);
      answers.delete(m.packetId);
      if (done) done({ event, status, data: m.data });
      else say('an answer that nobody asked for', event, m.packetId);
    });
  }
  const answer = id => new Promise(done => answers.set(id, done));
  return { encoder, answer, sentReqs, end: () => socket.destroy() };
}

const asked = (service, methodName, args, more) => ({ serverSignature: `test.${service}:1.0`, methodName, args, timeout: 60000, ...more });

async function main() {
  say('who', await call('A', 'who', []), await call('B', 'who', []));
  for (const x of ['hello', 'größer 网商', 42, true, 1.5, ['a', 'b'], new Date(1700000000000)]) {
    say('echo', JSON.stringify(await call('A', 'echo', [x])));
  }
  const order = { $class: 'com.test.Order', $: { id: 7, items: ['tea', 'cups'], total: 12.5 } };
  say('object', JSON.stringify(await call('A', 'echo', [order])));
  const big = 'x'.repeat(300000);
  say('big', (await call('B', 'echo', [big])) === big);
  say('business error', await outcome(call('A', 'fail', ['no money'])));
  say('no method', await outcome(call('A', 'noSuch', [])));
  say('slow', await call('A', 'slow', [400, 'done']));

  const f = await frames();
  // Failures on the way: the protocol's own status.
  for (const [what, id, req] of [
    ['nobody serves it', 1, asked('Nowhere', 'who', [])],
    ['host is gone', 2, asked('Gone', 'who', [])],
    ['too slow', 3, asked('A', 'slow', [6000, 'late'], { timeout: 300 })],
    ['after all that', 4, asked('A', 'who', [])],
  ]) {
    const start = Date.now();
    f.encoder.writeRequest(id, req);
    const got = await f.answer(id);
    const took = Date.now() - start;
    // Not as late as that host, and long before the call's own time is over.
    const quick = what === 'too slow' ? took >= 250 && took < 5500 : took < 15000;
    say(what, got.status, got.status === 0 ? got.data.appResponse : got.data.error instanceof Error, quick);
  }
  f.encoder.writeHeartbeat(77, { clientUrl: 'me' });
  say('heartbeat', (await f.answer(77)).event);
  // One-way: none is answered, though that server answers them.
  const before = await call('B', 'notes', []);
  for (let id = 100; id < 150; id++) f.encoder.writeRequest(id, asked('B', 'note', ['x'], { oneway: true }));
  f.encoder.writeRequest(5, asked('B', 'who', []));
  say('behind them', (await f.answer(5)).data.appResponse);
  say('one-way', await until(n => n === before + 50, () => call('B', 'notes', [])));
  // Protobuf, with the fields that it has in the header.
  f.encoder.codecType = 'protobuf';
  for (const [id, size] of [[6, 3], [7, 200000]]) {
    const req = { ...asked('Greet', 'greet', [{ name: 'Ann', blob: Buffer.alloc(size) }]), serverSignature: 'test.Greet:1.0', requestProps: { trace: 'abc' } };
    f.sentReqs.set(id, { req });
    f.encoder.writeRequest(id, req);
    say('protobuf', JSON.stringify((await f.answer(id)).data.appResponse));
  }
  f.end();

  say('asked whether it is alive', await until(n => n > 0, () => call('A', 'beats', [])));

  // Many calls, slow and fast ones, to two servers.
  let next = 0, right = 0;
  await Promise.all(Array.from({ length: 300 }, async () => {
    while (next < 10000) {
      const i = next++;
      const to = i % 3 ? 'A' : 'B';
      const got = await (i % 10 ? call(to, 'echo', [i]) : call(to, 'slow', [20, i]));
      if (got === i) right++;
    }
  }));
  say('many', right);

  // The connection to one server breaks off: what is under way there fails, at
  // once; the other does not notice.
  await until(n => n === 0, () => call('A', 'waiting', []));
  const others = Promise.all(Array.from({ length: 20 }, (_, i) => call('B', 'slow', [1000, i])));
  const lost = Promise.all(Array.from({ length: 20 }, (_, i) => outcome(call('A', 'slow', [8000, i]))));
  await until(n => n === 20, () => call('A', 'waiting', []));
  const start = Date.now();
  const hungUp = outcome(call('A', 'hangUp', []));
  const failed = (await lost).filter(text => String(text).startsWith('error')).length;
  say('broken off', failed, Date.now() - start < 7000, String(await hungUp).startsWith('error'));
  say('the others', (await others).every((x, i) => x === i));
  say('afterwards', await call('A', 'who', []));
}

main().then(() => process.exit(0), err => {
  console.log('failed', err);
  process.exit(1);
});
