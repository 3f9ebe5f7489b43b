import { z } from "zod";
import { startMailSink } from "./mail/mail-sink.ts";
import { startYookassa } from "./yookassa/stand-in.ts";

const port = z.coerce.number().int().min(0).max(65_535);
const environment = z.object({
  HOST: z.string().default("127.0.0.1"),
  WARREN_SANDBOX_SMTP_PORT: port.default(1025),
  WARREN_SANDBOX_MAILBOX_PORT: port.default(8025),
  WARREN_SANDBOX_YOOKASSA_PORT: port.default(8026),
  WARREN_SANDBOX_YOOKASSA_SHOP_ID: z.string().min(1).default("sandbox-shop"),
  WARREN_SANDBOX_YOOKASSA_SECRET_KEY: z.string().min(1).default("sandbox-secret"),
  /** What to run: `mail`, `yookassa`, or both. */
  WARREN_SANDBOX_PARTS: z
    .string()
    .default("mail,yookassa")
    .transform((text) => text.split(",").map((part) => part.trim()))
    .pipe(z.array(z.enum(["mail", "yookassa"])).min(1)),
  /** Keeps mails and payments over restarts. */
  WARREN_SANDBOX_DATA_DIR: z.string().min(1).optional(),
});

const parsed = environment.safeParse(process.env);
if (!parsed.success) {
  console.error(`sandbox: ${z.prettifyError(parsed.error)}`);
  process.exit(2);
}
const env = parsed.data;
const parts = new AsyncDisposableStack();
const folder = (name: string): { dataDir: string } | Record<string, never> =>
  env.WARREN_SANDBOX_DATA_DIR === undefined ? {} : { dataDir: `${env.WARREN_SANDBOX_DATA_DIR}/${name}` };
const stop = async (): Promise<void> => {
  await parts.disposeAsync();
  process.exit(0);
};
process.once("SIGTERM", () => void stop());
process.once("SIGINT", () => void stop());

try {
  if (env.WARREN_SANDBOX_PARTS.includes("mail")) {
    const { WARREN_SANDBOX_SMTP_PORT: smtpPort, WARREN_SANDBOX_MAILBOX_PORT: httpPort } = env;
    const sink = parts.use(await startMailSink({ host: env.HOST, smtpPort, httpPort, ...folder("mail") }));
    console.log(`mailbox ${sink.httpUrl}, SMTP ${sink.smtpUrl}`);
  }
  if (env.WARREN_SANDBOX_PARTS.includes("yookassa")) {
    const standIn = parts.use(
      await startYookassa({
        host: env.HOST,
        port: env.WARREN_SANDBOX_YOOKASSA_PORT,
        shopId: env.WARREN_SANDBOX_YOOKASSA_SHOP_ID,
        secretKey: env.WARREN_SANDBOX_YOOKASSA_SECRET_KEY,
        ...folder("yookassa"),
      }),
    );
    console.log(`YooKassa ${standIn.apiUrl}`);
  }
} catch (error) {
  console.error(`sandbox: ${error instanceof Error ? error.message : String(error)}`);
  await parts.disposeAsync();
  process.exit(1);
}
