// What SQL makes of each type, and what apache-arrow must hold of it in Node.

import assert from 'node:assert/strict';

/** A decimal's digits without its point, from the words in which apache-arrow keeps it. */
export function unscaled(words) {
  const whole = [...words].reduceRight((sum, word) => (sum << 32n) | BigInt(word >>> 0), 0n);
  return BigInt.asIntN(32 * words.length, whole);
}

/** A value with what is inside it as plain arrays and objects. */
export function plain(value, type) {
  if (value === null || value === undefined) return null;
  if (String(type).startsWith('Decimal')) return unscaled(value);
  if (value instanceof Uint8Array || value instanceof Int32Array) return [...value];
  if (type?.children && typeof value[Symbol.iterator] === 'function' && String(type).startsWith('List'))
    return [...value].map((part) => plain(part, type.children[0].type));
  if (String(type).startsWith('Map')) return Object.fromEntries(value);
  if (String(type).startsWith('Struct'))
    return Object.fromEntries(type.children.map(({ name, type }) => [name, plain(value[name], type)]));
  return value;
}

const TEXT = 'é ∀ 🦀';

/** A name, an expression, Arrow's type at the border, the value. */
export const TYPES = [
  ['boolean', 'true', 'Bool', true],
  ['int8', "arrow_cast(-128, 'Int8')", 'Int8', -128],
  ['int16', "arrow_cast(-32768, 'Int16')", 'Int16', -32768],
  ['int32', 'CAST(-2147483648 AS INT)', 'Int32', -2147483648],
  ['int64', '9223372036854775807', 'Int64', 9223372036854775807n],
  ['uint8', "arrow_cast(255, 'UInt8')", 'Int16', 255],
  ['uint16', "arrow_cast(65535, 'UInt16')", 'Int32', 65535],
  ['uint32', "arrow_cast(4294967295, 'UInt32')", 'Int64', 4294967295n],
  ['uint64', "arrow_cast(7, 'UInt64')", 'Int64', 7n],
  ['float16', "arrow_cast(1.5, 'Float16')", 'Float32', 1.5],
  ['float32', 'CAST(0.5 AS REAL)', 'Float32', 0.5],
  ['float64', 'CAST(0.1 AS DOUBLE)', 'Float64', 0.1],
  ['nan', "CAST('NaN' AS DOUBLE)", 'Float64', NaN],
  ['infinity', "CAST('-Infinity' AS DOUBLE)", 'Float64', -Infinity],
  ['decimal', 'CAST(-12345.67 AS DECIMAL(12, 2))', 'Decimal[12e+2]', -1234567n],
  [
    'wide_decimal',
    "CAST('12345678901234567890123456789012345.678' AS DECIMAL(38, 3))",
    'Decimal[38e+3]',
    12345678901234567890123456789012345678n,
  ],
  [
    'decimal256',
    "arrow_cast('1234567890123456789012345678901234567890.5', 'Decimal256(50, 1)')",
    'Decimal[50e+1]',
    12345678901234567890123456789012345678905n,
  ],
  ['text', `'${TEXT}'`, 'Utf8', TEXT],
  ['empty_text', "''", 'Utf8', ''],
  ['large_text', "arrow_cast('a', 'LargeUtf8')", 'Utf8', 'a'],
  ['text_view', "arrow_cast('b', 'Utf8View')", 'Utf8', 'b'],
  ['dictionary', "arrow_cast('c', 'Dictionary(Int32, Utf8)')", 'Utf8', 'c'],
  ['long_text', "repeat('x', 3 * 1024 * 1024)", 'Utf8', 'x'.repeat(3 * 1024 * 1024)],
  ['binary', "arrow_cast(decode('00ff', 'hex'), 'Binary')", 'Binary', [0, 255]],
  ['date', "DATE '2024-02-29'", 'Date32<DAY>', Date.UTC(2024, 1, 29)],
  ['time', "arrow_cast('12:34:56.789012', 'Time64(Microsecond)')", 'Time64<MICROSECOND>', 45296789012n],
  [
    'timestamp',
    "TIMESTAMP '2025-03-01T09:30:00.123456789Z'",
    'Timestamp<MICROSECOND, UTC>',
    Date.UTC(2025, 2, 1, 9, 30, 0, 123) + 0.456,
  ],
  [
    'interval',
    "INTERVAL '14 months 3 days 4.5 seconds'",
    'Interval<MONTH_DAY_NANO>',
    [14, 3, Number(4500000000n & 0xffffffffn), 1],
  ],
  ['duration', "arrow_cast(90061000000, 'Duration(Microsecond)')", 'Duration<MICROSECOND>', 90061000000n],
  ['list', 'make_array(1, NULL, 3)', 'List<Int64>', [1n, null, 3n]],
  ['text_list', "make_array('a', '')", 'List<Utf8>', ['a', '']],
  ['empty_list', "arrow_cast(make_array(), 'List(Int64)')", 'List<Int64>', []],
  ['nested_list', 'make_array(make_array(1), make_array(2, 3))', 'List<List<Int64>>', [[1n], [2n, 3n]]],
  [
    'struct',
    "named_struct('a', 1, 'b', 'x', 'c', CAST(NULL AS DOUBLE))",
    'Struct<{a:Int64, b:Utf8, c:Float64}>',
    { a: 1n, b: 'x', c: null },
  ],
  [
    'structs',
    "make_array(named_struct('day', DATE '2025-01-01', 'n', 1))",
    'List<Struct<{day:Date32<DAY>, n:Int64}>>',
    [{ day: Date.UTC(2025, 0, 1), n: 1n }],
  ],
  ['map', "MAP {'a': 1, 'b': 2}", /^Map<\{.*Utf8, .*Int64\}>$/, { a: 1n, b: 2n }],
  ['null', 'NULL', 'Null', null],
  ['null_integer', 'CAST(NULL AS BIGINT)', 'Int64', null],
  ['null_double', 'CAST(NULL AS DOUBLE)', 'Float64', null],
  ['null_text', 'CAST(NULL AS TEXT)', 'Utf8', null],
  ['null_boolean', 'CAST(NULL AS BOOLEAN)', 'Bool', null],
  ['null_date', 'CAST(NULL AS DATE)', 'Date32<DAY>', null],
  ['null_timestamp', 'CAST(NULL AS TIMESTAMP)', 'Timestamp<MICROSECOND, UTC>', null],
  ['null_decimal', 'CAST(NULL AS DECIMAL(9, 4))', 'Decimal[9e+4]', null],
  ['null_list', "arrow_cast(NULL, 'List(Int64)')", 'List<Int64>', null],
  ['json', `'{"plan":{"n":1}}' -> 'plan'`, 'Utf8', '{"n":1}'],
];

