import { greeting } from "./start/greeting.ts";
import { type Platform, startPlatform } from "./start/platform.ts";
import { sentenceOf } from "./start/refusal.ts";
import { readSettings, repository, type Settings, usage } from "./start/settings.ts";
import { openStateFolder, type StateFolder, writeRunning } from "./start/state-folder.ts";
import { takeStopSignals } from "./start/stop-signals.ts";

const say = (line: string): void => console.log(line);

/** `npm start`: the platform's life from the first check to the last process. Answers the exit code. */
async function main(): Promise<number> {
  let stateFolder = `${repository}.warren`;
  using signals = takeStopSignals(() => {
    say("Not waiting any longer.");
    process.exit(130); // what was started is tied to this process and dies with it
  });
  const stack = new AsyncDisposableStack();
  let code = 0;
  try {
    const settings = readSettings(process.argv.slice(2), process.env);
    if (settings === undefined) {
      say(usage);
      return 0;
    }
    stateFolder = settings.stateFolder;
    const startedAt = performance.now();
    const folder = stack.use(await openStateFolder(stateFolder));
    say("Starting Warren …");
    const platform = await startPlatform({ settings, folder, stack, say, stop: signals.stop });
    await announce(platform, settings, folder);
    if (!signals.stop.aborted) say(greeting(platform, settings, performance.now() - startedAt));
    await aborted(signals.stop);
  } catch (error) {
    if (!signals.stop.aborted) {
      code = 1;
      const sentence = sentenceOf(error, stateFolder);
      if (sentence === undefined) console.error(error);
      else console.error(`\nWarren cannot start: ${sentence}`);
    }
  }
  if (signals.stop.aborted) say("\nStopping: what runs is finished first (Ctrl-C again: at once) …");
  const startedAt = performance.now();
  try {
    await stack.disposeAsync();
  } catch (error) {
    console.error(error);
    code = 1;
  }
  if (signals.stop.aborted)
    say(`Stopped in ${((performance.now() - startedAt) / 1000).toFixed(1)} s. The data is kept in ${stateFolder}.`);
  return code;
}

function announce(
  { urls, broker, database, secretsFolder }: Platform,
  settings: Settings,
  folder: StateFolder,
): Promise<void> {
  return writeRunning(folder, {
    pid: process.pid,
    ingressUrl: urls.ingress,
    ...(urls.mailbox === undefined ? {} : { mailboxUrl: urls.mailbox }),
    ...(urls.yookassa === undefined ? {} : { yookassaUrl: urls.yookassa }),
    metricsUrls: urls.metrics,
    apiUrl: urls.api,
    amqpUrl: broker.amqpUrl,
    databaseUrl: database.databaseUrl,
    schema: settings.schema,
    secretsFolder,
  });
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  // The pending promise alone would not keep the process alive.
  const awake = setInterval(() => undefined, 60_000);
  return new Promise((resolve) => {
    signal.addEventListener(
      "abort",
      () => {
        clearInterval(awake);
        resolve();
      },
      { once: true },
    );
  });
}

process.exit(await main());
