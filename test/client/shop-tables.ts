/** Tables of a shop, as a generated module has them. */
export const tables = {
  orders: {
    name: 'orders',
    columns: {
      id: { kind: 'int64', hasDefault: true },
      customer: { kind: 'text' },
      total: { kind: 'decimal' },
      parts: { kind: 'int32', hasDefault: true },
      note: { kind: 'text', nullable: true },
      placed_at: { kind: 'timestamptz', hasDefault: true },
      tags: { kind: 'array', element: 'text', nullable: true },
      label: { kind: 'text', generated: true, nullable: true },
    },
    primaryKey: ['id'],
  },
  lines: {
    name: 'lines',
    columns: { order_id: { kind: 'int64' }, line: { kind: 'int32' }, quantity: { kind: 'int32', hasDefault: true } },
    primaryKey: ['order_id', 'line'],
  },
} as const;
