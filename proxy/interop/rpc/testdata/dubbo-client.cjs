// Calls of dubbo2.js and of dubbo-remoting with sofa-rpc-node, whose outcomes
// are printed: node dubbo-client.cjs ADDRESS. Calls have texts only: many integers
// at a time end the server's connection even without anything in between.
'use strict';

const java = require('js-to-java');
const { DirectlyDubbo } = require('dubbo2.js');
const protocol = require('dubbo-remoting');
const { client: { RpcClient } } = require('sofa-rpc-node');

const [address] = process.argv.slice(2);
const say = (...words) => console.log(...words);

async function outcome(call) {
  try {
    return await call;
  } catch (err) {
    return `error: ${err.message}`;
  }
}

// many runs 10,000 calls, 200 at a time, and returns how many were right.
async function many(echo) {
  let next = 0, right = 0;
  await Promise.all(Array.from({ length: 200 }, async () => {
    while (next < 10000) {
      const i = next++;
      if (await echo(i) === i) right++;
    }
  }));
  return right;
}

async function main() {
  const logger = { info() {}, warn() {}, error() {}, debug() {} };
  const client = new RpcClient({ logger, protocol });
  client.on('error', () => {});
  const consumer = name => client.createConsumer({ interfaceName: name, version: '1.0', serverHost: `dubbo://${address}`, responseTimeout: 60000 });
  const demo = consumer('test.Demo');
  await demo.ready();
  say('echo', await demo.invoke('echo', [{ $class: 'java.lang.String', $: 'größer' }]));
  say('slow', await demo.invoke('slow', [{ $class: 'int', $: 100 }, { $class: 'java.lang.String', $: 'done' }]));
  say('business error', await outcome(demo.invoke('fail', [{ $class: 'java.lang.String', $: 'no money' }])));
  const start = Date.now();
  say('nobody serves it', await outcome(consumer('test.Nowhere').invoke('echo', [])));
  say('at once', Date.now() - start < 15000);
  say('many', await many(async i => Number(await demo.invoke('echo', [{ $class: 'java.lang.String', $: String(i) }]))));

  const direct = DirectlyDubbo.from({ dubboAddress: address, dubboVersion: '2.0.0', dubboInvokeTimeout: 60 });
  const proxied = direct.proxyService({
    dubboInterface: 'test.Demo', version: '1.0',
    methods: { echo: x => [java.String(x)] },
  });
  const { res, err } = await proxied.echo('hello');
  say('dubbo2.js', res, err ? err.message : 'well');
}

main().then(() => process.exit(0), err => {
  console.log('failed', err);
  process.exit(1);
});
