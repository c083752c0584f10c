// Node's HTTP/2 client against the address in argv[2]; argv[3] is a file with
// the authority's certificate, for https. Prints one line for each exchange.
import http2 from 'node:http2';
import { readFileSync } from 'node:fs';
import { createHash } from 'node:crypto';

const [, , url, ca] = process.argv;
const options = ca ? { ca: readFileSync(ca), servername: 'pay.example' } : {};
const session = http2.connect(url, options);
session.on('error', (e) => console.log('session error', e.code));

// ask sends one request; body(stream) writes what is to be written.
function ask(headers, body, onData) {
  return new Promise((resolve) => {
    const stream = session.request({ ':authority': 'pay.example', ...headers }, { endStream: !body, waitForTrailers: Boolean(body?.trailers) });
    const got = { status: 0, bytes: 0, sum: createHash('md5'), trailers: {}, text: '' };
    stream.on('response', (h) => { got.status = h[':status']; got.headers = h; });
    stream.on('trailers', (h) => { got.trailers = { ...h }; });
    stream.on('data', (d) => {
      got.bytes += d.length;
      got.sum.update(d);
      if (got.text.length < 100) got.text += d.toString('latin1');
      onData?.(d, stream);
    });
    stream.on('error', (e) => { got.error = e.code; });
    const over = () => { got.code = stream.rstCode; got.sum = got.sum.digest('hex'); resolve(got); };
    stream.on('close', over);
    // Node forgets the close of a stream that was answered, and reset with
    // NO_ERROR, while its body was being sent (with any server).
    stream.on('end', () => { if (got.status >= 500) { stream.off('close', over); over(); } });
    if (body?.trailers) stream.on('wantTrailers', () => stream.sendTrailers(body.trailers));
    body?.write(stream);
  });
}

const piece = (n, i) => Buffer.alloc(n, i % 251);

for (const to of ['h1', 'h2']) {
  let r = await ask({ ':path': `/${to}/doc` });
  console.log(to, 'GET', r.status, r.bytes, r.headers['content-length'], r.headers['x-proto']);

  r = await ask({ ':path': `/${to}/doc`, ':method': 'HEAD' });
  console.log(to, 'HEAD', r.status, r.bytes, r.headers['content-length']);

  r = await ask({ ':path': `/${to}/204` });
  console.log(to, '204', r.status, r.bytes, r.code);

  // A body that comes in pieces, each waited for where the stream is full.
  const want = createHash('md5');
  for (let i = 0; i < 200; i++) want.update(piece(10007, i));
  r = await ask({ ':path': `/${to}/echo`, ':method': 'POST' }, {
    async write(stream) {
      for (let i = 0; i < 200; i++) {
        if (!stream.write(piece(10007, i))) await new Promise((drained) => stream.once('drain', drained));
      }
      stream.end();
    },
  });
  console.log(to, 'POST', r.status, r.bytes, r.sum === want.digest('hex'));

  r = await ask({ ':path': `/${to}/trailer`, ':method': 'POST', trailer: 'x-sum' },
    { trailers: { 'x-sum': 'abc' }, write(stream) { stream.end('hello'); } });
  console.log(to, 'trailers', r.status, r.text, r.trailers['x-end'], r.trailers['x-count']);

  // Each piece comes back before the next is sent.
  let turns = 0;
  r = await ask({ ':path': `/${to}/echo`, ':method': 'POST' }, { write(stream) { stream.write('ping 0'); } }, (d, stream) => {
    if (d.toString() !== `ping ${turns}`) console.log('got', d.toString());
    if (++turns < 10) stream.write(`ping ${turns}`); else stream.end();
  });
  console.log(to, 'turns', r.status, turns, r.bytes);

  // Taken back in the middle.
  r = await ask({ ':path': `/${to}/stay` }, null, (d, stream) => stream.close(http2.constants.NGHTTP2_CANCEL));
  console.log(to, 'cancel', r.status, r.text.trim(), r.code);

  // The host breaks off.
  r = await ask({ ':path': `/${to}/abort` });
  console.log(to, 'abort', r.code !== 0, r.error);

  // Many at a time, of all sorts.
  const all = await Promise.all(Array.from({ length: 60 }, (_, i) => (i % 3 === 0
    ? ask({ ':path': `/${to}/doc` })
    : ask({ ':path': i % 3 === 1 ? `/${to}/echo` : `/gone/${i}`, ':method': 'POST' }, { write(stream) { stream.end(piece(50000, i)); } }))));
  const tally = {};
  for (const a of all) {
    const key = `${a.status}/${a.status === 200 ? a.bytes : 'error'}`;
    tally[key] = (tally[key] ?? 0) + 1;
  }
  console.log(to, 'many', Object.keys(tally).sort().map((k) => `${k} x${tally[k]}`).join(', '));
}

await new Promise((answered) => session.ping((err) => { console.log('ping', err === null); answered(); }));
session.destroy();
console.log('closed');
