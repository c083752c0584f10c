'use strict';

// What any gRPC client can do with the runtime, with the definitions of spec/proto
// and no code that was generated. README.md has the commands.

const path = require('node:path');
const modules = process.env.OTTAVO_NODE_MODULES ?? ''; // where the packages are, if not beside this file
const grpc = require(path.join(modules, '@grpc/grpc-js'));
const loader = require(path.join(modules, '@grpc/proto-loader'));

const root = path.join(__dirname, '../..');
const definition = loader.loadSync('spec/proto/runtime/v1/runtime.proto', {
  includeDirs: [root], // of the repository
  keepCase: true, // names as in the definition
  longs: String, // ids have 64 bits
  enums: String,
  defaults: true, // a field that is not there has its zero value
});
const { Runtime } = grpc.loadPackageDefinition(definition).spec.proto.runtime.v1;

const deadline = () => Date.now() + 10_000; // without one, a call may wait for ever

function promising(runtime) {
  return (method, request, metadata = new grpc.Metadata()) =>
    new Promise((resolve, reject) => {
      runtime[method](request, metadata, { deadline: deadline() }, (error, answer) => (error ? reject(error) : resolve(answer)));
    });
}

async function codeOf(promise) {
  try {
    await promise;
    return 'OK';
  } catch (error) {
    return grpc.status[error.code];
  }
}

async function state(call) {
  const save = (value, etag) =>
    call('SaveState', { store_name: 'state_demo', states: [{ key: 'node-1', value: Buffer.from(value), etag: etag && { value: etag } }] });
  await save('3 apples');
  const read = await call('GetState', { store_name: 'state_demo', key: 'node-1' });
  console.log('GetState:     ', read.data.toString());
  await save('4 apples', read.etag);
  console.log('SaveState:     with an old etag:', await codeOf(save('2 apples', read.etag)));
  await call('DeleteState', { store_name: 'state_demo', key: 'node-1' });
}

async function lock(call) {
  const tryLock = async (owner) =>
    (await call('TryLock', { store_name: 'lock_demo', resource_id: 'node', lock_owner: owner, expire: 10 })).success;
  console.log('TryLock:      ', await tryLock('worker-1'), await tryLock('worker-2'));
  const answer = await call('Unlock', { store_name: 'lock_demo', resource_id: 'node', lock_owner: 'worker-1' });
  console.log('Unlock:       ', answer.status);
}

async function sequencer(call) {
  const next = async () =>
    BigInt((await call('GetNextId', { store_name: 'sequencer_demo', key: 'node', options: { increment: 'STRONG' } })).next_id);
  const first = await next();
  console.log('GetNextId:     greater than the one before:', (await next()) > first);
}

// Publishes an event, and gets it over a stream.
function events(runtime, call) {
  return new Promise((resolve, reject) => {
    const stream = runtime.SubscribeTopicEvents({ deadline: deadline() });
    stream.on('error', reject);
    stream.on('end', resolve);
    stream.on('data', (message) => {
      if (message.initial_response) { // it stands
        call('PublishEvent', { pubsub_name: 'pub_subs_demo', topic: 'node', data: Buffer.from('3 apples') }).catch(reject);
        return;
      }
      const event = message.event_message;
      console.log('PublishEvent: ', event.topic, 'got', event.data.toString());
      stream.write({ event_processed: { id: event.id, status: { status: 'SUCCESS' } } });
      stream.end();
    });
    stream.write({ initial_request: { pubsub_name: 'pub_subs_demo', topic: 'node' } });
  });
}

async function file(runtime, call) {
  await new Promise((resolve, reject) => {
    const stream = runtime.PutFile({ deadline: deadline() }, (error) => (error ? reject(error) : resolve()));
    stream.write({ store_name: 'file_demo', name: 'node/notes.txt', data: Buffer.from('buy ') });
    stream.end({ data: Buffer.from('apples') });
  });
  let text = '';
  for await (const piece of runtime.GetFile({ store_name: 'file_demo', name: 'node/notes.txt' }, { deadline: deadline() })) {
    text += piece.data;
  }
  console.log('GetFile:      ', text);
  const request = { store_name: 'file_demo', name: 'node/notes.txt' };
  await call('DelFile', { request });
  console.log('GetFileMeta:  ', await codeOf(call('GetFileMeta', { request })));
}

async function invoke(call) {
  const metadata = new grpc.Metadata();
  metadata.set('x-token', 't-1'); // becomes a header of the HTTP request
  const answer = await call('InvokeService', {
    id: 'HelloService:1.0',
    message: {
      method: '/hello', content_type: 'application/json', data: { value: Buffer.from('{"name": "eva"}') }, http_extension: { verb: 'POST' },
    },
  }, metadata);
  console.log('InvokeService:', answer.data.value.toString(), `(${answer.content_type})`);
}

async function main() {
  const runtime = new Runtime(process.argv[2] ?? '127.0.0.1:34904', grpc.credentials.createInsecure());
  const call = promising(runtime);
  console.log('SayHello:     ', (await call('SayHello', { service_name: 'helloworld', name: 'eva' })).hello);
  await state(call);
  await lock(call);
  await sequencer(call);
  await events(runtime, call);
  await file(runtime, call);
  await invoke(call);
  runtime.close();
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
