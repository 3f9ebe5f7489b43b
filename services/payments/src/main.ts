import { runService } from "@warren/service";
import { paymentsNeeds, startPayments } from "./app.ts";
import { paymentsConfig } from "./config.ts";

await runService({
  name: "payments",
  version: "0.1.0",
  defaultPort: 8083,
  config: paymentsConfig,
  needs: paymentsNeeds,
  start: startPayments,
});
