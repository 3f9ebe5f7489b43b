import { z } from "zod";
import { moment, pageOf, pageQuery } from "./api.ts";
import { lookedView, requestFilter } from "./requests-api.ts";

const reason = z.string().trim().min(1).max(500).describe("why; kept for good");
const by = z.string().trim().min(1).max(100).optional().describe("who; without it the fingerprint of the key");
const mode = z
  .enum(["missing", "new"])
  .default("missing")
  .describe(
    "`missing`: dead jobs come back and what the event lacks is made; what succeeded is left alone. `new`: everything again, under new ids",
  );

/** The body of `POST /events/{id}/replay`. */
export const eventReplay = z.strictObject({ mode, reason, by }).meta({ id: "EventReplay" });

/** The body of `POST /requests/{id}/verify`. */
export const requestVerify = z.strictObject({ reason, by }).meta({ id: "RequestVerify" });

/** What became of one event or request. */
export const runAnswer = z
  .discriminatedUnion("kind", [
    z.object({
      id: z.uuid(),
      kind: z.literal("changed"),
      made: z.array(z.uuid()).describe("new jobs"),
      revived: z.array(z.uuid()).describe("dead jobs that came back"),
      events: z.int().describe("events for the broker"),
      failed: z.boolean().describe("a rule failed; what could be done was done"),
    }),
    z.object({
      id: z.uuid(),
      kind: z.literal("skipped"),
      why: z.string().describe("see infra/docs/requests.md"),
      cause: z.string().nullable().describe("of a request that is rejected again"),
    }),
  ])
  .meta({ id: "RunAnswer" });

/** The body of `POST /replays`. */
export const newReplay = z
  .strictObject({
    action: z
      .enum(["replay", "verify"])
      .default("replay")
      .describe("`replay` accepted events; `verify` rejected requests again and take what is authentic now"),
    mode,
    filter: requestFilter.omit({ statuses: true }).default({}),
    reason,
    by,
    rate: z.number().min(0.1).max(1_000).default(50).describe("events a second at most"),
    mostWaiting: z
      .int()
      .min(1)
      .max(10_000)
      .default(100)
      .describe("takes no more while so many of its jobs wait or run: live traffic goes first"),
    most: z.int().min(1).max(10_000_000).optional().describe("takes at most so many, the oldest first"),
    dryRun: z.boolean().default(false).describe("only counts what would match now"),
  })
  .meta({ id: "NewReplay" });

export const replayCount = z.object({ matched: z.int(), looked: lookedView }).meta({ id: "ReplayCount" });

export const replayView = z
  .object({
    id: z.uuid(),
    action: z.enum(["replay", "verify"]),
    mode: z.enum(["missing", "new"]),
    state: z.enum(["running", "paused", "done", "aborted"]),
    filter: z.record(z.string(), z.unknown()),
    by: z.string(),
    reason: z.string(),
    rate: z.number(),
    mostWaiting: z.int(),
    most: z.int().nullable(),
    looked: z.int(),
    matched: z.int(),
    changed: z.int(),
    skipped: z.int(),
    skips: z.record(z.string(), z.int()).describe("why events were left alone, and how many"),
    examples: z.record(z.string(), z.array(z.uuid())).describe("some ids for each reason"),
    createdAt: moment,
    finishedAt: moment.nullable(),
    endedBy: z.string().nullable().describe("who paused or aborted it last"),
  })
  .meta({ id: "Replay" });

export const replayPage = pageOf(replayView).meta({ id: "ReplayPage" });
export const replayQuery = pageQuery;
export const replayTurn = z.strictObject({ by });
