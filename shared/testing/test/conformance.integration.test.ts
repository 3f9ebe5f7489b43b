import { openTestWarren } from "../src/jobs/index.ts";
import { conformance } from "./conformance/suite.ts";

// What the fake is held to, on broker and database.
conformance(async (options) => {
  const warren = await openTestWarren({ ...options, worker: { concurrency: 1 } });
  const { client, ledger, limits } = warren;
  return {
    client,
    settle: () => warren.drain(),
    settleDue: () => warren.drain({ until: "due" }),
    job: (id) => warren.job(id),
    transaction: (work) => ledger.transaction(work),
    async together(work) {
      await limits.set("default", { priority: true, concurrency: 1 });
      await limits.pause("default");
      const answer = await work();
      await limits.resume("default");
      return answer;
    },
    [Symbol.asyncDispose]: () => warren[Symbol.asyncDispose](),
  };
});
