import { runService } from "@warren/service";
import { notificationsNeeds, startNotifications } from "./app.ts";
import { notificationsConfig } from "./config.ts";

await runService({
  name: "notifications",
  version: "0.1.0",
  defaultPort: 8082,
  config: notificationsConfig,
  needs: notificationsNeeds,
  start: startNotifications,
});
