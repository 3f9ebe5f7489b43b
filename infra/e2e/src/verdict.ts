import { waitFor } from "@warren/testing";
import { expect } from "vitest";
import type { Platform } from "./platform.ts";

/** Waits until every promised number has its effect, then holds the record against the promise: nothing lost, nothing doubled. */
export async function expectExactlyOnce(platform: Platform, promised: number, timeoutMs = 180_000): Promise<void> {
  await waitFor(async () => (await platform.effects.count()) >= promised, {
    what: `${promised} effects (states: ${JSON.stringify(await platform.states())})`,
    timeoutMs,
    intervalMs: 100,
  }).catch(async (cause: unknown) => {
    const states = JSON.stringify(await platform.states());
    throw new Error(`${await platform.effects.count()} of ${promised} jobs had their effect; states: ${states}`, {
      cause,
    });
  });
  expect({ effects: await platform.effects.count(), doubled: await platform.effects.doubled() }).toEqual({
    effects: promised,
    doubled: [],
  });
}

/** Prints a figure of a failure test, so that the log of the run is its record. */
export function report(what: string, figures: Readonly<Record<string, number | string>>): void {
  const text = Object.entries(figures).map(
    ([name, value]) => `${name} ${typeof value === "number" ? Math.round(value) : value}`,
  );
  console.log(`e2e | ${what} | ${text.join(", ")}`);
}
