'use strict';

// A program for Layotto, with Layotto's own client as its users install it. Nothing
// in it is for this runtime.

const path = require('node:path');
const { Client, Server } = require(path.join(process.env.OTTAVO_NODE_MODULES ?? '', 'layotto'));

const [port = '34904', callbackPort = '9999'] = process.argv.slice(2);
const client = new Client(port, '127.0.0.1', { logger: { info() {}, warn: console.warn, error: console.error } });

async function main() {
  console.log('hello:', await client.hello.sayHello({ name: 'js' }));

  const storeName = 'state_demo';
  const value = 'hello, layotto';
  await client.state.save({ storeName, states: { key: 'js-1', value } });
  await client.state.save({ storeName, states: [{ key: 'js-2', value: 'two' }, { key: 'js-3', value: 'three' }] });
  console.log('state:', Buffer.from((await client.state.get({ storeName, key: 'js-1' })).value).toString());
  console.log('state in bulk:', (await client.state.getBulk({ storeName, keys: ['js-1', 'js-2', 'js-3', 'nothing'] })).length);
  await client.state.executeTransaction({
    storeName,
    operations: [{ operationType: 'upsert', request: { key: 'js-4', value: 'four' } }, { operationType: 'delete', request: { key: 'js-2' } }],
  });
  console.log('state after a transaction:', await client.state.get({ storeName, key: 'js-2' }));
  await client.state.delete({ storeName, key: 'js-1' });
  await client.state.deleteBulk({ storeName, states: [{ key: 'js-3' }, { key: 'js-4' }] });
  console.log('state after delete:', await client.state.get({ storeName, key: 'js-1' }), await client.state.get({ storeName, key: 'js-4' }));

  const lock = { storeName: 'lock_demo', resourceId: 'js', lockOwner: client.lock.uuid(), expire: 10 };
  console.log('lock:', await client.lock.tryLock(lock), await client.lock.tryLock({ ...lock, lockOwner: 'another' }));
  console.log('unlock:', (await client.lock.unLock(lock)).status);

  const next = async () => BigInt(await client.sequencer.getNextId({ storeName: 'sequencer_demo', key: 'js', options: { increment: 1 } }));
  const first = await next();
  console.log('sequencer grows:', (await next()) > first);

  const config = { storeName: 'config_demo', appId: 'app1' };
  await client.configuration.save({ ...config, items: [{ key: 'js-greeting', content: 'hello', group: '', label: '', tags: {}, metadata: {} }] });
  console.log('configuration:', (await client.configuration.get({ ...config, keys: ['js-greeting'] })).map((item) => item.content));
  const changed = new Promise((resolve, reject) => {
    const call = client.configuration.subscribe({
      ...config, keys: ['js-greeting'],
      onData(items) {
        for (const item of items) {
          if (item.content !== 'changed') continue;
          call.close?.();
          resolve(item.content);
        }
      },
      onClose(error) {
        if (error) reject(error);
      },
    });
  });
  await client.configuration.save({ ...config, items: [{ key: 'js-greeting', content: 'changed' }] });
  console.log('configuration change:', await changed);
  await client.configuration.delete({ ...config, keys: ['js-greeting'] });
  console.log('configuration after delete:', await client.configuration.get({ ...config, keys: ['js-greeting'] }));

  const { Readable } = require('node:stream');
  const file = { storeName: 'file_demo', name: 'js.txt' };
  await client.file.put({ ...file, stream: Readable.from([Buffer.from('buy '), Buffer.from('apples')]) });
  const list = async () => (await client.file.list({ storeName: 'file_demo', name: '' })).names;
  while (!(await list()).includes('js.txt')); // the client's put does not wait for the answer
  let text = '';
  for await (const chunk of await client.file.get(file)) text += Buffer.from(chunk);
  console.log('file:', text);
  await client.file.delete(file);

  const answer = await client.invoker.invoke({ id: 'HelloService:1.0', method: '/hello', httpVerb: 3, data: { name: 'js' } });
  console.log('invoke:', answer.content);

  const server = new Server(callbackPort, undefined, { logger: { info() {}, warn: console.warn, error: console.error } });
  const received = new Promise((resolve) => {
    server.pubsub.addPubSubSubscription('pub_subs_demo', 'js');
    server.pubsub.subscribe('pub_subs_demo', 'js', async (data) => resolve(data));
  });
  await server.start();
  // The runtime looks for the application from time to time.
  const timer = setInterval(() => {
    client.pubsub.publish({ pubsubName: 'pub_subs_demo', topic: 'js', data: { apples: 3 } }).catch(console.error);
  }, 100);
  console.log('event:', await received);
  clearInterval(timer);
  process.exit(0); // this version of the client has connections that it does not close
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
