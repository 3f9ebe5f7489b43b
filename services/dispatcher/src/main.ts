import { runService } from "@warren/service";
import { createDispatcher } from "./app.ts";
import { dispatcherConfig } from "./config.ts";

const version = "0.1.0";

await runService({
  name: "dispatcher",
  version,
  defaultPort: 8081,
  config: dispatcherConfig,
  needs: { ledger: true, amqp: "required" },
  start: async ({ config, log, metrics, health, ledger, session, fail }) => {
    const dispatcher = createDispatcher({ ledger, session, config, version, log, metrics, onDeath: fail });
    health.add("loops", () => dispatcher.health());
    await dispatcher.start();
    return dispatcher;
  },
});
