import { createRandom, type Random } from "./random.ts";

export const workerSlots = 3;
export const dispatcherSlots = 2;

/** What may be done to whom, how long it lasts, and how often it comes beside the others. */
const faults = [
  { target: "worker", action: "kill", lastsMs: [300, 3_000], weight: 5 },
  { target: "worker", action: "terminate", lastsMs: [300, 2_000], weight: 3 },
  { target: "worker", action: "pause", lastsMs: [500, 6_000], weight: 2 },
  // past its lease of 15 s and the next look of a dispatcher
  { target: "worker", action: "pause", lastsMs: [18_000, 24_000], weight: 2 },
  { target: "dispatcher", action: "kill", lastsMs: [300, 4_000], weight: 4 },
  { target: "dispatcher", action: "terminate", lastsMs: [300, 2_000], weight: 2 },
  { target: "dispatcher", action: "pause", lastsMs: [500, 12_000], weight: 2 },
  { target: "broker", action: "kill", lastsMs: [200, 5_000], weight: 3 },
  { target: "broker", action: "restart", lastsMs: [200, 2_000], weight: 1 },
  { target: "broker", action: "pause", lastsMs: [500, 8_000], weight: 1 },
  { target: "database", action: "kill", lastsMs: [200, 4_000], weight: 3 },
  { target: "database", action: "restart", lastsMs: [200, 2_000], weight: 1 },
  { target: "database", action: "pause", lastsMs: [500, 4_000], weight: 1 },
  // all sessions but the postmaster: an answer is lost in the middle of a statement
  { target: "database", action: "sever", lastsMs: [0, 0], weight: 3 },
] as const;

type Kind = (typeof faults)[number];
type Action = Kind["action"];

/** `worker-0`, `dispatcher-1`, `broker`, `database`. */
export interface Fault {
  readonly number: number;
  /** Since the load began. */
  readonly atMs: number;
  readonly kind: Kind["target"];
  /** Which of the workers or dispatchers; 0 for servers. */
  readonly slot: number;
  readonly action: Action;
  /** How long the victim stays away or frozen, beside the time that its start takes. */
  readonly lastsMs: number;
}

const firstMs = 4_000;
/** Between two faults: a new one may strike while the one before still lasts. */
const gapMs = { from: 2_000, to: 9_000 } as const;

/** The faults of a run, which follow from seed and length alone. The last is over in time for some load without faults. Pure. */
export function planFaults(seed: number, forMs: number): readonly Fault[] {
  const random = createRandom(seed, "faults");
  const plan: Fault[] = [];
  for (let atMs = firstMs; ; atMs += random.whole(gapMs.from, gapMs.to)) {
    const kind = choose(random);
    const slots = kind.target === "worker" ? workerSlots : kind.target === "dispatcher" ? dispatcherSlots : 1;
    const slot = random.whole(0, slots - 1);
    const lastsMs = random.whole(kind.lastsMs[0], kind.lastsMs[1]);
    if (atMs >= forMs - 2_000) return plan;
    plan.push({ number: plan.length + 1, atMs, kind: kind.target, slot, action: kind.action, lastsMs });
  }
}

function choose(random: Random): Kind {
  const total = faults.reduce((sum, { weight }) => sum + weight, 0);
  let left = random.next() * total;
  for (const fault of faults) {
    left -= fault.weight;
    if (left < 0) return fault;
  }
  return faults[0];
}

export const nameOf = ({ kind, slot }: Pick<Fault, "kind" | "slot">): string =>
  kind === "worker" || kind === "dispatcher" ? `${kind}-${slot}` : kind;
