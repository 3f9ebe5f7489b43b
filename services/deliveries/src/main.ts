import { runService } from "@warren/service";
import { deliveriesNeeds, startDeliveries } from "./app.ts";
import { deliveriesConfig } from "./config.ts";

await runService({
  name: "deliveries",
  version: "0.1.0",
  defaultPort: 8084,
  config: deliveriesConfig,
  needs: deliveriesNeeds,
  start: startDeliveries,
});
