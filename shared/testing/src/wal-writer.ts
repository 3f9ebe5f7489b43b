import type { Database } from "./broker-and-database.ts";
import { ask } from "./local/ask.ts";

/**
 * Until its next start, the server writes to disk only what a commit waits for: its process that writes the rest, within some hundred
 * milliseconds, stands still. So a test can tell for certain what a crash forgets.
 */
export async function stopWalWriter({ url }: Pick<Database, "url">): Promise<void> {
  const pid = await ask(url, "select pid from pg_stat_activity where backend_type = 'walwriter'");
  const signal = (name: string) => ask(url, `copy (select 1) to program 'cat > /dev/null; kill -${name} ${pid}'`);
  for (;;) {
    await signal("STOP");
    // stopped between two rounds: in the middle of one it would hold a lock that every commit needs
    const waits = await ask(url, `select wait_event from pg_stat_activity where pid = ${pid}`);
    if (waits === "WalWriterMain") return;
    await signal("CONT");
  }
}
