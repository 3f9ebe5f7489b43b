import { describe } from "vitest";
import { createTestClient } from "../src/jobs/index.ts";
import { conformance, type Harness, type HarnessOptions } from "./conformance/suite.ts";

/** The fake, in a mode. */
function openFake(mode: "inline" | "manual") {
  return async (options: HarnessOptions): Promise<Harness> => {
    const client = createTestClient({ ...options, mode });
    return {
      client,
      settle: async () => void (await client.drain()),
      settleDue: async () => void (await client.drain({ until: "due" })),
      job: async (id) => client.job(id),
      transaction: (work) => client.transaction(work),
      together: (work) => work(),
      [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
    };
  };
}

describe("inline", () => {
  conformance(openFake("inline"));
});
describe("manual", () => {
  conformance(openFake("manual"));
});
