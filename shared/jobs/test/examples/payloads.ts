import { z } from "zod";
import {
  type Client,
  createKeyRing,
  createPayloadStore,
  defineJob,
  handle,
  type Payloads,
  upcastFrom,
} from "../../src/index.ts";

/** In a service: `openPayloads(config)`, from WARREN_PAYLOAD_KEYS and WARREN_PAYLOAD_STORE. */
export function payloadsIn(directory: string, key: Uint8Array): Payloads {
  return {
    keyRing: createKeyRing({ current: "2026-11", keys: { "2026-11": key } }),
    store: createPayloadStore({ kind: "file", directory }),
  };
}

const statementV1 = z.object({ customer: z.string(), lines: z.string() });

export const statement = defineJob({
  name: "statements.render",
  version: 2,
  payload: z.object({ customerId: z.string(), lines: z.array(z.string()) }),
  result: z.object({ pages: z.number() }),
  // jobs that were enqueued before the last deploy
  upcast: {
    1: upcastFrom(statementV1, ({ customer, lines }) => ({ customerId: customer, lines: lines.split("\n") })),
  },
  // bank statements: nobody who reads the database or the bucket shall read them
  encrypt: true,
  // small ones stay in their rows, large ones go to the store
  maxPayloadBytes: 20_000_000,
  offloadAboveBytes: 65_536,
  // and support can still find a customer's jobs
  search: ["customerId"],
});

export const renderStatement = handle(statement, ({ payload }) => ({ pages: Math.ceil(payload.lines.length / 50) }));

export async function enqueueStatement(client: Client, customerId: string, lines: readonly string[]): Promise<string> {
  const { id } = await client.enqueue(statement, { customerId, lines: [...lines] });
  return id;
}
