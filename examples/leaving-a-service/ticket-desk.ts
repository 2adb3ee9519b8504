import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { DatabaseSync } from 'node:sqlite';

/*
 * An old service with a store of its own: tickets of a help desk, over HTTP and in its own words. It has never heard of whoever stands in front of it.
 * Usage: node examples/leaving-a-service/ticket-desk.ts PORT FILE
 *
 *   GET    /tickets?max=100&from=17   those behind number 17, in order
 *   GET    /tickets/17
 *   POST   /tickets                   {"title": "...", "minutes": 5, "fee": "12.50"}; "no" is given by the service, or by you
 *   PATCH  /tickets/17
 *   DELETE /tickets/17
 */
const [port = '8080', file = 'tickets.db'] = process.argv.slice(2);
const database = new DatabaseSync(file);
database.exec(`
  PRAGMA journal_mode = WAL;
  CREATE TABLE IF NOT EXISTS ticket (no INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL, minutes INTEGER NOT NULL DEFAULT 0, fee TEXT, closed_at TEXT)`);

const fields = ['title', 'minutes', 'fee', 'closed_at'] as const;
const mostRows = 200;

type Given = Readonly<Record<string, string | number | null>>;

function answer(response: ServerResponse, status: number, value?: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(value === undefined ? '' : JSON.stringify(value));
}

async function bodyOf(request: IncomingMessage): Promise<Given> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return JSON.parse(text || '{}') as Given;
}

const found = (no: number): unknown => database.prepare('SELECT * FROM ticket WHERE no = ?').get(no);

function list(parameters: URLSearchParams): unknown {
  const max = Math.min(mostRows, Number(parameters.get('max') ?? mostRows));
  return { tickets: database.prepare('SELECT * FROM ticket WHERE no > ? ORDER BY no LIMIT ?').all(Number(parameters.get('from') ?? 0), max) };
}

function open(given: Given): unknown {
  const { no = null, title = null, minutes = 0, fee = null, closed_at: closedAt = null } = given;
  const { lastInsertRowid } = database.prepare('INSERT INTO ticket (no, title, minutes, fee, closed_at) VALUES (?, ?, ?, ?, ?)').run(no, title, minutes, fee, closedAt);
  return found(Number(lastInsertRowid));
}

function change(no: number, given: Given): void {
  for (const field of fields) if (given[field] !== undefined) database.prepare(`UPDATE ticket SET ${field} = ? WHERE no = ?`).run(given[field], no);
}

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://desk');
  const [, collection, given] = pathname.split('/');
  if (collection !== 'tickets') return answer(response, 404);
  if (given === undefined) {
    if (request.method === 'GET') return answer(response, 200, list(searchParams));
    if (request.method === 'POST') return answer(response, 201, open(await bodyOf(request)));
    return answer(response, 405);
  }
  const no = Number(given);
  if (found(no) === undefined) return answer(response, 404);
  if (request.method === 'PATCH') change(no, await bodyOf(request));
  if (request.method !== 'DELETE') return answer(response, 200, found(no));
  database.prepare('DELETE FROM ticket WHERE no = ?').run(no);
  answer(response, 204);
}

createServer((request, response) => {
  handle(request, response).catch((error: unknown) => answer(response, (error as { readonly errcode?: unknown }).errcode === 1555 ? 409 : 422, { error: String(error) }));
}).listen(Number(port), '127.0.0.1', () => console.log(`the ticket desk listens on ${port}`));
