// Node's part of the test that what is acknowledged is seen by every client: one line of JSON in,
// `{"do": "append" | CLIENT, "id": ID}`, one line out, `{"n": ROWS}` or `{"error": TEXT}`.

import readline from 'node:readline';
import { FlightSQLClient } from '@firetiger-oss/flight-sql-client';
import lance from '@lancedb/arrow-flight-sql-client';
import { tableFromIPC } from 'apache-arrow';
import { GRPC, HOST, PORT, Services, TOKEN, timestamp } from './server.mjs';

const services = new Services();
const bearer = new FlightSQLClient({ host: HOST, port: PORT, plaintext: true, token: TOKEN });
const password = await lance.Client.connect({
  host: GRPC,
  username: 'node',
  password: TOKEN,
  insecure: true,
});
const sql = (id) => `SELECT count(*) AS n FROM events WHERE event_id = '${id}'`;

const actions = {
  append: async (id) => {
    const eventTime = timestamp('2025-03-03T12:00:00Z');
    const event = { eventId: id, event: 'login', accountId: 'acme', eventTime };
    return (await services.append(event)).accepted;
  },
  grpc: async (id) => tableFromIPC((await services.query(sql(id)))[0]).get(0).n,
  flight_bearer: async (id) => (await bearer.execute(sql(id))).get(0).n,
  flight_password: async (id) => (await (await password.query(sql(id))).collectToObjects())[0].n,
};

for await (const line of readline.createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  try {
    console.log(JSON.stringify({ n: Number(await actions[request.do](request.id)) }));
  } catch (error) {
    console.log(JSON.stringify({ error: String(error) }));
  }
}
process.exit(0);
