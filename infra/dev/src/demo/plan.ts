import { randomUUID } from "node:crypto";
import { type Forgery, type GenuineEvent, type Outgoing, yookassaSender } from "./outgoing.ts";
import { githubExamples, stripeEvent, yookassaNotice } from "./payloads.ts";
import { githubSignature, stripeSignature } from "./signing.ts";

interface Secrets {
  readonly github: string;
  readonly stripe: string;
}

export interface Plan {
  readonly events: readonly GenuineEvent[];
  readonly forgeries: readonly Forgery[];
  /** To be known to the YooKassa sandbox before anything is sent. */
  readonly payments: readonly {
    readonly id: string;
    readonly amount: { readonly value: string; readonly currency: string };
  }[];
}

export interface PlanOptions {
  readonly run: string;
  readonly count: number;
  readonly secrets: Secrets;
  /** Whether a YooKassa sandbox is there. */
  readonly yookassa: boolean;
  readonly now: Date;
}

type Provider = "github" | "stripe" | "yookassa";

/** Of ten events: six of GitHub, two of Stripe, two of YooKassa; five are sent once, three twice, two three times. */
const providersOfTen: readonly Provider[] = [
  "github",
  "yookassa",
  "github",
  "stripe",
  "github",
  "github",
  "yookassa",
  "github",
  "stripe",
  "github",
];
const copiesOfTen = [1, 2, 1, 3, 1, 2, 1, 3, 2, 1];

/** A claim about a payment that was never made comes from the right address: only asking YooKassa unmasks it. One in a hundred. */
const lieEvery = 100;

const json = { "content-type": "application/json" };

/** Everything the demo will send. */
export function makePlan({ run, count, secrets, yookassa, now }: PlanOptions): Plan {
  const examples = githubExamples();
  const payments: Plan["payments"][number][] = [];
  const seconds = Math.floor(now.getTime() / 1000);

  const events = Array.from({ length: count }, (_, at): GenuineEvent => {
    const wanted = providersOfTen[at % 10] ?? "github";
    const provider = wanted === "yookassa" && !yookassa ? "stripe" : wanted;
    const common = { correlationId: `${run}.${at}`, copies: copiesOfTen[(at + Math.floor(at / 10)) % 10] ?? 1 };
    switch (provider) {
      case "github": {
        const example = examples[at % examples.length] ?? { event: "ping", body: Buffer.from("{}") };
        return { ...common, request: github(example.event, example.body, secrets.github), outcome: "mail" };
      }
      case "stripe":
        return { ...common, request: stripe(stripeEvent(at, now), secrets.stripe, seconds), outcome: "mail" };
      case "yookassa": {
        const notice = yookassaNotice(at, now);
        const lie = at % lieEvery === lieEvery - 9;
        if (!lie) payments.push({ id: notice.paymentId, amount: notice.amount });
        const outcome = lie ? "refused by the provider" : "payment and mail";
        return { ...common, request: yookassaRequest(notice.body, yookassaSender), outcome };
      }
      default:
        return provider satisfies never;
    }
  });
  return { events, forgeries: forge(run, count, secrets, yookassa, now), payments };
}

/** As many of each kind as one in a hundred events, at most ten: of refused requests the platform keeps a bounded number a minute. */
function forge(run: string, count: number, secrets: Secrets, yookassa: boolean, now: Date): readonly Forgery[] {
  const each = Math.min(10, Math.max(1, Math.round(count / 100)));
  const seconds = Math.floor(now.getTime() / 1000);
  const body = Buffer.from(JSON.stringify({ action: "forged", zen: "Trust, but verify." }));
  const makers: readonly (() => Omit<Forgery, "correlationId">)[] = [
    () => ({ cause: "signature_mismatch", request: github("push", body, "a secret that somebody guessed") }),
    () => ({
      cause: "signature_missing",
      request: { source: "github", headers: { ...json, "x-github-event": "push" }, body },
    }),
    () => ({ cause: "timestamp_too_old", request: stripe(stripeEvent(0, now), secrets.stripe, seconds - 3600) }),
    () => ({ cause: "signature_mismatch", request: tampered(stripe(stripeEvent(0, now), secrets.stripe, seconds)) }),
    () => ({ cause: "source_unknown", request: { ...github("push", body, secrets.github), source: "gitlub" } }),
    () => ({
      cause: "content_type_unsupported",
      request: withHeaders(github("push", body, secrets.github), { "content-type": "text/plain" }),
    }),
    () => ({ cause: "body_too_large", request: github("push", Buffer.alloc(1_048_577, " "), secrets.github) }),
  ];
  const strangers: readonly (() => Omit<Forgery, "correlationId">)[] = [
    () => ({ cause: "address_not_allowed", request: yookassaRequest(yookassaNotice(0, now).body, "203.0.113.7") }),
    // The sender wrote the first address itself; only the one that the trusted proxy added counts.
    () => ({
      cause: "address_not_allowed",
      request: yookassaRequest(yookassaNotice(0, now).body, `${yookassaSender}, 203.0.113.7`),
    }),
  ];
  return [...makers, ...(yookassa ? strangers : [])].flatMap((make, kind) =>
    Array.from({ length: each }, (_, at) => ({ correlationId: `${run}.forged-${kind}-${at}`, ...make() })),
  );
}

function github(event: string, body: Buffer, secret: string): Outgoing {
  const headers = {
    ...json,
    "user-agent": "GitHub-Hookshot/demo",
    "x-github-event": event,
    "x-github-delivery": randomUUID(),
    "x-hub-signature-256": githubSignature(secret, body),
  };
  return { source: "github", headers, body };
}

function stripe(body: Buffer, secret: string, unixSeconds: number): Outgoing {
  const headers = {
    ...json,
    "user-agent": "Stripe/1.0",
    "stripe-signature": stripeSignature(secret, body, unixSeconds),
  };
  return { source: "stripe", headers, body };
}

function yookassaRequest(body: Buffer, forwardedFor: string): Outgoing {
  return { source: "yookassa", headers: { ...json, "x-forwarded-for": forwardedFor }, body };
}

function withHeaders(request: Outgoing, headers: Readonly<Record<string, string>>): Outgoing {
  return { ...request, headers: { ...request.headers, ...headers } };
}

function tampered(request: Outgoing): Outgoing {
  return { ...request, body: Buffer.from(request.body.toString().replace('"livemode":false', '"livemode":true ')) };
}
