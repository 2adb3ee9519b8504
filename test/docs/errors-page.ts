import { errorCatalogue } from '../../core/error-catalogue.ts';

/** docs/errors.md as the catalogue makes it. */
export function errorsPage(): string {
  const rows = Object.entries(errorCatalogue).map(([reason, { code, retryable, summary }]) => `| \`${reason}\` | ${code} | ${retryable ? 'yes' : 'no'} | ${summary} |`);
  return `# Errors

Every failure is one canonical gRPC status with a \`google.rpc.ErrorInfo\` (domain \`switchyard.dev\`, a reason of this table, facts in its metadata) in \`grpc-status-details-bin\`, and a \`google.rpc.RetryInfo\` where retrying helps. Decide by the reason, never by the message.

"Retry" says whether repeating the same call can help and cannot do harm. A write whose outcome is unknown is never reported as retryable.

This page is made from \`core/error-catalogue.ts\` by \`npm run build:docs\`; a test holds them together.

| reason | code | retry | what it means |
|---|---|---|---|
${rows.join('\n')}
`;
}
