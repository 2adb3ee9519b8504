import { expect, test } from '@jest/globals';
import { createTableParts, leadingColumns, plainKey } from './create-table.ts';

test('a statement is taken apart whatever stands in names, texts and comments', () => {
  const elements = [
    "`a,) (` varchar(3) DEFAULT ',) ('' \\' ``' COMMENT 'CONSTRAINT `x` FOREIGN KEY (`y`) REFERENCES `z` (`y`)'",
    '`b` decimal(10,2) GENERATED ALWAYS AS (round(`c` * (2 + 1),2)) VIRTUAL',
    "CONSTRAINT `FOREIGN KEY (``)` CHECK (`b` <> ')' and `c` in (1,2))",
    'PRIMARY KEY (`a,) (`)',
  ];
  const keys = ['CONSTRAINT `k``1` FOREIGN KEY (`a,) (`, `b`) REFERENCES `t``2` (`x`, `y`) ON DELETE CASCADE', 'CONSTRAINT `far` FOREIGN KEY (`b`) REFERENCES `db`.`t` (`x`)'];
  const options = "ENGINE=InnoDB AUTO_INCREMENT=12 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin DATA DIRECTORY='/a b/' COMMENT='AUTO_INCREMENT=3 (x)'";
  const parts = createTableParts(`CREATE TABLE \`(t),\` (\n  ${[...elements, ...keys].join(',\n  ')}\n) ${options}`);
  expect(parts).toEqual({
    elements,
    foreignKeys: [
      { name: 'k`1', references: 't`2', text: keys[0] },
      { name: 'far', references: null, text: keys[1] },
    ],
    options: "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin COMMENT='AUTO_INCREMENT=3 (x)'",
  });
});

test('a key that refuses no row is told from every other element, and from what stands in texts', () => {
  expect(plainKey("KEY `by``x` (`a,) (`,`b`(3) DESC) COMMENT 'UNIQUE'")).toEqual({ name: 'by`x', first: 'a,) (' });
  for (const element of ['PRIMARY KEY (`a`)', 'UNIQUE KEY `k` (`a`)', 'FULLTEXT KEY `k` (`a`)', "`KEY` int COMMENT 'KEY `k` (`a`)'", 'CONSTRAINT `KEY` CHECK (`a` > 0)'])
    expect(plainKey(element)).toBeNull();
});

test('a foreign key tells the columns that it begins with', () => {
  expect(leadingColumns({ text: 'CONSTRAINT `k` FOREIGN KEY (`a``,) (`, `b`) REFERENCES `t` (`x`, `y`) ON DELETE CASCADE' })).toEqual({ from: 'a`,) (', to: 'x' });
  expect(leadingColumns({ text: 'CONSTRAINT `k` FOREIGN KEY (`a`) REFERENCES `db`.`t` (`x`)' })).toEqual({ from: 'a', to: '' });
});
