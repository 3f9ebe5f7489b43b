import { fileURLToPath } from "node:url";
import { propertyTimeout } from "@warren/testing/properties";
import { defineConfig } from "vitest/config";

const integrationSetup = ["@warren/testing/vitest-setup"];
const propertiesSetup = [fileURLToPath(new URL("properties-setup.ts", import.meta.url))];

/**
 * `checks` judges the repository itself; `unit` needs nothing, `integration` a broker and a database, `e2e` whole processes. Without
 * `isolate`, files of one worker share their modules, which are then loaded once: a test file leaves nothing changed behind.
 */
export default defineConfig({
  test: {
    // bounds for what never happens, as in `waitFor`: a busy machine must not reach them
    expect: { poll: { timeout: 30_000 } },
    projects: [
      {
        test: {
          name: "unit",
          include: ["{shared,services,infra}/*/test/**/*.test.ts"],
          exclude: ["**/*.integration.test.ts", "**/*.e2e.test.ts", "**/node_modules/**", "infra/checks/**"],
          // a safety net, not a measure: a property is hundreds of cases
          testTimeout: propertyTimeout(30_000),
          hookTimeout: propertyTimeout(30_000),
          setupFiles: propertiesSetup,
          isolate: false,
        },
      },
      { test: { name: "checks", include: ["infra/checks/test/**/*.test.ts"] } },
      {
        test: {
          name: "integration",
          include: ["{shared,services,infra}/*/test/**/*.integration.test.ts"],
          globalSetup: integrationSetup,
          // A safety net, not a measure: files share two cores with each other, a broker and a database.
          testTimeout: propertyTimeout(60_000),
          setupFiles: propertiesSetup,
          hookTimeout: 60_000,
          maxWorkers: 3,
          isolate: false,
        },
      },
      {
        test: {
          name: "e2e",
          include: ["infra/e2e/test/**/*.e2e.test.ts"],
          globalSetup: integrationSetup,
          testTimeout: 300_000,
          hookTimeout: 120_000,
          // each file has servers of its own and mostly waits for leases to end
          maxWorkers: 5,
        },
      },
    ],
  },
});
