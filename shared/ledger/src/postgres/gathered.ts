import { type Connection, type PoolClient, Query } from "pg";
import type { Row } from "./database.ts";
import type { Statement } from "./sql.ts";

/** Code of the message that carries a statement's values. Source: https://www.postgresql.org/docs/current/protocol-message-formats.html */
const bindCode = 0x42;
/** What follows the last value in it: the one format code of all results. */
const resultFormatBytes = 4;
const nothing = Buffer.alloc(0);

/**
 * Runs a prepared statement whose last parameter is binary and lies in parts: they are written to the socket from where they are. As one
 * Buffer they would be copied twice and more on their way, into memory outside of the heap, and each few tens of megabytes of that make the
 * runtime look through its whole heap.
 */
export function runGathered(
  client: PoolClient,
  { name, text }: Statement,
  values: readonly unknown[],
  parts: readonly Buffer[],
): Promise<Row[]> {
  return new Promise((resolve, reject) => {
    const query = new Query<Row>({ name, text, values: [...values, nothing] }, (error, result) => {
      if (error) reject(error);
      else resolve(result.rows);
    });
    const submit = query.submit.bind(query);
    query.submit = (connection) => submit(gathering(connection, parts));
    client.query(query);
  });
}

/** The connection, but that it adds the parts to the empty last value of what it sends. */
function gathering(connection: Connection, parts: readonly Buffer[]): Connection {
  const { stream } = connection;
  const bytes = parts.reduce((sum, part) => sum + part.length, 0);
  const send = (message: Buffer): void => {
    if (!stream.writable) return;
    if (message[0] !== bindCode) {
      stream.write(message);
      return;
    }
    const end = message.length - resultFormatBytes;
    message.writeInt32BE(message.readInt32BE(1) + bytes, 1);
    message.writeInt32BE(bytes, end - 4);
    stream.write(message.subarray(0, end));
    for (const part of parts) stream.write(part);
    stream.write(message.subarray(end));
  };
  return Object.create(connection, { _send: { value: send } }) as Connection;
}
