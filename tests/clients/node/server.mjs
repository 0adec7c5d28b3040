// The server under test, as each client of Node reaches it.
//
// The addresses and the token come from the environment, where the runner puts them; the contract
// lies in `proto` beside this file. It owns no expectation about the server.

import { randomUUID } from 'node:crypto';
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';

export const GRPC = process.env.VITALOG_GRPC;
export const HTTP = process.env.VITALOG_HTTP;
export const TOKEN = process.env.VITALOG_TOKEN;
export const [HOST, PORT] = [GRPC.slice(0, GRPC.lastIndexOf(':')), Number(GRPC.split(':').pop())];

const definition = loader.loadSync(
  ['event_service', 'query_service', 'health_service'].map((name) => `vitalog/v1/${name}.proto`),
  { includeDirs: [new URL('proto', import.meta.url).pathname], longs: String, oneofs: true },
);
const { v1 } = grpc.loadPackageDefinition(definition).vitalog;

/** The services of vitalog.v1; `close` them. */
export class Services {
  constructor(token = TOKEN) {
    this.metadata = new grpc.Metadata();
    if (token !== undefined) this.metadata.set('authorization', `Bearer ${token}`);
    const insecure = grpc.credentials.createInsecure();
    this.events = new v1.EventService(GRPC, insecure);
    this.queries = new v1.QueryService(GRPC, insecure);
    this.health = new v1.HealthService(GRPC, insecure);
  }

  close() {
    for (const client of [this.events, this.queries, this.health]) client.close();
  }

  /** A unary call. */
  call(client, method, request) {
    return new Promise((resolve, reject) => {
      client[method](request, this.metadata, { deadline: Date.now() + 60_000 }, (error, answer) =>
        error ? reject(error) : resolve(answer),
      );
    });
  }

  append(...events) {
    return this.call(this.events, 'Append', { events: { events } });
  }

  /** The bytes of an answer, an Arrow IPC stream, and its statistics. */
  async query(sql, parameters = [], more = {}) {
    const pieces = [];
    let statistics;
    for await (const answer of this.queries.Query({ sql, parameters, ...more }, this.metadata)) {
      if (answer.arrowIpc) pieces.push(answer.arrowIpc);
      if (answer.statistics) statistics = answer.statistics;
    }
    if (!statistics) throw new Error('the answer ended without statistics');
    return [Buffer.concat(pieces), statistics];
  }
}

export const newId = (prefix) => `${prefix}-${randomUUID()}`;

/** A time as a protobuf timestamp, from text with microseconds. */
export function timestamp(text) {
  const [whole, fraction = ''] = text.replace('Z', '').split('.');
  const seconds = Date.parse(`${whole}Z`) / 1000;
  return { seconds: String(seconds), nanos: Number(fraction.padEnd(9, '0')) };
}
