import { type CatalogueEntry, reasonGroups, type ReasonsFor } from '../../core/error-catalogue.ts';

function table(entries: Readonly<Record<string, CatalogueEntry>>): string {
  const rows = Object.entries(entries).map(([reason, { code, retryable, summary }]) => `| \`${reason}\` | ${code} | ${retryable ? 'yes' : 'no'} | ${summary} |`);
  return `| reason | code | retry | what it means |\n|---|---|---|---|\n${rows.join('\n')}\n`;
}

function groupsOf(whom: ReasonsFor): string {
  return reasonGroups
    .filter((group) => group.of === whom)
    .map(({ title, entries }) => `### ${title}\n\n${table(entries)}`)
    .join('\n');
}

/** docs/errors.md as the catalogue makes it. */
export function errorsPage(): string {
  return `# Errors

Every failure is one canonical gRPC status with a \`google.rpc.ErrorInfo\` (domain \`switchyard.dev\`, a reason of these tables, facts in its metadata) in \`grpc-status-details-bin\`, and a \`google.rpc.RetryInfo\` where retrying helps. Over HTTP it is a problem with the same reason, [and a status](http.md#errors). Decide by the reason, never by the message.

"Retry" says whether repeating the same call can help and cannot do harm: where it says yes, nothing was written. \`OUTCOME_UNKNOWN\` says no, for one who repeats such a write without a request id may do it twice. Where the call had a [request id](retries.md), repeating it with the same id is safe, and the answer has a \`RetryInfo\`.

A gRPC status without an \`ErrorInfo\` does not come from Switchyard but from a library or a proxy on the way. \`UNAVAILABLE\` without one means that the connection broke: a write may or may not have been done.

This page is made from \`core/error-catalogue.ts\` by \`npm run build:docs\`; a test holds them together.

## For callers of the data API

${groupsOf('callers')}
${groupsOf('clients')}
Only [the typed client](client.md) and the \`switchyard\` command make these: no process answers with them.

## For operators

Control and the \`switchyard\` command answer with these. The data API does only where rules or keyspaces are wrong, with \`RULES_INVALID\`, \`KEYSPACE_UNKNOWN\` or \`KEYSPACE_INVALID\`: tell whoever runs Switchyard.

${groupsOf('operators')}`;
}
