import {
  openPayloads,
  PayloadError,
  type Payloads,
  payloadSettings,
  rotatePayloads,
  rotateSealedTexts,
  sweepPayloads,
} from "@warren/jobs";
import { createSealedTexts } from "@warren/ledger";
import { type Environment, readConfig } from "@warren/service";
import { connectLedger } from "./connect.ts";
import { type ExitCode, exitCodes } from "./exit.ts";
import { type Output, printJson, say } from "./output.ts";

export interface PayloadsCommand {
  readonly environment: Environment;
  readonly output: Output;
}

function payloadsOf(environment: Environment): Payloads {
  const [settings] = readConfig([payloadSettings], environment);
  return openPayloads(settings);
}

/** Encrypts the payloads of unfinished jobs, and the secrets of sources and endpoints, under the current key; `failed` when some could not be opened. */
export async function payloadsRotate({ environment, output }: PayloadsCommand): Promise<ExitCode> {
  const { keyRing, store } = payloadsOf(environment);
  if (keyRing === undefined) throw new PayloadError("PAYLOAD_KEY_RING_MISSING", "WARREN_PAYLOAD_KEYS is not set");
  await using ledger = await connectLedger(environment);
  const payloads = await rotatePayloads({ ledger, payloads: { keyRing, store } });
  const secrets = await rotateSealedTexts(createSealedTexts(ledger), keyRing);
  const done = {
    rotated: payloads.rotated + secrets.rotated,
    current: payloads.current + secrets.current,
    busy: payloads.busy + secrets.busy,
    failed: [...payloads.failed, ...secrets.failed],
  };
  if (output.format === "json") printJson(output, { key: keyRing.current, ...done });
  else {
    const { rotated, current, busy, failed } = done;
    say(
      output,
      `key ${keyRing.current}: ${rotated} encrypted anew, ${current} were, ${busy} busy, ${failed.length} failed`,
    );
    for (const { id, code } of failed) say(output, `${id} ${code}`);
    if (busy > 0) say(output, "run it again for the busy ones");
  }
  return done.failed.length > 0 ? exitCodes.failed : exitCodes.ok;
}

/** Goes on where the last sweep has stopped, to the end of the store. Dispatchers do it by themselves. */
export async function payloadsSweep({ environment, output }: PayloadsCommand): Promise<ExitCode> {
  const { store } = payloadsOf(environment);
  if (store === undefined) throw new PayloadError("PAYLOAD_STORE_MISSING", "WARREN_PAYLOAD_STORE is not set");
  await using ledger = await connectLedger(environment);
  let [looked, deleted] = [0, 0];
  for (let more = true; more; ) {
    const swept = await sweepPayloads({ store, ledger, everyMs: 0 });
    looked += swept.looked;
    deleted += swept.deleted;
    more = swept.more;
  }
  if (output.format === "json") printJson(output, { store: store.name, looked, deleted });
  else say(output, `${store.name}: ${looked} objects looked at, ${deleted} deleted`);
  return exitCodes.ok;
}
