// @grpc/grpc-js on vitalog.v1, with @grpc/proto-loader reading the contract: append, the stream of
// a writer, questions, scores and the tail of the log.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import grpc from '@grpc/grpc-js';
import { tableFromIPC } from 'apache-arrow';
import { Services, newId, timestamp } from './server.mjs';
import { EVENT, EVENT_TIME, checkEvent, checkRefusals, checkTypes } from './types_table.mjs';

let services;
before(() => {
  services = new Services();
});
after(() => services.close());

const ask = async (sql, parameters, more) =>
  tableFromIPC((await services.query(sql, parameters, more))[0]);

const events = (prefix, count) =>
  Array.from({ length: count }, (_, number) => ({
    eventId: `${prefix}-${number}`,
    event: 'login',
    accountId: 'acme',
    eventTime: timestamp(`2025-03-02T00:00:00.${String(number).padStart(6, '0')}Z`),
  }));

test('a retry adds nothing', async () => {
  const batch = events(newId('node'), 100);
  const first = await services.append(...batch);
  assert.equal(first.accepted, '100');
  const again = await services.append(...batch);
  assert.equal(again.duplicates, '100');
});

test('every column of events', async () => {
  const eventId = newId('columns');
  await services.append({ ...EVENT, eventId, eventTime: timestamp(EVENT_TIME) });
  const table = await ask('SELECT * FROM events WHERE event_id = $1', [{ stringValue: eventId }]);
  checkEvent(table, eventId);
});

test('every type', () => checkTypes(ask));

test('refusals', () => checkRefusals(ask));

test('parameters', async () => {
  const table = await ask('SELECT $1 + 1 AS n, $2 AS t, $3 IS NULL AS nothing', [
    { integerValue: '9007199254740993' },
    { stringValue: "it's" },
    { nullValue: 'NULL_VALUE' },
  ]);
  assert.deepEqual(table.get(0).toJSON(), { n: 9007199254740994n, t: "it's", nothing: true });
});

test('a call without a token is refused', async () => {
  const nobody = new Services(undefined);
  nobody.metadata = new grpc.Metadata();
  await assert.rejects(nobody.query('SELECT 1'), { code: grpc.status.UNAUTHENTICATED });
  nobody.close();
});

test('a cancelled call ends', async () => {
  const sql = 'SELECT count(*) FROM range(2000000) a JOIN range(2000000) b ON a.value % 7 < b.value % 5';
  const call = services.queries.Query({ sql }, services.metadata);
  setTimeout(() => call.cancel(), 300);
  await assert.rejects(
    async () => {
      for await (const answer of call) assert.ok(answer);
    },
    { code: grpc.status.CANCELLED },
  );
});

test('the tail follows', async () => {
  const batch = events(newId('tail'), 5);
  const { lastSeq } = await services.append(batch[0]);
  const request = { fromSeq: lastSeq, follow: true, limit: '5' };
  const found = [];
  for await (const answer of services.events.Read(request, services.metadata)) {
    found.push(...answer.events.map(({ event }) => event.eventId));
    if (found.length > 0 && found.length < 5) await services.append(batch[found.length]);
  }
  assert.deepEqual(found, batch.map(({ eventId }) => eventId));
});

test('scores', async () => {
  const account = newId('scored');
  const now = { seconds: String(Math.floor(Date.now() / 1000)), nanos: 0 };
  await services.append({ eventId: account, event: 'login', accountId: account, eventTime: now });
  const answer = await services.call(services.health, 'GetScores', {
    accountIds: [account],
    maxStaleness: { seconds: '0', nanos: 0 },
  });
  assert.deepEqual(answer.scores.map(({ accountId }) => accountId), [account]);
});

test('the stream of a writer is acknowledged in order', async (context) => {
  const writerId = newId('writer');
  const batch = events(writerId, 30);
  const stream = services.events.AppendStream(services.metadata);
  context.after(() => stream.cancel()); // one that stays open would keep the process
  const answers = stream[Symbol.asyncIterator]();
  const next = async () => (await answers.next()).value;
  stream.write({ open: { writerId } });
  const { opened } = await next();
  assert.equal(opened.lastNumber ?? '0', '0'); // zeros are not sent
  for (const number of [1, 2, 3]) {
    const part = { events: { events: batch.slice(10 * number - 10, 10 * number) } };
    stream.write({ batch: { number: String(number), append: part } });
  }
  for (const number of ['1', '2', '3']) {
    const { ack } = await next();
    assert.equal(ack.number, number);
    assert.equal(ack.appended.accepted, '10');
  }
  stream.end();
  assert.equal((await answers.next()).done, true);
  const state = await services.call(services.events, 'GetWriterState', { writerId });
  assert.equal(state.lastNumber, '3');
});
