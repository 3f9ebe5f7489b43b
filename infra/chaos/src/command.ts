import { parseArgs } from "node:util";
import { z } from "zod";

export const usage = `usage: npm run chaos -- [--minutes 5] [--seed N] [--faults all|none] [--rate 1] [--settle 240] [--keep]
  --minutes  how long load and faults last, 0.1 to 600
  --seed     whole number: the same seed and length are the same faults; default: a new one, printed first
  --faults   none: a control run
  --rate     multiplies the load (about 45 calls a second)
  --settle   seconds that the rest of the work may take afterwards
  --keep     keeps records, logs and tables of a run that failed, in .warren/chaos/`;

const settings = z.object({
  minutes: z.coerce.number().min(0.1).max(600).default(5),
  seed: z.coerce.number().int().min(0).max(4_294_967_295).optional(),
  faults: z.enum(["all", "none"]).default("all"),
  rate: z.coerce.number().min(0.01).max(100).default(1),
  settle: z.coerce.number().min(5).max(3_600).default(240),
  keep: z.boolean().default(false),
});

export type Command =
  | {
      readonly kind: "run";
      readonly minutes: number;
      readonly seed: number;
      readonly faults: "all" | "none";
      readonly rate: number;
      readonly settleSeconds: number;
      readonly keep: boolean;
      /** The options that make the same run again. */
      readonly text: string;
    }
  | { readonly kind: "wrong"; readonly why: string };

export function parseCommand(args: readonly string[], newSeed: () => number): Command {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        minutes: { type: "string" },
        seed: { type: "string" },
        faults: { type: "string" },
        rate: { type: "string" },
        settle: { type: "string" },
        keep: { type: "boolean" },
      },
    });
    const parsed = settings.safeParse(values);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      return { kind: "wrong", why: `--${issue?.path.join(".") ?? ""}: ${issue?.message ?? "invalid"}` };
    }
    const { minutes, faults, rate, settle, keep } = parsed.data;
    const seed = parsed.data.seed ?? newSeed();
    const text = `--minutes ${minutes} --seed ${seed} --faults ${faults} --rate ${rate}`;
    return { kind: "run", minutes, seed, faults, rate, settleSeconds: settle, keep, text };
  } catch (error) {
    return { kind: "wrong", why: error instanceof Error ? error.message : String(error) };
  }
}
