// The direct driver in a process of its own, which stands where the gateway stands: it measures what it is asked for, and reads a whole table as a stream.
import pg from 'pg';
import QueryStream from 'pg-query-stream';
import { measure } from '../overhead/measure.ts';
import { type OperationName, pgSubject } from '../overhead/subjects.ts';

export type DirectRequest =
  | { readonly kind: 'open'; readonly url: string; readonly poolSize: number; readonly accounts: number }
  | { readonly kind: 'measure'; readonly operation: OperationName; readonly concurrency: number; readonly milliseconds: number }
  | { readonly kind: 'stream'; readonly url: string; readonly text: string };

let subject: ReturnType<typeof pgSubject> | null = null;

async function answer(request: DirectRequest): Promise<unknown> {
  switch (request.kind) {
    case 'open':
      subject = pgSubject(request.url, request.poolSize, request.accounts);
      return null;
    case 'measure':
      if (subject === null) throw new Error('not opened');
      return await measure(subject.operations[request.operation], request.concurrency, request.milliseconds);
    case 'stream': {
      const client = new pg.Client({ connectionString: request.url });
      await client.connect();
      try {
        let rows = 0;
        const begunMs = performance.now();
        for await (const _ of client.query(new QueryStream(request.text, [], { batchSize: 1_000 }))) rows += 1;
        return { rows, seconds: (performance.now() - begunMs) / 1_000 };
      } finally {
        await client.end();
      }
    }
  }
}

process.on('message', (request: DirectRequest) => {
  answer(request).then(
    (result) => process.send?.({ result }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