/** Statements that are refused, and the reason that each client must show. */
export const REFUSALS = [
  ["SELECT repeat('x', 5 * 1024 * 1024) AS v", /4194304/],
  ["SELECT arrow_cast('18446744073709551615', 'UInt64') AS v", /Int64/],
  ['DROP TABLE events', /DROP/],
  ['SELECT acount_id FROM events', /account_id/],
];

/** Asks for every type alone with `ask`, which resolves to an Arrow table, and for all in one row. */
export async function checkTypes(ask) {
  for (const [name, sql, type, value] of TYPES) {
    checkColumn(name, await ask(`SELECT ${sql} AS v`), 'v', type, value);
  }
  const columns = TYPES.map(([name, sql]) => `${sql} AS "${name}"`);
  const together = await ask(`SELECT ${columns.join(', ')}`);
  assert.equal(together.numRows, 1);
  for (const [name, , type, value] of TYPES) checkColumn(name, together, name, type, value);
}

function checkColumn(name, table, column, wantedType, wanted) {
  const { type } = table.schema.fields.find((field) => field.name === column);
  if (wantedType instanceof RegExp) assert.match(String(type), wantedType, name);
  else assert.equal(String(type), wantedType, name);
  const found = plain(table.getChild(column).get(0), type);
  if (typeof wanted === 'string' && wanted.length > 1000) {
    assert.ok(found === wanted, `${name}: ${found?.length} characters, not ${wanted.length}`);
  } else {
    assert.deepEqual(found, wanted, name);
  }
}

export async function checkRefusals(ask) {
  for (const [sql, reason] of REFUSALS) {
    await assert.rejects(ask(sql), reason, sql);
  }
}

/** An event with every field, as gRPC takes it; what `checkEvent` finds. */
export const EVENT = {
  event: 'report_created',
  accountId: 'acmé',
  userId: 'ada',
  value: 12.5,
  properties: '{"big":9007199254740993,"plan":"pro"}',
};
export const EVENT_TIME = '2025-03-01T09:30:00.123456Z';
const EVENT_COLUMNS = {
  seq: 'Int64',
  event_id: 'Utf8',
  event_time: 'Timestamp<MICROSECOND, UTC>',
  received_at: 'Timestamp<MICROSECOND, UTC>',
  event: 'Utf8',
  account_id: 'Utf8',
  user_id: 'Utf8',
  value: 'Float64',
  properties: 'Utf8',
};

/** The one row of `table` is `EVENT` under `id`, in every column of `events`. */
export function checkEvent(table, id) {
  assert.equal(table.numRows, 1);
  const types = Object.fromEntries(table.schema.fields.map(({ name, type }) => [name, String(type)]));
  for (const [name, type] of Object.entries(EVENT_COLUMNS)) assert.equal(types[name], type, name);
  const row = table.get(0);
  assert.equal(row.event_id, id);
  assert.equal(row.event_time, Date.UTC(2025, 2, 1, 9, 30, 0, 123) + 0.456);
  assert.equal(row.event, EVENT.event);
  assert.equal(row.account_id, EVENT.accountId);
  assert.equal(row.user_id, EVENT.userId);
  assert.equal(row.value, EVENT.value);
  assert.equal(row.properties, EVENT.properties);
  assert.ok(row.seq > 0n);
  assert.ok(row.received_at > Date.UTC(2025, 0, 1));
}
