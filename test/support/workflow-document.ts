import { type WorkflowDocument, workflowDocumentSchema } from '../../core/workflow-document.ts';

/** A valid workflow document for tests. */
export function workflowDocument(name: string): WorkflowDocument {
  return workflowDocumentSchema.parse({
    nonce: 'first',
    name,
    source: 'old',
    target: 'new',
    tables: ['orders'],
    limits: {},
    state: 'created',
    createdAt: '2026-01-01T00:00:00.000Z',
    journal: [],
  });
}
