import { importPeer } from "../peers/install.ts";
import { serveRole } from "../role.ts";

/** What is used of Express, Stripe's library and BullMQ; they are installed in a folder of their own. */
interface Request {
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string | undefined>>;
}
interface Response {
  status(code: number): Response;
  json(body: object): void;
}
interface App {
  post(path: string, ...handlers: readonly unknown[]): void;
  use(handler: unknown): void;
  listen(port: number, host: string, listening: () => void): void;
}
type Express = (() => App) & { raw(options: object): unknown };
interface Stripe {
  readonly webhooks: { constructEvent(body: Buffer, header: string, secret: string): { readonly type: string } };
}
interface Queue {
  add(name: string, data: object): Promise<unknown>;
  getJobCounts(...states: string[]): Promise<Record<string, number>>;
  obliterate(options: { readonly force: boolean }): Promise<void>;
}

const folder = process.env["BENCH_PEERS"] ?? "";
const secret = process.env["BENCH_STRIPE_SECRET"] ?? "";

/** The route that most teams write, as it stands in Stripe's and BullMQ's guides. */
async function open() {
  const { default: express } = (await importPeer(folder, "express")) as { readonly default: Express };
  const { default: StripeClient } = (await importPeer(folder, "stripe")) as {
    readonly default: new (key: string) => Stripe;
  };
  const { Queue: BullQueue } = (await importPeer(folder, "bullmq")) as {
    readonly Queue: new (name: string, options: object) => Queue;
  };
  const stripe = new StripeClient("sk_test_unused");
  const connection = { host: "127.0.0.1", port: Number(process.env["BENCH_REDIS_PORT"]), maxRetriesPerRequest: null };
  const queue = new BullQueue("webhooks", { connection });
  const app = express();
  app.post(
    "/webhooks/:source",
    express.raw({ type: "*/*", limit: "2mb" }),
    async (request: Request, response: Response): Promise<void> => {
      let event: { readonly type: string };
      try {
        event = stripe.webhooks.constructEvent(request.body, request.headers["stripe-signature"] ?? "", secret);
      } catch {
        response.status(400).json({ received: false });
        return;
      }
      await queue.add(event.type, event);
      response.status(200).json({ received: true });
    },
  );
  // senders that go away are no news
  app.use((_error: unknown, _request: Request, response: Response, _next: unknown) => {
    response.status(400).json({ received: false });
  });
  return { app, queue };
}

const opened = open();

serveRole(async (command) => {
  const { app, queue } = await opened;
  if (command.do === "listen") {
    await new Promise<void>((resolve) => app.listen(Number(command["port"]), "127.0.0.1", resolve));
    return {};
  }
  if (command.do === "kept") {
    const { wait = 0 } = await queue.getJobCounts("wait");
    return { kept: wait };
  }
  if (command.do === "forget") {
    await queue.obliterate({ force: true });
    return {};
  }
  throw new Error(`unknown command ${command.do}`);
});
