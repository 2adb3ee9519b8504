// A bare node:http server that answers the two calls of the bench at once with JSON like the gateway's: the floor under every JSON door on this stack. Prints its port.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';

const filler = ' '.repeat(84);
let hid = 0;

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let status = 200;
  let body: object;
  if (request.method === 'GET') body = { aid: Number(request.url?.split('/').at(-1)), bid: 1, abalance: 0, filler };
  else {
    JSON.parse(await text(request));
    hid += 1;
    status = 201;
    body = { hid: String(hid) };
  }
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': bytes.length });
  response.end(bytes);
}

const server = createServer((request, response) => {
  answer(request, response).catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.send?.({ port: typeof address === 'object' ? address?.port : 0 });
});
process.on('disconnect', () => process.exit(0));
