// The Flight SQL clients of Node: @firetiger-oss/flight-sql-client with a bearer token, and
// @lancedb/arrow-flight-sql-client with a name and a password, which here is the token.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { FlightSQLClient } from '@firetiger-oss/flight-sql-client';
import lance from '@lancedb/arrow-flight-sql-client';
import { GRPC, HOST, PORT, Services, TOKEN, newId, timestamp } from './server.mjs';
import { EVENT, EVENT_TIME, checkEvent, checkRefusals, checkTypes } from './types_table.mjs';

// The clients load apache-arrow with `require`, and its classes only know those of the same copy.
const { Table } = createRequire(import.meta.url)('apache-arrow');

let bearer;
let password;
let services;
before(async () => {
  bearer = new FlightSQLClient({ host: HOST, port: PORT, plaintext: true, token: TOKEN });
  password = await lance.Client.connect({
    host: GRPC,
    username: 'node',
    password: TOKEN,
    insecure: true,
  });
  services = new Services();
});
after(async () => {
  await bearer.close();
  services.close();
});

const clients = [
  ['with a bearer token', (sql) => bearer.execute(sql)],
  [
    'with a password',
    async (sql) => {
      const batches = await (await password.query(sql)).collectToArrow();
      return new Table(batches);
    },
  ],
];

for (const [name, ask] of clients) {
  test(`questions ${name}`, async () => {
    const table = await ask('SELECT value AS n, value * 2 AS twice FROM range(3) ORDER BY n');
    assert.deepEqual(
      table.toArray().map((row) => row.toJSON()),
      [0n, 1n, 2n].map((n) => ({ n, twice: 2n * n })),
    );
  });

  test(`many batches ${name}`, async () => {
    const table = await ask("SELECT value AS n, repeat('y', 100) AS y FROM range(100000)");
    assert.equal(table.numRows, 100_000);
  });

  test(`every type ${name}`, () => checkTypes(ask));

  test(`refusals ${name}`, () => checkRefusals(ask));

  test(`every column of events ${name}`, async () => {
    const eventId = newId('columns');
    await services.append({ ...EVENT, eventId, eventTime: timestamp(EVENT_TIME) });
    checkEvent(await ask(`SELECT * FROM events WHERE event_id = '${eventId}'`), eventId);
  });
}

test('the tables are listed', async () => {
  const tables = await bearer.getTables();
  const names = tables.map(({ tableName }) => tableName);
  for (const name of ['events', 'accounts', 'users']) assert.ok(names.includes(name), name);
  const some = await bearer.getTables(undefined, 'public', 'acc%');
  assert.deepEqual(some.map(({ tableName }) => tableName), ['accounts']);
});

test('a wrong token is refused', async () => {
  const nobody = new FlightSQLClient({ host: HOST, port: PORT, plaintext: true, token: 'wrong' });
  await assert.rejects(nobody.execute('SELECT 1'), ({ originalError }) => {
    assert.match(String(originalError), /Authentication failed/);
    return true;
  });
  await nobody.close();
  const wrong = { host: GRPC, username: 'node', password: 'wrong', insecure: true };
  await assert.rejects(lance.Client.connect(wrong), /UNAUTHENTICATED/);
});
