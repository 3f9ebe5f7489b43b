import { defineConfig } from "vitest/config";

const integrationSetup = ["@warren/testing/vitest-setup"];

/** `checks` judges the repository itself; `unit` needs nothing, `integration` a broker and a database, `e2e` whole processes. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["{shared,services,infra}/*/test/**/*.test.ts"],
          exclude: ["**/*.integration.test.ts", "**/*.e2e.test.ts", "**/node_modules/**", "infra/checks/**"],
          // a safety net, not a measure: a property is hundreds of cases
          testTimeout: 30_000,
        },
      },
      { test: { name: "checks", include: ["infra/checks/test/**/*.test.ts"] } },
      {
        test: {
          name: "integration",
          include: ["{shared,services,infra}/*/test/**/*.integration.test.ts"],
          globalSetup: integrationSetup,
          // A safety net, not a measure: files share two cores with each other, a broker and a database.
          testTimeout: 60_000,
          hookTimeout: 60_000,
          maxWorkers: 3,
        },
      },
      {
        test: {
          name: "e2e",
          include: ["infra/e2e/test/**/*.e2e.test.ts"],
          globalSetup: integrationSetup,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          // each file has servers of its own and mostly waits for leases to end
          maxWorkers: 5,
        },
      },
    ],
  },
});
