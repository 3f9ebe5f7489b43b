import * as fc from "fast-check";
import { expect, test } from "vitest";
import { AckFrontier, type Settleable, type Verdict } from "../src/ack-frontier.ts";

class Entry implements Settleable {
  readonly tag: number;
  verdict: Verdict | undefined;
  sent = false;
  constructor(tag: number) {
    this.tag = tag;
  }
}

/** What a broker keeps of a channel: unacked tags; an unknown tag is an error that would close the channel. */
class Unacked {
  readonly tags = new Set<number>();
  readonly acked: number[] = [];

  ack(tag: number, multiple: boolean): void {
    if (!this.tags.has(tag)) throw new Error(`unknown delivery tag ${tag}`);
    for (const known of [...this.tags].sort((a, b) => a - b)) {
      if (known !== tag && !(multiple && known < tag)) continue;
      this.tags.delete(known);
      this.acked.push(known);
    }
  }

  nack(tag: number): void {
    if (!this.tags.delete(tag)) throw new Error(`unknown delivery tag ${tag}`);
  }
}

const step = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ kind: "deliver" as const }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("settle" as const),
      which: fc.nat(),
      verdict: fc.constantFrom<Verdict>("ack", "ack", "ack", "reject", "requeue"),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: "flush" as const }) },
);

test("whatever the order of settling, the broker hears of each settled delivery once and of no open one", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const frontier = new AckFrontier<Entry>();
      const broker = new Unacked();
      const open: Entry[] = [];
      const all: Entry[] = [];
      let turn: Entry[] = [];
      const flush = (): void => {
        const { others, upTo, singles } = frontier.plan(turn);
        turn = [];
        for (const entry of others) broker.nack(entry.tag);
        if (upTo !== undefined) broker.ack(upTo.tag, true);
        for (const entry of singles) broker.ack(entry.tag, false);
        expect([...broker.tags]).toEqual(open.map(({ tag }) => tag).sort((a, b) => a - b));
        expect(frontier.open()).toEqual([...open].sort((a, b) => a.tag - b.tag));
      };
      for (const action of steps) {
        if (action.kind === "deliver") {
          const entry = new Entry(all.length + 1);
          all.push(entry);
          open.push(entry);
          broker.tags.add(entry.tag);
          frontier.deliver(entry);
        } else if (action.kind === "flush") {
          flush();
        } else if (open.length > 0) {
          const [entry] = open.splice(action.which % open.length, 1);
          if (entry === undefined) continue;
          entry.verdict = action.verdict;
          turn.push(entry);
        }
      }
      flush();
      const acked = all.filter(({ verdict }) => verdict === "ack").map(({ tag }) => tag);
      expect(broker.acked.sort((a, b) => a - b)).toEqual(acked);
    }),
  );
});

test("an unbroken run of acks is one frame", () => {
  const frontier = new AckFrontier<Entry>();
  const entries = Array.from({ length: 100 }, (_, index) => new Entry(index + 1));
  for (const entry of entries) {
    frontier.deliver(entry);
    entry.verdict = "ack";
  }
  const plan = frontier.plan([...entries].sort((a, b) => b.tag - a.tag));
  expect(plan.upTo?.tag).toBe(100);
  expect(plan.singles).toEqual([]);
});
