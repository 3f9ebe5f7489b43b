import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Refusal, sentenceOf } from "../start/refusal.ts";
import { readSecret } from "../start/secrets.ts";
import { readSettings } from "../start/settings.ts";
import { type Running, readRunning } from "../start/state-folder.ts";
import { type DemoArguments, readArguments, usage } from "./arguments.ts";
import { balance, differences } from "./books.ts";
import { makePlan, type Plan } from "./plan.ts";
import { Progress } from "./progress.ts";
import { type Facts, ReadBack } from "./read-back.ts";
import { type Sending, type Sent, sendAll } from "./send.ts";
import { summary } from "./summary.ts";

/** Nothing finished for so long: the platform is stuck, and the books are read as they are. */
const patienceMs = 60_000;

/** The demo, step by step. Answers the exit code. */
async function run(args: DemoArguments, platform: Running): Promise<number> {
  const startedAt = new Date();
  const name = `demo-${randomBytes(4).toString("hex")}`;
  const plan = makePlan({
    run: name,
    count: args.count,
    secrets: {
      github: await readSecret(platform.secretsFolder, "github"),
      stripe: await readSecret(platform.secretsFolder, "stripe"),
    },
    yookassa: platform.yookassaUrl !== undefined,
    now: startedAt,
  });
  await using readBack = await ReadBack.open({
    databaseUrl: platform.databaseUrl,
    schema: platform.schema,
    mailboxUrl: platform.mailboxUrl,
    ingressMetricsUrl: platform.metricsUrls["ingress"],
    run: name,
    startedAt,
  });
  if (platform.yookassaUrl !== undefined) await seedPayments(platform.yookassaUrl, plan);

  const copies = plan.events.reduce((sum, event) => sum + event.copies, 0);
  console.log(
    `Sending ${plan.events.length} events of GitHub, Stripe and YooKassa in ${copies} requests, and ${plan.forgeries.length} forgeries (run ${name}) …`,
  );
  using progress = new Progress(process.stdout);
  const sent: Sent[] = [];
  const sendingAt = performance.now();
  const total = copies + plan.forgeries.length;
  await sendAll(mix(plan), {
    url: platform.ingressUrl,
    rate: args.rate,
    connections: 64,
    onSent: (one) => {
      sent.push(one);
      progress.show(`sent ${sent.length} of ${total}`);
    },
  });
  const sentAt = performance.now();
  const facts = await drained(readBack, plan, sent, progress);
  const drainedAt = performance.now();
  progress[Symbol.dispose]();

  const checks = balance(plan, sent, facts);
  console.log(summary({ facts, sent, checks, sendingMs: sentAt - sendingAt, drainedMs: drainedAt - sentAt }));
  return differences(checks).length === 0 ? 0 : 1;
}

/** The forgeries spread evenly among the genuine ones. */
function mix({ events, forgeries }: Plan): readonly Sending[] {
  const genuine = events.map((event): Sending => ({ ...event, genuine: true }));
  const every = Math.max(1, Math.floor(events.length / Math.max(1, forgeries.length)));
  const forged = forgeries.map((forgery): Sending => ({ ...forgery, copies: 1, genuine: false }));
  const mixed = genuine.flatMap((one, at) => (at % every === 0 ? [one, ...forged.splice(0, 1)] : [one]));
  return [...mixed, ...forged];
}

async function seedPayments(yookassaUrl: string, { payments }: Plan): Promise<void> {
  const answer = await fetch(`${yookassaUrl}/sandbox/payments`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(payments.map((payment) => ({ ...payment, status: "succeeded" }))),
  });
  if (!answer.ok) throw new Refusal(`the YooKassa sandbox does not take the demo's payments (HTTP ${answer.status})`);
}

/** Reads the books until they balance, or until nothing moves any more. */
async function drained(readBack: ReadBack, plan: Plan, sent: readonly Sent[], progress: Progress): Promise<Facts> {
  let before = "";
  let movedAt = performance.now();
  for (;;) {
    const { finished, unfinished } = await readBack.progress();
    progress.show(`sent everything; ${finished} jobs done, ${unfinished} to go`);
    if (unfinished === 0) {
      const facts = await readBack.facts();
      if (facts.unfinished === 0 && differences(balance(plan, sent, facts)).length === 0) return facts;
    }
    const now = `${finished} ${unfinished}`;
    if (now !== before) movedAt = performance.now();
    before = now;
    // With nothing left to do, the last answers are a moment away at most.
    if (performance.now() - movedAt > (unfinished === 0 ? 10_000 : patienceMs)) return readBack.facts();
    await sleep(100);
  }
}

async function main(): Promise<number> {
  try {
    const args = readArguments(process.argv.slice(2));
    if (args === undefined) {
      console.log(usage);
      return 0;
    }
    const settings = readSettings([], process.env);
    const platform = settings === undefined ? undefined : await readRunning(settings.stateFolder);
    if (platform === undefined)
      throw new Refusal("no platform runs in this clone: run npm start first, in another terminal");
    return await run(args, platform);
  } catch (error) {
    const sentence = sentenceOf(error, ".warren");
    console.error(sentence === undefined ? error : `demo: ${sentence}`);
    return 1;
  }
}

process.exit(await main());
