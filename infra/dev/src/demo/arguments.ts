import { Refusal } from "../start/refusal.ts";

export const usage = `npm run demo [-- --count 1000] [--rate 200]

Sends real provider payloads to the platform that \`npm start\` runs, waits until all work is done, and balances the books.

  --count N   genuine events, each sent one to three times (default 1000)
  --rate N    events a second (default 200; 0: as fast as it goes)`;

export interface DemoArguments {
  readonly count: number;
  /** Events a second; 0 for as fast as it goes. */
  readonly rate: number;
}

const defaults: DemoArguments = { count: 1000, rate: 200 };
const bounds = { count: [1, 100_000], rate: [0, 10_000] } as const;

/** `--count 10` or `--count=10`. `undefined` when only help was asked for. Pure. */
export function readArguments(args: readonly string[]): DemoArguments | undefined {
  if (args.includes("--help") || args.includes("-h")) return undefined;
  const values: Record<keyof DemoArguments, number> = { ...defaults };
  const rest = args.flatMap((arg) => arg.split("="));
  for (let at = 0; at < rest.length; at += 2) {
    const name = /^--(count|rate)$/.exec(rest[at] ?? "")?.[1];
    if (name !== "count" && name !== "rate") {
      throw new Refusal(`the demo does not know ${rest[at]}: it takes --count N and --rate N`);
    }
    const [least, most] = bounds[name];
    const value = Number(rest[at + 1]);
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new Refusal(`--${name} takes a whole number from ${least} to ${most}`);
    }
    values[name] = value;
  }
  return values;
}
